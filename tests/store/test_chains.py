"""Chains of runs: what a continuation takes over, over any number of them."""

from __future__ import annotations

import json

import pytest

from engine.errors import UsageError
from engine.events import BackOff, Claim, EndAttempt
from engine.model import AttemptOutcome, StepStatus
from engine.past import PastStep
from engine.produced import OutputFile
from store import locks
from store.connection import Database
from store.history import History
from store.new_run import OWN_KEY, Reused, TakenOver
from store.past import PastRun
from store.reconcile import Said, reconcile
from tests.store.filled import (
    a_run,
    begun,
    dead_owner,
    did,
    end,
    journal_of,
    settle,
    us,
)


def by_name(past: PastRun) -> dict[str, PastStep]:
    """Steps of a past run."""
    return {step.name: step for step in past.steps}


def died(database: Database, *, mine: locks.RunLock | None = None, why: str = "") -> None:
    """Record the death of every engine that is dead, and that this one has stopped."""
    reconcile(
        database,
        mine=mine,
        channels=lambda _: [],
        now_us=us(9e6),
        publish=lambda _: None,
        said=Said(why),
    )


def test_a_past_run_holds_what_a_continuation_needs(database: Database, history: History) -> None:
    """Definition, status, files and origin of every step."""
    file = OutputFile("/tmp/.t", "/tmp/t", "5" * 64, 3)
    journal = begun(database, "a b>a c>b", at=3.0, context_sha256="c", params='{"n":1}')
    did(journal, 0, files=[file])
    did(journal, 1, outcomes="failed")
    settle(journal, 2, "skipped", note="dependency failed: b")
    end(journal, "failed")
    past = history.past(1)
    assert (past.run_id, past.workflow, past.status) == (1, "flow", "failed")
    assert (past.params, past.context_sha256) == ('{"n":1}', "c")
    assert (past.started_at, past.root_run, past.root_started_at) == (us(3.0), 1, us(3.0))
    a, b, c = past.steps
    assert a == PastStep(
        name="a",
        status=StepStatus.OK,
        note="",
        fingerprint="print-a",
        parts={"code": "a"},
        source_run=1,
        used=0,
        retry_at=None,
        key_run=1,
        lost=0,
        files=(("/tmp/t", "5" * 64),),
    )
    assert (b.status, b.used, b.retry_at, b.depends_on) == ("failed", 0, None, ("a",))
    assert (c.status, c.note, c.own_skip) == ("skipped", "dependency failed: b", False)
    assert past.steps is past.steps  # they are read once
    with pytest.raises(UsageError, match="there is no run 2"):
        history.past(2)


def test_a_chain_has_one_root_and_one_newest(database: Database, history: History) -> None:
    """Every run of it leads to both, whatever else ran between."""
    a_run(database, "failed", at=0.0)
    a_run(database)
    a_run(database, "failed", at=50.0, resumed_from=1, root_run=1)
    a_run(database, "failed", at=90.0, resumed_from=3, root_run=1)
    for run_id in (1, 3, 4):
        newest = history.newest_of_chain(run_id)
        assert (newest.run_id, newest.root_run, newest.root_started_at) == (4, 1, us(0.0))
        assert history.initial_run(run_id) == 1
    assert history.newest_of_chain(2).run_id == 2


def test_a_cached_steps_files_are_those_of_its_source(database: Database, history: History) -> None:
    """They are found by name, wherever the step stands by now."""
    journal = begun(database, "a b>a")
    did(journal, 1, files=[OutputFile("/tmp/.t", "/tmp/t", "5" * 64, 3)])
    end(journal, "failed")
    taken = [TakenOver(0, StepStatus.CACHED, "ok in run 1", source_run=1)]
    journal = begun(database, "b new", resumed_from=1, root_run=1, taken_over=taken)
    step = history.past(2).steps[0]
    assert (step.source_run, step.files) == (1, (("/tmp/t", "5" * 64),))


