"""All that is recorded of a run reads back as it was written."""

from __future__ import annotations

from engine.events import BackOff, Claim, Decide, EndAttempt, EndRun, EndStep
from engine.model import AttemptOutcome, RunStatus, StepStatus
from engine.produced import OutputFile
from engine.session.changes import changes_since_last_good
from store.connection import Database
from store.history import History
from store.new_run import OWN_KEY, TakenOver
from store.run_facts import Decided, Try
from tests.store.filled import a_run, begun, did, end, us, value

SUM = value(b"1").sha256


def test_steps_tries_decisions_and_what_they_left(database: Database, history: History) -> None:
    """Of a cached step the values are those of its source run."""
    first = begun(database, "a b>a", context=[("start", value(b"0"))], weights=[5, 7])
    file = OutputFile("/tmp/.t", "/tmp/t", "5" * 64, 3)
    did(first, 0, writes=[("k", value(b"1"))], files=[file])
    did(first, 1, outcomes="failed", at=2.0)
    end(first, "failed")
    taken = [
        TakenOver(0, StepStatus.CACHED, "ok in run 1", 1),
        TakenOver(1, used=1, retry_at=us(9.0), key_run=OWN_KEY, why="code changed"),
    ]
    second = begun(
        database,
        "a b>a",
        at=10.0,
        taken_over=taken,
        resumed_from=1,
        root_run=1,
        versions={"python": "3.11.7"},
        reason="run 1 failed",
    )
    second.commit_tick([Claim(1, 1, 11.0, report=False)])
    failed = EndAttempt(1, 1, AttemptOutcome.FAILED, 11.0, 12.0, "OSError: x")
    retry = Decide(1, "retry", (("attempt", 1), ("delay_s", 3.0)))
    second.commit_tick([failed, retry, BackOff(1, 1, 15.0)])
    second.commit_tick([Claim(1, 2, None, report=False)])

    old, new = history.facts(1), history.facts(2)
    assert (list(old.order), list(new.order)) == ([5, 7], [])
    assert old.context == new.context == {"start": value(b"0").sha256}
    assert (old.versions, new.versions) == ({}, {"python": "3.11.7"})
    assert new.run["reason"] == "run 1 failed"
    assert [step.told.status for step in old.steps.values()] == ["ok", "failed"]
    a, b = new.steps["a"], new.steps["b"]
    assert (a.values, a.files) == ({"k": SUM}, {"/tmp/t": "5" * 64})
    assert (b.upstreams, b.fingerprint, b.parts) == (("a",), "print-b", {"code": "b"})
    assert (b.why, b.used, b.retry_at) == ("code changed", 1, us(9.0))
    assert list(b.tries) == [
        Try(1, "failed", us(11.0), us(12.0), "OSError: x", us(15.0)),
        Try(2, None, None, None, "", None),
    ]
    assert list(b.decisions) == [Decided(3, "retry", {"attempt": 1, "delay_s": 3.0})]


def test_changes_since_the_last_good_run(database: Database, history: History) -> None:
    """Not with a failed one, or one of chosen steps; and what came of it is left out."""
    assert a_run(database, versions={"python": "3.11.6"}) == 1
    a_run(database, "failed", at=10.0)
    a_run(database, at=20.0, only_steps='["a"]')
    journal = begun(database, "a b", at=30.0, versions={"python": "3.11.7"})
    ends = [EndStep(at, StepStatus.SKIPPED, 31.0, "not today") for at in range(2)]
    journal.commit_tick([*ends, EndRun(RunStatus.OK, 31.0)])
    good, found = changes_since_last_good(history, 4)
    assert good == 1
    assert [change.line for change in found] == ["'b': new", "python 3.11.7, was 3.11.6"]
    assert changes_since_last_good(history, 1) == (None, ())
