"""Answers to questions in SQL, as a table, as CSV and as JSON; rows come as they are read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from engine.reports.grid import Cell, Column, grid, paint
from engine.text import columns as text_width
from engine.text import printable_json

ROWS_MAX = 1_000  # of a table: its columns are as wide as the widest of all rows
_ANY = 1 << 30  # as wide as it takes

Row = Sequence[Any]
Mask = Callable[[str], str]


def table(
    columns: Sequence[str],
    rows: Iterator[Row],
    *,
    mask: Mask,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """Lay an answer out for people, a row a line; where `width` has no room for that, a value.

    Nothing is cut; of many rows the first are shown.
    """
    shown = list(islice(rows, ROWS_MAX))
    head = [
        Column(name, right=_is_figure([row[at] for row in shown]))
        for at, name in enumerate(columns)
    ]
    cells = [[_cell(value, mask) for value in row] for row in shown]
    lines = grid(head, cells, width=_ANY)
    if width is not None and max(map(text_width, lines)) > width:
        lines = _records(columns, cells, colour=colour)
    elif colour:
        lines = grid(head, cells, width=_ANY, colour=True)
    counted = f"{len(shown)} row{'' if len(shown) == 1 else 's'}"
    is_all = next(rows, None) is None
    told = counted if is_all else f"the first {counted}; all: --csv or --json"
    return "\n".join([*lines, paint(f"({told})", "dim", on=colour)])


def _records(columns: Sequence[str], cells: Sequence[Sequence[Cell]], *, colour: bool) -> list[str]:
    names = [Cell(name, "dim") for name in columns]
    pair = (Column(""), Column(""))
    lines: list[str] = []
    for number, row in enumerate(cells, 1):
        lines.append(paint(f"row {number}", "bold", on=colour))
        lines += grid(pair, list(zip(names, row, strict=True)), width=_ANY, colour=colour)[1:]
    return lines


def _is_figure(values: Sequence[Any]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and all(isinstance(value, int | float) for value in there)


def _cell(value: Any, mask: Mask) -> Cell:
    return Cell("NULL", "dim") if value is None else Cell(mask(str(_plain(value))))


def csv_text(columns: Sequence[str], rows: Iterable[Row], *, mask: Mask) -> Iterator[str]:
    """Give an answer as CSV, a row at a time; NULL is nothing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in chain([columns], rows):
        writer.writerow([_masked(_plain(value), mask) for value in row])
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def json_text(columns: Sequence[str], rows: Iterable[Row], *, mask: Mask) -> Iterator[str]:
    """Give an answer as a JSON list of objects, a row a line."""
    before = "[\n"
    for row in rows:
        values = (_masked(_plain(value), mask) for value in row)
        found = dict(zip(columns, values, strict=True))
        yield f"{before}  {printable_json(json.dumps(found, ensure_ascii=False))}"
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _plain(value: Any) -> Any:
    """Give bytes as the text they are, else as SQL would write them."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"x'{value.hex()}'"


def _masked(value: Any, mask: Mask) -> Any:
    return mask(value) if isinstance(value, str) else value