def test_a_budget_goes_down_the_chain(database: Database, history: History) -> None:
    """What a waiting step had used is kept over several runs, until it fails for good or is ok."""
    failed = AttemptOutcome.FAILED

    def fails_and_waits(run_id: int, number: int, until: float) -> None:
        journal = journal_of(database, run_id)
        journal.commit_tick([Claim(0, number, 0.0, report=False)])
        ended = EndAttempt(0, number, failed, 0.0, 1.0, "x")
        journal.commit_tick([ended, BackOff(0, number, until)])

    def state() -> tuple[int, int | None, int]:
        step = history.newest_of_chain(1).steps[0]
        return step.used, step.retry_at, step.lost

    fails_and_waits(begun(database, "a", owner=dead_owner()).run_id, 1, 30.0)
    died(database)
    assert state() == (1, us(30.0), 0)
    taken = [TakenOver(0, used=1, retry_at=us(30.0))]
    more = {"root_run": 1, "owner": dead_owner(), "taken_over": taken}
    begun(database, "a", resumed_from=1, **more)
    assert history.steps(2)[0]["next_attempt_at"] is None  # its engine is dead
    assert history.steps(2)[0]["note"] == "its engine died before the retry"
    died(database)
    assert state() == (1, us(30.0), 0)
    third = begun(database, "a", resumed_from=2, **more).run_id
    fails_and_waits(third, 1, 60.0)
    fails_and_waits(third, 2, 90.0)
    died(database)
    assert state() == (3, us(90.0), 0)
    taken = [TakenOver(0, used=3, retry_at=us(90.0))]
    journal = begun(database, "a", resumed_from=3, root_run=1, taken_over=taken)
    did(journal, 0, outcomes="failed")
    end(journal, "failed")
    assert history.newest_of_chain(1).steps[0].status == "failed"


def test_a_wait_carried_over_is_shown(database: Database, history: History) -> None:
    """A step that waits for a retry of an earlier run is backing off, until when is known."""
    lock = locks.acquire(database.path, "flow")
    assert lock is not None
    owner = locks.this_process(lock.name)
    lock.begin(owner)
    a_run(database, "failed")
    taken = [TakenOver(0, used=1, retry_at=us(30.0))]
    more = {"resumed_from": 1, "root_run": 1, "taken_over": taken, "owner": owner.to_text()}
    journal = begun(database, "a b>a", **more)
    first, second = history.steps(2)
    assert (first["status"], first["next_attempt_at"]) == (
        "backing_off",
        "2011-11-14T00:00:30.000Z",
    )
    assert (second["status"], second["next_attempt_at"]) == ("waiting", None)
    journal.commit_tick([Claim(0, 1, 30.0, report=False)])
    assert history.steps(2)[0]["status"] == "running"
    assert history.steps(2)[0]["next_attempt_at"] is None
    lock.release()


def test_attempts_lost_in_a_row(database: Database, history: History) -> None:
    """Only those that had surely started count, and one that failed by itself starts anew."""

    def dies(taken: list[TakenOver], *, surely: bool) -> PastStep:
        lock = locks.acquire(database.path, "flow")
        assert lock is not None
        more = {"taken_over": taken, "owner": dead_owner(), "root_run": 1}
        journal = begun(database, "a", **(more if history.runs() else {"owner": dead_owner()}))
        journal.commit_tick([Claim(0, 1, 0.0, report=False)])
        lock.begin(locks.Owner(lock.name, 1, "gone", 1))
        if surely:
            lock.mark(0, locks.Mark(journal.run_id, 0, 1, us(0.5)))
        lock.release()
        died(database)
        return history.past(journal.run_id).steps[0]

    assert dies([], surely=True).lost == 1
    assert dies([TakenOver(0, lost=1)], surely=True).lost == 2
    third = dies([TakenOver(0, lost=2, used=1)], surely=True)
    assert (third.lost, third.used, third.retry_at) == (3, 1, None)
    assert dies([TakenOver(0, lost=2)], surely=False).lost == 0
    journal = begun(
        database, "a", root_run=1, owner=dead_owner(), taken_over=[TakenOver(0, lost=2)]
    )
    journal.commit_tick([Claim(0, 1, 0.0, report=False)])
    ended = EndAttempt(0, 1, AttemptOutcome.FAILED, 0.0, 1.0, "x")
    journal.commit_tick([ended, BackOff(0, 1, 5.0)])
    died(database)
    assert history.past(journal.run_id).steps[0].lost == 0


