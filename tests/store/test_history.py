"""The read side: runs, steps, chains and medians, as they truly stand."""

from __future__ import annotations

import time  # noqa: TID251 - how long a question takes is what is tested
from itertools import pairwise
from pathlib import Path

import pytest

from engine.errors import StoreError, UsageError
from engine.events import BackOff, Claim, EndAttempt
from engine.model import AttemptOutcome, RunStatus
from store import locks
from store.connection import Database
from store.database import open_reader
from store.history import History
from store.journal import begin_run, record_ended_run
from tests.store.filled import (
    a_run,
    begun,
    dead_owner,
    did,
    end,
    new_run,
    settle,
    us,
    value,
)

MINUTE = 60.0


def ids(rows: list[dict[str, object]]) -> list[object]:
    """Numbers of the runs in a listing."""
    return [row["run_id"] for row in rows]


# -- runs -----------------------------------------------------------------------------------------


def test_a_run_as_it_is_listed(database: Database, history: History) -> None:
    """Counts, times and what it belongs to."""
    journal = begun(database, "a b>a c>b d", at=1.0, params='{"n": 1}', note="")
    did(journal, 0, at=1.0)
    did(journal, 1, at=2.0, outcomes="failed failed")
    settle(journal, 2, "skipped", at=13.0, note="dependency failed: b")
    settle(journal, 3, "cancelled", at=13.0, note="not started")
    end(journal, "failed", at=13.5, note="why")
    assert history.runs() == [
        {
            "id": 1,
            "run_id": 1,
            "workflow": "flow",
            "status": "failed",
            "started_at": "2011-11-14T00:00:01.000Z",
            "finished_at": "2011-11-14T00:00:13.500Z",
            "duration_s": 12.5,
            "steps": 4,
            "ok": 1,
            "cached": 0,
            "failed": 1,
            "skipped": 1,
            "attempts": 3,
            "retries": 1,
            "resumed_from": None,
            "root_run": 1,
            "note": "why",
            "params": '{"n": 1}',
            "started_by": "hand",
            "only_steps": "",
            "backfill": None,
            "zone": None,
        }
    ]
    run = history.run(1)
    assert (run["user"], run["host"], run["workers"]) == ("ann", "here", 4)
    assert (run["status"], run["note"], run["duration_s"]) == ("failed", "why", 12.5)
    assert "owner" not in run


def test_listings_are_cut_as_asked(database: Database, history: History) -> None:
    """By workflow, age, outcome and number; newest first."""
    for minute, (workflow, status) in enumerate(
        [("a", "ok"), ("b", "failed"), ("a", "interrupted"), ("a", "ok"), ("b", "cancelled")]
    ):
        a_run(database, status, at=minute * MINUTE, workflow=workflow)
    assert ids(history.runs()) == [5, 4, 3, 2, 1]
    assert ids(history.runs(workflow="a")) == [4, 3, 1]
    assert ids(history.runs(workflow="nobody")) == []
    assert ids(history.runs(workflow="\udcff")) == []
    assert ids(history.runs(failed=True)) == [5, 3, 2]
    assert ids(history.runs(failed=True, limit=2)) == [5, 3]
    assert ids(history.runs(limit=2)) == [5, 4]
    assert ids(history.runs(since="2011-11-14T00:02:00")) == [5, 4, 3]
    assert ids(history.runs(since="2011-11-14T00:02:01", workflow="a")) == [4]
    assert ids(history.runs(since="2011-11-13")) == [5, 4, 3, 2, 1]


def test_a_run_is_found_by_number_name_or_latest(database: Database, history: History) -> None:
    """What is not there is said, with where to look."""
    with pytest.raises(UsageError, match=r"^there is no run yet in this store$"):
        history.find("latest")
    for workflow in ("a", "b", "a", "b"):
        a_run(database, workflow=workflow)
    assert [history.find(name) for name in ("2", "latest", "a")] == [2, 4, 3]
    for name in ("5", "0", "99999999999999999999"):
        with pytest.raises(UsageError) as caught:
            history.find(name)
        assert caught.value.message == f"there is no run {name}"
        assert caught.value.hint == "see `history` for the runs"
    for name in ("c", "\udcff", "-1", "٢", "", "  ", "9" * 5_000):
        with pytest.raises(UsageError, match="there is no run of a workflow '"):
            history.find(name)


