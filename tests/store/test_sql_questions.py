"""The cookbook of docs/sql.md, on runs whose times are known: every figure is exact."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.model import StepStatus
from store.database import open_writer
from store.new_run import TakenOver
from tests.store.filled import begun, did, end, us, value
from tests.store.test_sql_views import QUESTIONS

DAY = 86_400.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """Give a store that knows six runs of `daily` on four days, and two of `sales`."""
    path = tmp_path_factory.mktemp("questions") / "runs.db"
    database = open_writer(path)
    # Monday the 14th: well; Tuesday: failed, gone on with; Wednesday and Friday: well.
    for at, took, status in ((0.0, 10.0, "ok"), (DAY, 20.0, "failed")):
        run = begun(database, "load tidy>load", workflow="daily", started_by="timer", at=at)
        did(run, 0, at=at + 1.0, took=4.0, writes=[("load", value(b"12345"))])
        did(run, 1, at=at + 5.0, took=2.0, outcomes=status)
        end(run, status, at=at + took)
    taken = TakenOver(0, StepStatus.CACHED, "ok in run 2", 2)
    again = begun(
        database, "load tidy>load", workflow="daily", at=DAY + 60, taken_over=[taken],
        resumed_from=2, root_run=2,
    )  # fmt: skip
    did(again, 1, at=DAY + 61, took=2.0)
    end(again, at=DAY + 64)
    for day, took in ((2, 4.0), (4, 40.0)):
        run = begun(database, "load", workflow="daily", started_by="timer", at=day * DAY)
        did(run, 0, at=day * DAY, took=took, outcomes="failed ok")
        end(run, at=day * DAY + 50.0)
    sales = begun(database, "sum", workflow="sales", at=40 * DAY)
    did(sales, 0, at=40 * DAY, took=3.0, writes=[("total", value(b"1234567890"))])
    end(sales, at=40 * DAY + 4.0)
    failed = begun(database, "sum", workflow="sales", at=41 * DAY)
    did(failed, 0, at=41 * DAY, took=3.0, outcomes="failed")
    end(failed, "failed", at=41 * DAY + 4.0)
    with database.write() as cursor:
        row = "INSERT INTO alert_rows VALUES (?, 7, 'slack', ?, ?, ?, NULL, ?, ?)"
        cursor.execute(row, (1, "sent", us(0.0), 1, us(30.0), ""))
        cursor.execute(row, (2, "sent", us(0.0), 3, us(90.0), ""))
        cursor.execute(row, (3, "given_up", us(0.0), 9, None, "404"))
    database.close()
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    yield connection
    connection.close()


TRUE: dict[str, list[tuple[Any, ...]]] = {
    "How does each workflow stand?": [
        ("sales", "failed", 7, "2011-12-25T00:00:00.000Z", "2011-12-24T00:00:00.000Z"),
        ("daily", "ok", 5, "2011-11-18T00:00:00.000Z", "2011-11-18T00:00:00.000Z"),
    ],
    "How often does each workflow succeed?": [
        ("sales", "2011-12-19", 2, 1, 50.0),
        ("daily", "2011-11-14", 5, 4, 80.0),
    ],
    "How many runs in a row went well?": [
        ("daily", 3, "2011-11-15T00:01:00.000Z", "2011-11-18T00:00:00.000Z"),
        ("sales", 1, "2011-12-24T00:00:00.000Z", "2011-12-24T00:00:00.000Z"),
        ("daily", 1, "2011-11-14T00:00:00.000Z", "2011-11-14T00:00:00.000Z"),
    ],
    "What were the longest gaps between scheduled runs?": [
        ("daily", "2011-11-16T00:00:00.000Z", "2011-11-18T00:00:00.000Z", 48.0),
        ("daily", "2011-11-14T00:00:00.000Z", "2011-11-15T00:00:00.000Z", 24.0),
        ("daily", "2011-11-15T00:00:00.000Z", "2011-11-16T00:00:00.000Z", 24.0),
    ],
    "How long does each step usually take?": [
        ("daily", "load", 4, 4.0, 40.0),
        ("sales", "sum", 1, 3.0, 3.0),
        ("daily", "tidy", 2, 2.0, 2.0),
    ],
    "Which days were slowest?": [
        ("2011-11-16", "daily", 1, 50.0, 50.0),
        ("2011-11-18", "daily", 1, 50.0, 50.0),
        ("2011-11-14", "daily", 1, 10.0, 10.0),
        ("2011-11-15", "daily", 1, 4.0, 4.0),
        ("2011-12-24", "sales", 1, 4.0, 4.0),
    ],
    "Where did the time of the last run go?": [("load", 50.0, "#" * 40)],
    "How busy were the workers?": [
        (7, "sales", 4, 4.0, 18.8),
        (6, "sales", 4, 4.0, 18.8),
        (5, "daily", 4, 50.0, 40.0),
        (4, "daily", 4, 50.0, 4.0),
        (3, "daily", 4, 4.0, 12.5),
        (2, "daily", 4, 20.0, 7.5),
        (1, "daily", 4, 10.0, 15.0),
    ],
    "How much time did going on save?": [(3, "daily", 1, 4.0)],
    "What do steps die of?": [
        ("daily", "load", "ValueError: no luck", 2, 5),
        ("sales", "sum", "ValueError: no luck", 1, 7),
        ("daily", "tidy", "ValueError: no luck", 1, 2),
    ],
    "Which alerts came late, or not at all?": [
        (3, "sales", 7, "slack", "given_up", 9, None, "404"),
        (2, "sales", 7, "slack", "sent", 3, 90.0, ""),
    ],
    "What was running at a given moment?": [],
    "Which values take the most room?": [
        ("daily", "load", "load", 2, 10, 5),
        ("sales", "sum", "total", 1, 10, 10),
    ],
    "How fast does the store grow?": [("2011-12", 2, 2, 10), ("2011-11", 5, 9, 10)],
}


@pytest.mark.parametrize("question", TRUE)
def test_the_answer_is_true(store: sqlite3.Connection, question: str) -> None:
    """To the last digit, in the order told."""
    assert store.execute(QUESTIONS[question]).fetchall() == TRUE[question]


def test_a_moment_within_an_attempt(store: sqlite3.Connection) -> None:
    """Has that attempt, and nothing that had ended by then."""
    asked = QUESTIONS["What was running at a given moment?"]
    at = asked.replace("2011-11-14T00:00:12Z", "2011-11-14T00:00:05.500Z")
    assert store.execute(at).fetchall() == [
        (1, "daily", "tidy", 1, "2011-11-14T00:00:05.000Z", "2011-11-14T00:00:07.000Z")
    ]


def test_the_line_of_a_step_begins_where_it_did(store: sqlite3.Connection) -> None:
    """Of 10 s: 1 s to the first step, which took 4; the second began after 5, and took 2."""
    asked = QUESTIONS["Where did the time of the last run go?"]
    first = asked.replace("WHERE r.id = (SELECT max(id) ", "WHERE r.id = (SELECT min(id) ")
    assert store.execute(first).fetchall() == [
        ("load", 4.0, "." * 4 + "#" * 16),
        ("tidy", 2.0, "." * 20 + "#" * 8),
    ]


def test_what_takes_longer_than_it_did(tmp_path: Path) -> None:
    """Five lately against those before; what is only a little slower is not there."""
    database = open_writer(tmp_path / "runs.db")
    for at in range(10):
        run = begun(database, "a b", workflow="daily", at=100.0 * at)
        did(run, 0, at=100.0 * at, took=1.0 if at < 5 else 4.0)
        did(run, 1, at=100.0 * at, took=1.0 if at < 5 else 1.5)
        end(run, at=100.0 * at + 50.0)
    database.close()
    connection = sqlite3.connect(tmp_path / "runs.db")
    found = connection.execute(QUESTIONS["What takes longer than it did?"]).fetchall()
    connection.close()
    assert found == [("daily", "a", 4.0, 1.0)]
