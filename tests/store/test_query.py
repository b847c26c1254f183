"""`sql` answers any question, and does nothing but look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import StoreError, UsageError
from store import query
from store.connection import Database
from store.database import open_reader, open_writer
from store.views import VIEWS
from tests.store.filled import begun, end


def on() -> int:
    """Say that nobody has asked to stop."""
    return 0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Give a store with two runs, opened to look at."""
    path = tmp_path / "runs.db"
    writer = open_writer(path)
    for workflow in ("daily", "sales"):
        end(begun(writer, "a", workflow=workflow))
    writer.close()
    reader = open_reader(path)
    yield reader
    reader.close()


def test_an_answer_has_its_columns_and_rows(database: Database) -> None:
    """As SQLite gives them."""
    columns, rows = query.ask(database, "SELECT id, workflow FROM runs ORDER BY id", on)
    assert columns == ["id", "workflow"]
    assert list(rows) == [(1, "daily"), (2, "sales")]


def test_a_column_is_named_once(database: Database) -> None:
    """So that a row is an object, in JSON too."""
    columns, _ = query.ask(database, "SELECT id, id, 1 AS id_2, id FROM runs", on)
    assert columns == ["id", "id_2", "id_2_2", "id_3"]


def test_the_views_are_told(database: Database) -> None:
    """Each that is for users, with its columns."""
    columns, rows = query.views(database)
    found = {view: told for view, told in rows}  # noqa: C416 - pairs, as sequences
    assert columns == ("view", "columns")
    assert list(found) == list(VIEWS)
    assert found["alerts"].startswith("id, run_id, channel, ")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM runs",
        "DELETE FROM run_rows",
        "INSERT INTO cancel_rows VALUES (1, 1, 'x')",
        "UPDATE run_rows SET status = 'ok'",
        "CREATE TABLE t (a)",
        "CREATE TEMP TABLE t (a)",
        "DROP VIEW runs",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'other.db'",
        "UPDATE sqlite_master SET sql = ''",
        "PRAGMA query_only = OFF",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "BEGIN IMMEDIATE",
        "SELECT load_extension('x')",
    ],
)
def test_what_does_more_than_look_is_refused(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    """And changes nothing."""
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("runs.db")}
    with pytest.raises(UsageError) as caught:
        query.ask(database, sql, on)
    assert caught.value.message == "`sql` only looks: what writes, attaches or sets is refused"
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.db")} == before


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        (
            "SELECT * FROM step_run",
            "SQLite cannot answer that: no such table: step_run",
            "did you mean 'step_runs'? `sql` alone lists the views and their columns",
        ),
        (
            "SELECT r.worklow FROM runs r",
            "SQLite cannot answer that: no such column: r.worklow",
            "did you mean 'workflow'? `sql` alone lists the views and their columns",
        ),
        (
            "SELEC 1",
            'SQLite cannot answer that: near "SELEC": syntax error',
            "`sql` alone lists the views and their columns",
        ),
        ("SELECT 1; SELECT 2", "that is more than one statement", "ask one question at a time"),
        ("-- nothing", "there is no question in that", 'write `sql "SELECT …"`'),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(
    database: Database, sql: str, message: str, hint: str
) -> None:
    """With what may have been meant."""
    with pytest.raises(UsageError) as caught:
        query.ask(database, sql, on)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_question_may_look_at_the_shape(database: Database) -> None:
    """By the pragmas that only tell."""
    _, rows = query.ask(database, "SELECT name FROM pragma_table_info('run_summary')", on)
    assert next(rows) == ("run_id",)


def test_a_long_search_can_be_stopped(database: Database) -> None:
    """By what is asked from time to time whether to go on."""
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
    asked = []

    def stopped() -> int:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(StoreError, match="interrupted"):
        query.ask(database, endless, stopped)
    assert len(asked) == 4


def test_a_fault_amid_the_rows_is_told(database: Database) -> None:
    """Some are found only when a row is made."""
    _, rows = query.ask(database, "SELECT json(value) FROM json_each('[1, 2, \"x\"]')", on)
    assert next(rows) == ("1",)
    with pytest.raises(UsageError, match="malformed JSON"):
        next(rows)
