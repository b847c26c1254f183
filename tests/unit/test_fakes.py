"""The fakes keep the ports' contracts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from engine.errors import StoreBusy, SupersededError
from engine.events import (
    Action,
    AttemptFinished,
    AttemptStarted,
    AttemptWithdrawn,
    BackOff,
    Claim,
    EndAttempt,
    EndRun,
    EndStep,
    RecordStart,
    StopRequested,
)
from engine.model import AttemptOutcome, RunStatus, StepStatus
from engine.ports import Job
from engine.produced import Encoded
from tests.fakes import AttemptRow, Body, FakeClock, FakeStore, FakeWorkers

OK = AttemptOutcome.OK


def test_time_goes_where_it_is_told() -> None:
    """Forward only; stamps and instants turn into each other; draws are seeded."""
    clock = FakeClock(5.0, seed=3)
    clock.pass_to(9.5)
    clock.pass_to(7.0)
    assert clock.now() == 9.5
    assert clock.instant(clock.stamp(9.5)) == 9.5
    assert clock.utc() == datetime(2011, 11, 14, 0, 0, 9, 500_000, tzinfo=UTC)
    assert FakeClock(seed=3).random() == FakeClock(seed=3).random() == clock.random()


# -- workers --------------------------------------------------------------------------------------


def lanes(
    script: Callable[[int, int], Body], *, workers: int = 1, timeout_s: Sequence[float | None] = ()
) -> tuple[FakeClock, FakeWorkers, list[tuple[str, float, int, int]]]:
    """Make workers, their clock, and the list of what was seen of them."""
    clock, seen = FakeClock(), list[tuple[str, float, int, int]]()
    made = FakeWorkers(clock, script, workers=workers, timeout_s=timeout_s, seen=seen.append)
    return clock, made, seen


def job(step: int, number: int = 1, *, report: bool = False) -> Job:
    """Make a job."""
    return Job(step, number, report)


def done(step: int, begun: float, ended: float) -> AttemptFinished:
    """Be an attempt that went well."""
    return AttemptFinished(step, 1, OK, begun, ended)


def test_lanes_take_jobs_in_order() -> None:
    """A queued attempt begins when a lane is free, also while nobody waits."""
    clock, workers, seen = lanes(lambda step, _: Body(step + 1.0))
    workers.dispatch([job(0, report=True), job(1)])
    assert workers.wait(None) == [AttemptStarted(0, 1, 0.0)]
    assert workers.wait(0.5) == []
    assert workers.begun() == [AttemptStarted(0, 1, 0.0)]
    assert workers.wait(None) == [done(0, 0.0, 1.0)]
    clock.pass_to(10.0)
    workers.dispatch([job(2)])
    assert workers.wait(0) == [done(1, 1.0, 3.0)]
    assert workers.wait(None) == [done(2, 10.0, 13.0)]
    assert [entry[:3] for entry in seen] == [
        ("begin", 0.0, 0),
        ("end", 1.0, 0),
        ("begin", 1.0, 1),
        ("end", 3.0, 1),
        ("begin", 10.0, 2),
        ("end", 13.0, 2),
    ]


def test_a_queued_attempt_is_withdrawn_a_begun_one_is_not() -> None:
    """Each gives exactly one answer."""
    _, workers, _ = lanes(lambda _step, _number: Body(1.0))
    workers.dispatch([job(0), job(1)])
    workers.stop(1, 1, "why", withdraw=True)
    workers.stop(0, 1, "why", withdraw=True)
    assert workers.wait(None) == [AttemptWithdrawn(1, 1)]
    assert workers.wait(None) == [done(0, 0.0, 1.0)]
    with pytest.raises(AssertionError, match="nothing can ever happen"):
        workers.wait(None)


def test_a_body_obeys_or_does_not() -> None:
    """One that hears ends when it says; one that does not is left behind, its lane replaced."""
    script = {0: Body(math.inf, obeys_s=0.5), 1: Body(9.0, obeys_s=None), 2: Body(1.0)}
    _, workers, _ = lanes(lambda step, _: script[step])
    workers.dispatch([job(0), job(1), job(2)])
    workers.stop(0, 1, "stopped by SIGINT", withdraw=False)
    (stopped,) = workers.wait(None)
    assert stopped == AttemptFinished(
        0, 1, AttemptOutcome.INTERRUPTED, 0.0, 0.5, "stopped by SIGINT"
    )
    workers.stop(1, 1, "why", withdraw=False)
    workers.leave_behind(1, 1)
    workers.leave_behind(1, 1)
    assert workers.wait(None) == [done(2, 0.5, 1.5)]
    assert workers.left_running() == [(1, 1)]
    assert workers.wait(None) == [done(1, 0.5, 9.5)]


def test_the_verdict_on_time() -> None:
    """Past its limit an attempt is timed out, whatever its body says."""
    _, workers, _ = lanes(lambda _step, _number: Body(2.0, delay_s=3.0), timeout_s=[1.0])
    workers.dispatch([job(0)])
    assert workers.wait(None) == [
        AttemptFinished(
            0,
            1,
            AttemptOutcome.TIMED_OUT,
            0.0,
            2.0,
            "timed out after 1s",
            retryable=True,
            delay_s=3.0,
        )
    ]


def test_what_is_posted_comes_in_time() -> None:
    """A signal is an event like others; a closed lane begins nothing."""
    clock, workers, seen = lanes(lambda _step, _number: Body(2.0))
    workers.dispatch([job(0), job(1)])
    workers.post(1.0, StopRequested("SIGINT"))
    assert workers.wait(None) == [StopRequested("SIGINT")]
    assert clock.now() == 1.0
    workers.close()
    assert workers.wait(None) == [done(0, 0.0, 2.0)]
    assert [entry[2] for entry in seen] == [0, 0]


# -- store ----------------------------------------------------------------------------------------


def store_of(count: int, *ticks: Sequence[Action]) -> FakeStore:
    """Make a store with a run and what was committed."""
    store = FakeStore()
    store.begin_run(count)
    for actions in ticks:
        store.commit_tick(actions)
    return store


CLAIM = Claim(0, 1, 1.0, report=False)
END = EndAttempt(0, 1, OK, 1.0, 2.0)
STEP = EndStep(0, StepStatus.OK, 2.0)


def test_a_tick_is_kept() -> None:
    """Attempts, retries, ends and values."""
    failed = EndAttempt(0, 1, AttemptOutcome.FAILED, 1.5, 2.0, "no")
    value = Encoded("json", b"1", "")
    store = store_of(
        1,
        [CLAIM],
        [RecordStart(0, 1, 1.5)],
        [failed, BackOff(0, 1, 4.0), Claim(0, 2, None, report=False)],
        [END._replace(number=2), STEP._replace(writes=(("k", value),)), EndRun(RunStatus.OK, 2.0)],
    )
    run = store.runs[0]
    assert run.attempts_of(0) == [
        AttemptRow(1.5, 2.0, AttemptOutcome.FAILED, "no", 4.0),
        AttemptRow(1.0, 2.0, OK),
    ]
    assert run.steps == {0: (StepStatus.OK, "")}
    assert run.outputs == {(0, "k"): value}
    assert (run.status, run.finished_at) == (RunStatus.OK, 2.0)


@pytest.mark.parametrize(
    ("before", "actions"),
    [
        ([], [END]),
        ([CLAIM], [CLAIM]),
        ([CLAIM, END], [END]),
        ([CLAIM, END], [RecordStart(0, 1, 1.0)]),
        ([CLAIM], [BackOff(0, 1, 3.0)]),
        ([STEP], [STEP]),
        ([], [STEP, STEP]),
        ([EndRun(RunStatus.OK, 2.0)], [EndRun(RunStatus.OK, 2.0)]),
        ([EndRun(RunStatus.OK, 2.0)], [CLAIM]),
    ],
)
def test_a_guard_refuses_the_whole_tick(before: list[Action], actions: list[Action]) -> None:
    """A write that finds another state than it leaves takes the tick's others with it."""
    store = store_of(2, *([action] for action in before))
    with pytest.raises(SupersededError):
        store.commit_tick([EndStep(1, StepStatus.OK, 9.0), *actions])
    assert 1 not in store.runs[0].steps


