"""The views are as docs/sql.md tells, and its questions have true answers on real runs."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from engine import RetryAfter, Step, Workflow
from engine.alert import AlertStatus
from engine.model import AttemptOutcome, RunStatus, StepStatus
from store.database import open_writer
from store.new_run import ITSELF, Marked, TakenOver
from store.views import VIEWS
from tests.store.filled import CHECKOUT, begun, did, end, settle, value

PAGE = (CHECKOUT / "docs" / "sql.md").read_text(encoding="utf-8")
QUESTIONS = dict(
    re.findall(r"^## ([^\n]+\?)$.*?^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def columns(view: str) -> list[tuple[str, str]]:
    """Give name and meaning of each column that the page lists for a view."""
    section = PAGE.partition(f"\n### {view}\n")[2].partition("\n#")[0]
    return re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)


def failing(ctx: Any) -> None:
    """Be a step without luck."""
    if ctx.attempt:
        raise ValueError("no luck\nsecond line")


def second_time(ctx: Any) -> int:
    """Be a step that is asked to come again, once."""
    if ctx.attempt == 1:
        raise RetryAfter(0.05, "not yet")
    return 7


def number(ctx: Any) -> int:
    """Be a step that gives a number."""
    return int(ctx.attempt)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """Give a store with runs of two workflows: daily fails, goes on and is ok; other is ok."""
    folder = tmp_path_factory.mktemp("real")
    path = folder / "var" / "runs.db"
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for name in ("ENGINE_STORE", "ENGINE_HOME", "ENGINE_PIPELINES", "SLACK_WEBHOOK_URL"):
            patched.delenv(name, raising=False)
        for last in (failing, number):
            report = (
                Workflow("daily")
                .add(Step("fetch", number))
                .add(Step("transform", second_time, depends_on=["fetch"]))
                .add(Step("report", last, depends_on=["transform"], retries=0))
                .add(Step("deliver", number, depends_on=["report"]))
                .run({"start": 1}, store=f"sqlite:///{path}")
            )
            assert report["status"] == ("failed" if last is failing else "ok"), report
        other = Workflow("other").add(Step("only", number)).run(store=f"sqlite:///{path}")
        assert other["status"] == "ok"
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    yield connection
    connection.close()


def ask(connection: sqlite3.Connection, sql: str) -> list[dict[str, Any]]:
    """Give a question's answer, by column."""
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def answer(connection: sqlite3.Connection, question: str) -> list[dict[str, Any]]:
    """Give the answer to one of the page's questions."""
    return ask(connection, QUESTIONS[question])


# -- the views ------------------------------------------------------------------------------------