def test_what_began_no_step_decides_nothing(database: Database, history: History) -> None:
    """A skipped run, or one wrong at its definition, is listed, and no more."""
    assert history.newest("flow") is None
    assert history.previous_status("flow") is None
    assert history.unfinished("flow") is None
    a_run(database, "failed")
    a_run(database)
    record_ended_run(database, new_run("", note="run 9 is on"), RunStatus.SKIPPED)
    record_ended_run(database, new_run("", note="no module"), RunStatus.FAILED, ["slack"])
    assert ids(history.runs()) == [4, 3, 2, 1]
    newest = history.newest("flow")
    assert newest is not None
    assert newest.run_id == 2
    assert history.previous_status("flow") == "ok"
    assert history.previous_status("flow", before=2) == "failed"
    assert history.unfinished("flow") is None
    assert history.succeeded("flow", "{}", "") == 2
    assert history.steps(4) == []
    assert history.run(4)["duration_s"] == 0.0
    assert ids(history.alerts()) == [4]


def test_equal_parameters(database: Database, history: History) -> None:
    """Newest and ok are asked for by parameters and by initial context."""
    a_run(database, params='{"n":1}')
    a_run(database, "failed", params='{"n":1}')
    a_run(database, params='{"n":2}')
    a_run(database, params='{"n":1}', context_sha256="c")

    def newest(**more: str) -> int | None:
        past = history.newest("flow", **more)
        return None if past is None else past.run_id

    assert newest() == 4
    assert newest(params='{"n":1}') == 4
    assert newest(params='{"n":1}', context_sha256="") == 2
    assert newest(params='{"n":2}', context_sha256="") == 3
    assert newest(params='{"n":3}', context_sha256="") is None
    assert history.succeeded("flow", '{"n":1}', "") == 1
    assert history.succeeded("flow", '{"n":1}', "c") == 4
    assert history.succeeded("flow", '{"n":3}', "") is None
    assert history.succeeded("other", '{"n":1}', "") is None


def test_unfinished_is_the_newest_that_did_not_end_well(
    database: Database, history: History
) -> None:
    """A later good one, or a cancelled one, leaves nothing to go on from."""
    a_run(database, "failed")
    found = history.unfinished("flow")
    assert found is not None
    assert (found["run_id"], found["status"]) == (1, "failed")
    a_run(database, "cancelled")
    assert history.unfinished("flow") is None


# -- steps and attempts ---------------------------------------------------------------------------


def test_steps_and_attempts_of_a_live_run(database: Database, history: History) -> None:
    """Each state tells itself from what was recorded."""
    lock = locks.acquire(database.path, "flow")
    assert lock is not None
    owner = locks.this_process(lock.name)
    lock.begin(owner)
    journal = begun(database, "a b>a c>a d>a", owner=owner.to_text())
    did(journal, 0, at=0.0, took=1.5)
    journal.commit_tick([Claim(1, 1, 2.0, report=False), Claim(2, 1, 2.0, report=False)])
    failed = EndAttempt(2, 1, AttemptOutcome.FAILED, 2.0, 2.25, "boom")
    journal.commit_tick([failed, BackOff(2, 1, 7.125)])
    rows = history.steps(1)
    keys = ("step", "status", "started_at", "duration_s", "attempts", "next_attempt_at")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("a", "ok", "2011-11-14T00:00:00.000Z", 1.5, 1, None),
        ("b", "running", "2011-11-14T00:00:02.000Z", None, 1, None),
        ("c", "backing_off", "2011-11-14T00:00:02.000Z", None, 1, "2011-11-14T00:00:07.125Z"),
        ("d", "waiting", None, None, 0, None),
    ]
    with history.told(1) as told:
        assert [(step.step, step.last, step.error) for step in told] == [
            ("a", 1, ""),
            ("b", 1, ""),
            ("c", 1, "boom"),
            ("d", None, ""),
        ]
    assert history.run(1)["status"] == "running"
    lock.release()


