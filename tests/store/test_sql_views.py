"""The views are the interface for SQL users: their columns, and the questions in docs/sql.md."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Step, Workflow
from store.tables import VIEWS

DOC = (Path(__file__).parents[2] / "docs" / "sql.md").read_text("utf-8")
QUESTIONS = dict(re.findall(r"### (.+?)\n\n```sql\n(.+?)```", DOC, re.DOTALL))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """Give a store after three real runs: one step fails once in each, one for good in the last."""
    folder = tmp_path_factory.mktemp("sql")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGINE_HOME", str(folder))
        patch.chdir(folder)
        for number in range(3):
            _workflow(last=number == 2).run(fresh=True, params={"day": number})
    connection = sqlite3.connect(f"file:{folder}/runs.db?mode=ro", uri=True)
    yield connection
    connection.close()


def _workflow(*, last: bool) -> Workflow:
    tries: list[int] = []

    def flaky(_ctx: object) -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("first try")
        return len(tries)

    def doomed(_ctx: object) -> None:
        if last:
            raise RuntimeError("for good")

    return (
        Workflow("flow", params={"day": 0})
        .add(Step("flaky", flaky, backoff=0))
        .add(Step("doomed", doomed, retries=0, depends_on=["flaky"]))
        .add(Step("after", lambda _ctx: None, depends_on=["doomed"]))
    )


def _rows(store: sqlite3.Connection, sql: str) -> list[tuple[object, ...]]:
    return store.execute(sql).fetchall()


def test_there_are_five_questions() -> None:
    """The document asks what it says it asks."""
    assert len(QUESTIONS) == 5


@pytest.mark.parametrize(
    "line", re.findall(r"^\| `(\w+)` \|.+\| (`id`.+|`\w+`.+) \|$", DOC, re.MULTILINE)
)
def test_columns_are_as_told(store: sqlite3.Connection, line: tuple[str, str]) -> None:
    """Each view has exactly the columns that the document lists."""
    view, text = line
    told = re.findall(r"`(\w+)`", text)
    found = [row[1] for row in _rows(store, f"PRAGMA table_info({view})")]
    assert sorted(found) == sorted(told)


def test_every_view_is_told() -> None:
    """The document names the views of the store, and no others."""
    assert set(re.findall(r"^\| `(\w+)` \|", DOC, re.MULTILINE)) == set(VIEWS)


def _asked(store: sqlite3.Connection, question: str) -> list[tuple[object, ...]]:
    return _rows(store, next(sql for text, sql in QUESTIONS.items() if text.startswith(question)))


def test_slowest(store: sqlite3.Connection) -> None:
    """The steps that have gone well, each once."""
    assert {row[1] for row in _asked(store, "Which steps take longest")} == {
        "flaky",
        "doomed",
        "after",
    }


def test_flaky(store: sqlite3.Connection) -> None:
    """Each of the three runs was saved by a retry."""
    assert _asked(store, "Which steps are flaky") == [("flow", "flaky", 3)]


def test_time_lost(store: sqlite3.Connection) -> None:
    """Three first tries and one failure for good."""
    lost = {row[1]: row[2] for row in _asked(store, "How much time")}
    assert lost == {"flaky": 3, "doomed": 1}


def test_what_failed(store: sqlite3.Connection) -> None:
    """Newest run first, with the error's text."""
    rows = _asked(store, "What failed in the last seven days")
    assert rows[0] == (3, "flow", "doomed", 1, "failed", "RuntimeError: for good")
    assert [row[0] for row in rows] == [3, 3, 2, 1]


def test_day_by_day(store: sqlite3.Connection) -> None:
    """Three runs, two of them ok (on one day, or two around midnight)."""
    rows = _asked(store, "How did a workflow")
    assert sum(int(str(row[2])) for row in rows) == 3
    assert sum(int(str(row[3])) for row in rows) == 2


def test_times_are_iso_text_in_utc(store: sqlite3.Connection) -> None:
    """With milliseconds, so that text sorts as time."""
    for (text,) in _rows(
        store, "SELECT started_at FROM attempts UNION SELECT finished_at FROM runs"
    ):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(text))