def test_an_engine_that_stops_by_itself_blames_no_step(
    database: Database, history: History
) -> None:
    """A full disk may stop three engines in a row: what ran then is no killer of engines."""
    lock = locks.acquire(database.path, "flow")
    assert lock is not None
    owner = locks.this_process(lock.name)
    taken = [TakenOver(0, lost=2)]
    journal = begun(database, "a", owner=owner.to_text(), taken_over=taken, root_run=1)
    lock.begin(owner)
    lock.mark(0, locks.Mark(journal.run_id, 0, 1, us(0.5)))
    journal.commit_tick([Claim(0, 1, 0.0, report=False)])
    died(database, mine=lock, why="the disk of the store is full")
    attempt = "SELECT outcome, error FROM attempts"
    assert database.raw.execute(attempt).fetchall() == [("interrupted", "its engine stopped")]
    step = history.past(journal.run_id).steps[0]
    assert (step.status, step.lost, step.retry_at) == ("interrupted", 0, None)
    lock.release()


def test_what_stands_in_an_idempotency_key(database: Database, history: History) -> None:
    """The root, until a run redoes what had been ok; from then on that run."""
    a_run(database)
    taken = [TakenOver(0, key_run=OWN_KEY)]
    second = begun(database, "a b", resumed_from=1, root_run=1, taken_over=taken).run_id
    assert {n: s.key_run for n, s in by_name(history.past(second)).items()} == {"a": 2, "b": 1}
    taken = [TakenOver(0, key_run=2), TakenOver(1, used=1)]
    third = begun(database, "a b", resumed_from=2, root_run=1, taken_over=taken).run_id
    assert {n: s.key_run for n, s in by_name(history.past(third)).items()} == {"a": 2, "b": 1}


def test_one_definition_for_runs_that_are_alike(database: Database, history: History) -> None:
    """It is recorded once; another order, name or print is another one."""
    for text in ("a b>a", "a b>a", "a b", "b a>b"):
        begun(database, text)
    begun(database, "a b>a", workflow="other")
    sql = "SELECT definition_id FROM run_rows ORDER BY id"
    assert [row[0] for row in database.raw.execute(sql)] == [1, 1, 2, 3, 4]
    assert [step.name for step in history.past(4).steps] == ["b", "a"]
    assert json.dumps(history.past(2).steps[1].parts) == '{"code": "b"}'


def test_steps_reused_together_are_recorded_as_each_would_be(
    database: Database, history: History
) -> None:
    """Their rows and events are the same; only that those of one source have their events first."""
    for _ in range(2):
        a_run(database, "failed")
    rest = [TakenOver(3, StepStatus.SKIPPED, "no rows", 1), TakenOver(4, used=1)]
    each = [TakenOver(at, StepStatus.CACHED, f"ok in run {of}", of) for at, of in ((0, 1), (2, 1))]
    last = [TakenOver(1, StepStatus.CACHED, "ok in run 2", 2)]
    reused = [Reused(1, "ok in run 1", [0, 2]), Reused(2, "ok in run 2", [1])]
    third = begun(database, "a b c d e", taken_over=[*each, *last, *rest])
    fourth = begun(database, "a b c d e", taken_over=rest, reused=reused, at=9.0)
    with database.read() as cursor:
        rows = [
            cursor.execute(
                "SELECT position, status, ended_at, note, source_run, seq FROM step_rows"
                " WHERE run_id = ? ORDER BY position",
                (journal.run_id,),
            ).fetchall()
            for journal in (third, fourth)
        ]
        counts = cursor.execute(
            "SELECT steps, events, ok, skipped, cached FROM run_rows WHERE id >= 3"
        ).fetchall()
    assert rows[0] == rows[1]
    assert rows[1][1:3] == [
        (1, "cached", None, "ok in run 2", 2, 3),
        (2, "cached", None, "ok in run 1", 1, 2),
    ]
    assert counts == [(5, 4, 0, 1, 3)] * 2
    assert history.past(3).steps[4].used == history.past(4).steps[4].used == 1