def test_a_dead_run_is_shown_as_such_and_left_as_it_is(path: Path, database: Database) -> None:
    """A reader tells the truth, and not one byte changes."""
    owner = dead_owner()
    journal = begun(database, "a b>a c>a d>a", owner=owner)
    did(journal, 0)
    journal.commit_tick([Claim(1, 1, 2.0, report=False), Claim(2, 1, 2.0, report=False)])
    failed = EndAttempt(2, 1, AttemptOutcome.FAILED, 2.0, 2.25, "boom")
    journal.commit_tick([failed, BackOff(2, 1, 7.0)])
    database.close()
    before = path.read_bytes()
    reader = open_reader(path)
    history = History(reader)
    process = locks.Owner.from_text(owner)
    assert process is not None
    shown = history.run(1)
    assert (shown["status"], shown["dead"]) == ("interrupted", True)
    note = f"its engine died (process {process.pid}); the next run records that"
    assert shown["note"] == history.runs(failed=True)[0]["note"] == note
    assert [(r["step"], r["status"], r["note"]) for r in history.steps(1)] == [
        ("a", "ok", ""),
        ("b", "interrupted", "its engine died"),
        ("c", "interrupted", "its engine died before the retry"),
        ("d", "cancelled", "not started"),
    ]
    past = history.past(1)
    assert past.status == "interrupted"
    assert [str(step.status) for step in past.steps] == [
        "ok",
        "interrupted",
        "interrupted",
        "cancelled",
    ]
    found = history.unfinished("flow")
    assert found is not None
    assert found["run_id"] == 1
    reader.close()
    assert path.read_bytes() == before


def test_ten_thousand_steps_are_no_wait(database: Database, history: History) -> None:
    """What a report asks for takes less than a second of a processor."""
    names = [f"s{number}" for number in range(10_000)]
    text = names[0] + "".join(f" {b}>{a}" for a, b in pairwise(names))
    run_id = begin_run(database, new_run(text))
    with database.write() as cursor:
        attempts = [(run_id, n, 1, us(n), us(n + 1), "ok") for n in range(10_000)]
        cursor.executemany(
            "INSERT INTO attempt_rows (run_id, position, number, started_at, finished_at, outcome)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            attempts,
        )
        steps = [(run_id, n, "ok", us(n + 1), "") for n in range(10_000)]
        cursor.executemany(
            "INSERT INTO step_rows (run_id, position, status, ended_at, note)"
            " VALUES (?, ?, ?, ?, ?)",
            steps,
        )
    begins = time.process_time()
    rows = history.steps(run_id)
    took_s = time.process_time() - begins
    assert [row["step"] for row in rows] == names
    assert {row["duration_s"] for row in rows} == {1.0}
    assert took_s < 1.0
    begins = time.process_time()
    assert len(history.past(run_id).steps) == 10_000
    assert time.process_time() - begins < 2.0


# -- values ---------------------------------------------------------------------------------------


def test_values_by_step_and_key(database: Database, history: History) -> None:
    """The initial context has no step; what is gone is said."""
    journal = begun(database, "a b", context=[("start", value(b"0"))])
    did(journal, 0, writes=[("x", value(b"11")), ("y", value(b"2", "text"))])
    assert history.keys(1) == {"": ["start"], "a": ["x", "y"]}
    assert [(r["step"], r["key"], r["codec"], r["size"]) for r in history.values(1)] == [
        ("", "start", "json", 1),
        ("a", "x", "json", 2),
        ("a", "y", "text", 1),
    ]
    assert history.load(1, "", "start") == value(b"0")
    assert history.load(1, "a", "y") == value(b"2", "text")
    with pytest.raises(StoreError, match="the value 'z' of step 'a' in run 1 is gone"):
        history.load(1, "a", "z")