def test_a_crash_keeps_what_was_committed() -> None:
    """What raises before a commit leaves nothing behind, after it all."""

    def busy(_: Sequence[Action]) -> None:
        raise StoreBusy("busy")

    before, after = FakeStore(before=busy), FakeStore(after=busy)
    for store in (before, after):
        store.begin_run(1)
        with pytest.raises(StoreBusy):
            store.commit_tick([CLAIM])
    assert (len(before.runs[0].attempts), len(after.runs[0].attempts)) == (0, 1)


def test_reconciling_ends_a_dead_run() -> None:
    """Live attempts are abandoned, their steps interrupted, the others cancelled."""
    store = store_of(3, [CLAIM, Claim(1, 1, 1.0, report=False)])
    store.reconcile([(0, 1)])
    run = store.runs[0]
    assert run.status is RunStatus.INTERRUPTED
    assert [(row.started_at, row.error) for row in run.attempts.values()] == [
        (1.0, "its engine died"),
        (None, "its engine died; may not have started"),
    ]
    assert [run.steps[step][0] for step in range(3)] == ["interrupted", "interrupted", "cancelled"]


def test_the_past_counts_what_a_step_has_used() -> None:
    """Failures count and abandoned attempts do not; those that surely began count as lost."""
    store = store_of(
        1,
        [CLAIM],
        [END._replace(outcome=AttemptOutcome.FAILED), BackOff(0, 1, 7.0)],
    )
    store.reconcile([])
    assert (store.past(0).used, store.past(0).retry_at, store.past(0).lost) == (1, 7.0, 0)
    store = store_of(1, [CLAIM])
    store.reconcile([(0, 1)])
    assert (store.past(0).used, store.past(0).lost) == (0, 1)
