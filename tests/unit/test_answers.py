"""Answers to SQL as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from engine.reports import answers

COLUMNS = ["run", "note"]
ROWS: list[tuple[Any, ...]] = [(1, "went\twell"), (20, None), (None, b"\xff\x00")]


def mask(text: str) -> str:
    """Hide the one secret there is."""
    return text.replace("hush", "***")


def table(rows: list[tuple[Any, ...]], **more: Any) -> str:
    """Lay rows out."""
    return answers.table(COLUMNS, iter(rows), mask=mask, **more)


def test_a_table_puts_figures_right() -> None:
    """NULL is said, control characters are shown, bytes that are no text are in hexadecimal."""
    assert table(ROWS) == (" run  note\n   1  went\\x09well\n  20  NULL\nNULL  x'ff00'\n(3 rows)")


def test_a_table_cuts_nothing_in_a_pipe() -> None:
    """However long a value is."""
    assert table([(1, "x" * 500)]).splitlines()[1] == "  1  " + "x" * 500


def test_what_a_terminal_has_no_room_for_is_a_value_a_line() -> None:
    """Whole again."""
    assert table([(1, "x" * 30), (2, "y")], width=30) == (
        f"row 1\nrun   1\nnote  {'x' * 30}\nrow 2\nrun   2\nnote  y\n(2 rows)"
    )


def test_no_rows_are_said() -> None:
    """With the columns that there would be."""
    assert table([]) == "run  note\n(0 rows)"


def test_of_many_rows_a_table_shows_the_first() -> None:
    """And says how to have all."""
    shown = table([(number, "") for number in range(1_001)]).splitlines()
    assert len(shown) == 1_002
    assert shown[-1] == "(the first 1000 rows; all: --csv or --json)"
    assert table([(1, "")] * 1_000).splitlines()[-1] == "(1000 rows)"


def test_csv_reads_back() -> None:
    """NULL is empty; quotes and line breaks are kept."""
    rows = [*ROWS, (3, 'say "no",\nhush')]
    text = "".join(answers.csv_text(COLUMNS, iter(rows), mask=mask))
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["run", "note"],
        ["1", "went\twell"],
        ["20", ""],
        ["", "x'ff00'"],
        ["3", 'say "no",\n***'],
    ]


def test_json_reads_back() -> None:
    """A row a line, with what shows as it is."""
    text = "".join(answers.json_text(COLUMNS, iter([*ROWS, (4, "hush\u202e")]), mask=mask))
    assert json.loads(text) == [
        {"run": 1, "note": "went\twell"},
        {"run": 20, "note": None},
        {"run": None, "note": "x'ff00'"},
        {"run": 4, "note": "***\u202e"},
    ]
    assert len(text.splitlines()) == 6
    assert "\\u202e" in text
    assert "".join(answers.json_text(COLUMNS, iter([]), mask=mask)) == "[]\n"