def test_every_view_is_documented() -> None:
    """The page has a section for each, and for nothing else."""
    assert sorted(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == sorted(VIEWS)


@pytest.mark.parametrize("view", VIEWS)
def test_columns_are_as_documented(real: sqlite3.Connection, view: str) -> None:
    """Every column, in order."""
    there = [row[1] for row in real.execute(f"PRAGMA table_info({view})")]
    assert [name for name, _ in columns(view)] == there


@pytest.mark.parametrize(
    ("view", "column", "words"),
    [
        ("runs", "status", RunStatus),
        ("attempts", "outcome", AttemptOutcome),
        ("alerts", "status", AlertStatus),
    ],
)
def test_words_are_as_documented(view: str, column: str, words: type[StrEnum]) -> None:
    """What a status can be is what the page lists."""
    meaning = dict(columns(view))[column]
    assert set(re.findall(r"`(\w+)`", meaning)) == set(words)


def test_step_words_are_as_documented() -> None:
    """A step is never just ready in the store, and a dry run leaves none."""
    meaning = dict(columns("step_runs"))["status"]
    told = set(re.findall(r"`(\w+)`", meaning))
    assert told == set(StepStatus) - {"ready", "dry-run"}


def test_times_are_iso_text(real: sqlite3.Connection) -> None:
    """In every view, every time that is there; durations are seconds."""
    seen = set()
    for view in VIEWS:
        for row in ask(real, f"SELECT * FROM {view}"):
            for name, found in row.items():
                if name.endswith("_at") and found is not None:
                    assert ISO.fullmatch(found), (view, name, found)
                    seen.add((view, name))
                if name.endswith("_s") and found is not None:
                    assert isinstance(found, float)
                    assert 0 <= found < 60, (view, name, found)
    assert ("attempts", "retry_at") in seen
    assert ("step_stats", "last_started_at") in seen


def test_a_duration_is_the_time_between(real: sqlite3.Connection) -> None:
    """To the millisecond that the texts show."""
    for view in ("runs", "attempts", "step_runs"):
        rows = ask(
            real,
            f"SELECT duration_s, (julianday(finished_at) - julianday(started_at)) * 86400 AS s"
            f" FROM {view} WHERE started_at IS NOT NULL",
        )
        assert rows
        for row in rows:
            assert row["duration_s"] == pytest.approx(row["s"], abs=0.002)


def test_milliseconds_have_three_digits(tmp_path: Path) -> None:
    """A time shortly after a full second sorts as text where it belongs."""
    database = open_writer(tmp_path / "runs.db")
    begun(database, "a", at=1.007)
    begun(database, "a", at=1.07)
    found = [row[0] for row in database.raw.execute("SELECT started_at FROM runs ORDER BY id")]
    database.close()
    assert found == ["2011-11-14T00:00:01.007Z", "2011-11-14T00:00:01.070Z"]


def test_the_run_that_went_on(real: sqlite3.Connection) -> None:
    """Chain, reuse, retries and values read as the page says."""
    assert ask(
        real, "SELECT id, workflow, status, resumed_from, root_run, started_by FROM runs"
    ) == [
        {"id": 1, "workflow": "daily", "status": "failed", "resumed_from": None, "root_run": 1,
         "started_by": "library"},
        {"id": 2, "workflow": "daily", "status": "ok", "resumed_from": 1, "root_run": 1,
         "started_by": "library"},
        {"id": 3, "workflow": "other", "status": "ok", "resumed_from": None, "root_run": 3,
         "started_by": "library"},
    ]  # fmt: skip
    steps = "SELECT step, status, source_run, attempts FROM step_runs WHERE run_id = 2"
    assert [tuple(row.values()) for row in ask(real, steps + " ORDER BY position")] == [
        ("fetch", "cached", 1, 0),
        ("transform", "cached", 1, 0),
        ("report", "ok", None, 1),
        ("deliver", "ok", None, 1),
    ]
    summary = "SELECT steps, ok, cached, failed, skipped, attempts, retries FROM run_summary"
    assert [tuple(row.values()) for row in ask(real, summary + " ORDER BY run_id")] == [
        (4, 2, 0, 1, 1, 4, 1),
        (4, 2, 2, 0, 0, 2, 0),
        (1, 1, 0, 0, 0, 1, 0),
    ]
    values = "SELECT run_id, step, key, CAST(data AS TEXT) FROM outputs ORDER BY run_id, step"
    assert [tuple(row.values()) for row in ask(real, values)] == [
        (1, "", "start", "1"),
        (1, "fetch", "fetch", "1"),
        (1, "transform", "transform", "7"),
        (2, "deliver", "deliver", "1"),
        (2, "report", "report", "1"),
        (3, "only", "only", "1"),
    ]


# -- the questions --------------------------------------------------------------------------------


def test_there_are_twenty_questions_and_more() -> None:
    """Each has one query."""
    assert len(QUESTIONS) == PAGE.count("```sql") == 22


def test_what_came_of_a_backfill(tmp_path: Path) -> None:
    """A value with its run, one that failed, and one that had been done before."""
    database = open_writer(tmp_path / "runs.db")
    for _ in range(2):
        whole = begun(database, "d1 d11 d2", workflow="sales.backfill", backfill=ITSELF)
        for status, at in (("ok", 1.0), ("failed", 2.0)):
            end(begun(database, "a", workflow="sales", backfill=whole.run_id, at=at), status)
        settle(whole, 0, "ok", note=f"run {whole.run_id + 1}")
        settle(whole, 1, "failed", note=f"run {whole.run_id + 2}: step 'a' failed: no")
        settle(whole, 2, "skipped", note="ok in run 2")
    database.close()
    connection = sqlite3.connect(tmp_path / "runs.db")
    assert [tuple(row.values()) for row in answer(connection, "What came of a backfill?")] == [
        ("d1", "ok", 5, 4.0, "run 5"),
        ("d11", "failed", 6, 3.0, "run 6: step 'a' failed: no"),
        ("d2", "skipped", None, None, "ok in run 2"),
    ]
    connection.close()


def test_slowest_steps(real: sqlite3.Connection) -> None:
    """By mean time of what went well, longest first."""
    rows = answer(real, "Which steps are slowest?")
    assert {(row["workflow"], row["step"], row["times"]) for row in rows} == {
        ("daily", "fetch", 1),
        ("daily", "transform", 1),
        ("daily", "report", 1),
        ("daily", "deliver", 1),
        ("other", "only", 1),
    }
    means = [row["mean_s"] for row in rows]
    assert means == sorted(means, reverse=True)


def test_flakiest_steps(real: sqlite3.Connection) -> None:
    """One of two attempts of each failed; what never failed is not there."""
    assert answer(real, "Which steps fail most often?") == [
        {"workflow": "daily", "step": step, "failed": 1, "ok": 1, "percent": 50.0}
        for step in ("report", "transform")
    ]


def test_time_lost_to_retries(real: sqlite3.Connection) -> None:
    """The wait before the second attempt, and the first attempt with it."""
    rows = answer(real, "How much time went into retries?")
    assert [(r["workflow"], r["step"], r["runs"], r["retries"]) for r in rows] == [
        ("daily", "transform", 1, 1)
    ]
    assert 0.05 <= rows[0]["lost_s"] <= 5


def test_what_failed_last_week(real: sqlite3.Connection) -> None:
    """The failed step with its error's first line, of recent runs only."""
    rows = answer(real, "What failed in the last week?")
    assert [(r["run"], r["workflow"], r["step"], r["attempt"], r["error"]) for r in rows] == [
        (1, "daily", "report", 1, "ValueError: no luck")
    ]


def test_how_long_a_step_took(real: sqlite3.Connection) -> None:
    """One row per run in which it ran; where it was taken over it took no time."""
    rows = answer(real, "How long did a step take in each run?")
    assert [(r["run"], r["status"], r["attempts"]) for r in rows] == [(1, "ok", 2)]
    assert 0.05 <= rows[0]["duration_s"] <= 5


def test_answers_are_exact(tmp_path: Path) -> None:
    """On runs whose times are known the figures are, too; what is over a week old is left out."""
    path = tmp_path / "runs.db"
    database = open_writer(path)
    for at, took, outcomes in ((0.0, 2.0, "failed failed ok"), (100.0, 4.0, "ok")):
        journal = begun(database, "transform", workflow="daily", at=at)
        did(journal, 0, at=at, took=took, outcomes=outcomes)
        end(journal, at=at + 50)
    journal = begun(database, "transform", workflow="daily", at=200.0)
    did(journal, 0, at=200.0, outcomes="failed")
    end(journal, "failed", at=250.0)
    database.close()
    connection = sqlite3.connect(path)
    assert answer(connection, "Which steps are slowest?") == [
        {"workflow": "daily", "step": "transform", "times": 2, "mean_s": 3.0, "max_s": 4.0}
    ]
    assert answer(connection, "Which steps fail most often?") == [
        {"workflow": "daily", "step": "transform", "failed": 3, "ok": 2, "percent": 60.0}
    ]
    assert answer(connection, "How much time went into retries?") == [
        {"workflow": "daily", "step": "transform", "runs": 1, "retries": 2, "lost_s": 20.0}
    ]
    assert answer(connection, "What failed in the last week?") == []
    shown = answer(connection, "How long did a step take in each run?")
    assert [(r["run"], r["status"], r["duration_s"], r["attempts"]) for r in shown] == [
        (3, "failed", 1.0, 1),
        (2, "ok", 4.0, 1),
        (1, "ok", 22.0, 3),
    ]
    connection.close()


def test_what_people_decided(tmp_path: Path) -> None:
    """Newest first; a run in which nobody decided anything is not there."""
    path = tmp_path / "runs.db"
    database = open_writer(path)
    begun(database, "a")
    begun(database, "a b>a", only_steps='["b"]')
    done = TakenOver(1, StepStatus.OK, "marked as done by bob")
    mark = Marked(1, "bob", [("k", value())])
    begun(database, "a b>a", at=5.0, taken_over=[done], marked=[mark])
    database.close()
    connection = sqlite3.connect(path)
    told = {"workflow": "flow", "user": "ann"}
    assert answer(connection, "What did people decide?") == [
        {"run": 3, **told, "only_steps": "", "marked": "b", "marked_by": "bob"},
        {"run": 2, **told, "only_steps": '["b"]', "marked": None, "marked_by": None},
    ]
    shown = "SELECT status, note, duration_s, finished_at FROM step_runs WHERE marked_by = 'bob'"
    assert connection.execute(shown).fetchall() == [
        ("ok", "marked as done by bob", 0.0, "2011-11-14T00:00:05.000Z")
    ]
    connection.close()
