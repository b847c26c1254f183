"""The core, tick by tick: what it does when, in which order, and the words it leaves."""

from __future__ import annotations

import pytest

from engine.events import (
    AttemptOverran,
    AttemptStarted,
    AttemptWithdrawn,
    BackOff,
    EndRun,
    EndStep,
    Event,
    LeaveBehind,
    RecordStart,
    StopAttempt,
    StopRequested,
)
from engine.model import RunStatus, StepStatus
from engine.plan import TRANSITIONS, InvariantViolation, StepState
from tests.unit.ticks import (
    FAILED,
    INTERRUPTED,
    OK,
    STOP,
    TIMED_OUT,
    Core,
    S,
    bad,
    claim,
    ended,
    ok,
)

# -- order ----------------------------------------------------------------------------------------


def test_a_diamond() -> None:
    """Each step is claimed in the tick in which its last upstream ends; then the run ends."""
    core = Core("a b>a c>a d>b,c")
    assert core.at(0) == [claim(0)]
    assert core.at(1, ok(0)) == [
        ended(0, OK),
        EndStep(0, S.OK, 1.0),
        claim(1, at=1.0),
        claim(2, at=1.0),
    ]
    assert core.at(2, ok(2, 2.0)) == [ended(2, OK, 2.0), EndStep(2, S.OK, 2.0)]
    assert core.at(3, ok(1, 3.0))[-1] == claim(3, at=3.0)
    assert core.core.live == 1
    assert not core.core.ended
    assert core.at(4, ok(3, 4.0)) == [
        ended(3, OK, 4.0),
        EndStep(3, S.OK, 4.0),
        EndRun(RunStatus.OK, 4.0),
    ]
    assert core.core.ended
    assert core.at(5, ok(3, 5.0)) == []


def test_nothing_to_do_is_done_at_once() -> None:
    """A workflow without steps is `ok`."""
    assert Core("").at(7) == [EndRun(RunStatus.OK, 7)]


def test_the_longest_way_goes_first() -> None:
    """Among ready steps the one with most below it is claimed first, then by declaration."""
    core = Core("short wide long l2>long l3>l2 w2>wide", workers=1)
    assert core.at(0) == [claim(2)]
    assert core.at(1, ok(2))[-1] == claim(1, at=1.0)
    assert core.at(2, ok(1))[-1] == claim(3, at=2.0)
    assert core.at(3, ok(3))[-1] == claim(0, at=3.0)


def test_no_more_than_workers() -> None:
    """A claim waits for a free worker; one that is free takes the next."""
    core = Core("a b c", workers=2)
    assert core.at(0) == [claim(0), claim(1)]
    assert core.at(0.5) == []
    assert core.at(1, ok(1))[-1] == claim(2, at=1.0)


def test_claims_ahead_may_queue() -> None:
    """Beyond the free workers a claim has no start until it is told, or has ended."""
    core = Core("a b c d e", workers=1, ahead=2)
    assert core.at(0) == [claim(0), claim(1, at=None), claim(2, at=None)]
    assert core.core.next_wakeup(0) == 0.25
    assert core.at(1, AttemptStarted(1, 1, 0.9)) == [RecordStart(1, 1, 0.9)]
    assert core.at(1, AttemptStarted(1, 1, 0.9)) == []
    # one is still queued, so the worker that is free will take that one
    assert core.at(2, ok(0), ok(1))[-2:] == [claim(3, at=None), claim(4, at=None)]
    core.at(3, ok(2), ok(3), AttemptStarted(4, 1, 2.5))
    assert core.core.next_wakeup(3) is None


def test_a_retry_is_claimed_behind_what_is_queued() -> None:
    """A claim is sure of its start only if none before it may still be queued."""
    core = Core("a*1 b c", workers=2, ahead=1)
    assert core.at(0) == [claim(0), claim(1), claim(2, at=None)]
    assert core.at(1, bad(0, delay_s=0.0))[-1] == claim(0, 2, at=None)


# -- ends -----------------------------------------------------------------------------------------


def test_a_failure_skips_what_depends_on_it() -> None:
    """At any distance, each naming the root; the rest goes on, and the run has failed."""
    core = Core("a b>a c>b d>c:all_done e")
    core.at(0)
    assert core.at(1, bad(0, error="Traceback\nValueError: no\n")) == [
        ended(0, FAILED, error="Traceback\nValueError: no\n"),
        EndStep(0, S.FAILED, 1, "ValueError: no"),
        EndStep(1, S.SKIPPED, 1, "dependency failed: a"),
        EndStep(2, S.SKIPPED, 1, "dependency failed: a"),
        claim(3, at=1),
    ]
    core.at(2, ok(3))
    assert core.at(3, ok(4))[-1] == EndRun(RunStatus.FAILED, 3)


def test_a_step_that_skips_itself() -> None:
    """Its own words are the reason; skips fail no run."""
    core = Core("a b>a c>a:none_failed")
    core.at(0)
    assert core.at(1, ok(0, skip="no trade on a Saturday")) == [
        ended(0, OK),
        EndStep(0, S.SKIPPED, 1, "no trade on a Saturday"),
        EndStep(1, S.SKIPPED, 1, "dependency skipped: a"),
        claim(2, at=1),
    ]
    assert core.at(2, ok(2))[-1] == EndRun(RunStatus.OK, 2)


def test_a_rule_that_cannot_hold_skips_at_the_start() -> None:
    """A step that wants a failure above it, with nothing above it, is skipped."""
    core = Core("a:one_failed b>a")
    assert core.at(0) == [
        EndStep(0, S.SKIPPED, 0, "no dependency failed"),
        EndStep(1, S.SKIPPED, 0, "dependency skipped: a"),
        EndRun(RunStatus.OK, 0),
    ]


def test_what_was_written_goes_with_the_success() -> None:
    """Values and files of an attempt are part of its step's end."""
    core = Core("a")
    core.at(0)
    finished = ok(0)._replace(writes=(("k", "v"),), files=("f",))  # type: ignore[arg-type]
    assert core.at(1, finished)[1] == EndStep(0, S.OK, 1, "", (("k", "v"),), ("f",))  # type: ignore[arg-type]


def test_a_superseded_attempt_changes_nothing() -> None:
    """Events of attempts that do not count are passed over."""
    core = Core("a*1")
    core.at(0)
    core.at(1, bad(0, delay_s=0.0))
    assert core.status() == "running"
    for event in (ok(0), AttemptStarted(0, 1, 0.5), AttemptWithdrawn(0, 1)):
        assert core.at(2, event) == []
    assert core.at(2, AttemptOverran(0, 1, retryable=True, delay_s=0)) == []
    assert core.at(3, ok(0, number=2))[-1] == EndRun(RunStatus.OK, 3)


# -- retries --------------------------------------------------------------------------------------


def test_a_retry_waits_and_holds_no_worker() -> None:
    """A step in backoff lets others run; it is ready when its delay has passed, not before."""
    core = Core("a*1 b", workers=1)
    core.at(0)
    assert core.at(1, bad(0)) == [
        ended(0, FAILED, error="ValueError: no"),
        BackOff(0, 1, 3.0),
        claim(1, at=1),
    ]
    assert core.status() == "backing_off running"
    assert core.core.next_wakeup(1) == 3.0
    core.at(2, ok(1))
    assert core.at(2.999) == []
    assert core.at(3.0) == [claim(0, 2, at=3.0)]


def test_the_budget_ends() -> None:
    """With two retries the third failure is final."""
    core = Core("a*2")
    core.at(0)
    core.at(1, bad(0, delay_s=0.0))
    assert core.at(2, bad(0, 2, 2, delay_s=0.0))[-1] == claim(0, 3, at=2)
    assert core.core.used(0) == 2
    assert core.at(3, bad(0, 3, 3))[1:] == [
        EndStep(0, S.FAILED, 3, "ValueError: no"),
        EndRun(RunStatus.FAILED, 3),
    ]


def test_not_worth_a_retry() -> None:
    """A failure that its policy does not retry is final at once."""
    core = Core("a*5")
    core.at(0)
    assert core.at(1, bad(0, retryable=False))[1] == EndStep(0, S.FAILED, 1, "ValueError: no")


# -- timeouts -------------------------------------------------------------------------------------


def test_a_limit_runs_from_the_workers_stamp() -> None:
    """Not from the claim; at the deadline the attempt is asked to stop, once."""
    core = Core("a~10")
    assert core.at(0) == [claim(0, report=True)]
    core.at(0.5, AttemptStarted(0, 1, 0.4))
    assert core.core.next_wakeup(0.5) == 10.4
    assert core.at(10.3) == []
    assert core.at(10.4) == [StopAttempt(0, 1, "timed out after 10s")]
    assert core.core.next_wakeup(10.4) == 10.5
    assert core.core.overran(10.45) == []
    assert core.at(10.45) == []


def test_a_queued_attempt_has_no_limit_yet() -> None:
    """Time in the queue does not count."""
    core = Core("a b~1", workers=1, ahead=1)
    core.at(0)
    assert core.at(50) == []
    assert core.at(51, AttemptStarted(1, 1, 50.5)) == [RecordStart(1, 1, 50.5)]
    assert core.at(51.4) == []
    assert core.at(51.5) == [StopAttempt(1, 1, "timed out after 1s")]


def test_an_attempt_that_stops_in_time_is_timed_out() -> None:
    """It counts as failed and is retried by its policy."""
    core = Core("a*1~1")
    core.at(0)
    core.at(0, AttemptStarted(0, 1, 0.0))
    core.at(1)
    late = bad(0, 1.05, error="timed out after 1s")._replace(outcome=TIMED_OUT)
    assert core.at(1.06, late) == [
        ended(0, TIMED_OUT, 1.05, error="timed out after 1s"),
        BackOff(0, 1, 3.06),
    ]


def test_stopped_just_at_the_limit_is_timed_out() -> None:
    """Who was asked to stop for the time is never `interrupted`, however its worker saw it."""
    core = Core("a~1 b>a")
    core.at(0)
    core.at(0, AttemptStarted(0, 1, 0.0))
    core.at(1)
    just = bad(0, 1.0, error="timed out after 1s", retryable=False)._replace(outcome=INTERRUPTED)
    assert core.at(1.0, just) == [
        ended(0, TIMED_OUT, 1.0, error="timed out after 1s"),
        EndStep(0, S.FAILED, 1.0, "timed out after 1s"),
        EndStep(1, S.SKIPPED, 1.0, "dependency failed: a"),
        EndRun(RunStatus.FAILED, 1.0),
    ]


def test_a_failure_of_its_own_just_before_the_limit_stays_one() -> None:
    """The verdict follows the worker's stamp, not the time of draining."""
    core = Core("a~1")
    core.at(0)
    core.at(0, AttemptStarted(0, 1, 0.0))
    core.at(1)
    assert core.at(1.01, bad(0, 0.99))[0] == ended(0, FAILED, 0.99, error="ValueError: no")


def overrun(text: str = "a*1~1 b") -> Core:
    """Give a core whose step `a` was asked to stop at 1 s and is past the time for it."""
    core = Core(text, workers=1)
    core.at(0)
    core.at(0, AttemptStarted(0, 1, 0.0))
    core.at(1.0)
    assert core.core.overran(1.1) == [(0, 1)]
    return core


def test_an_attempt_that_will_not_stop_is_left_behind() -> None:
    """It is timed out, its worker counts no longer, and others go on."""
    core = overrun()
    error = "timed out after 1s; its thread is still running"
    assert core.at(1.1, AttemptOverran(0, 1, retryable=True, delay_s=2.0)) == [
        ended(0, TIMED_OUT, 1.1, error=error),
        LeaveBehind(0, 1),
        BackOff(0, 1, 3.1),
        claim(1, at=1.1),
    ]
    assert core.core.overran(2.0) == []
    assert core.core.live == 1


def test_it_is_retried_if_its_thread_has_ended_by_then() -> None:
    """The late end changes nothing else."""
    core = overrun()
    core.at(1.1, AttemptOverran(0, 1, retryable=True, delay_s=2.0))
    assert core.at(2, ok(0, 2.0)) == []
    assert core.at(2.5, ok(1, 2.5))[-1] == EndStep(1, S.OK, 2.5)
    assert core.at(3.1) == [claim(0, 2, at=3.1, report=True)]


def test_it_fails_if_its_thread_still_runs_by_then() -> None:
    """A step never runs twice at once."""
    core = overrun("a*1~1")
    core.at(1.1, AttemptOverran(0, 1, retryable=True, delay_s=2.0))
    assert core.at(3.1) == [
        EndStep(0, S.FAILED, 3.1, "timed out; its thread is still running"),
        EndRun(RunStatus.FAILED, 3.1),
    ]


@pytest.mark.parametrize("text", ["a~1", "a*3~1"])
def test_without_a_retry_it_fails_at_once(text: str) -> None:
    """Out of retries, or not worth one: the note is the same."""
    core = overrun(text)
    actions = core.at(1.1, AttemptOverran(0, 1, retryable=text == "a~1", delay_s=0.0))
    assert actions[2:] == [
        EndStep(0, S.FAILED, 1.1, "timed out; its thread is still running"),
        EndRun(RunStatus.FAILED, 1.1),
    ]


def test_a_command_gets_its_own_time_to_stop() -> None:
    """TERM, grace and KILL take longer than a thread gets; what is left is a process."""
    core = Core("a~1!")
    core.at(0)
    core.at(0, AttemptStarted(0, 1, 0.0))
    core.at(1.0)
    assert core.core.next_wakeup(1.0) == 8.0
    assert core.core.overran(7.9) == []
    actions = core.at(8.0, AttemptOverran(0, 1, retryable=False, delay_s=0))
    assert actions[0] == ended(
        0, TIMED_OUT, 8.0, error="timed out after 1s; its process is still running"
    )
    assert actions[2] == EndStep(0, S.FAILED, 8.0, "timed out; its process is still running")


# -- restoring ------------------------------------------------------------------------------------


def test_what_has_ended_stays() -> None:
    """Cached, skipped and failed steps are where they were; the rest is decided about afresh."""
    core = Core(
        "a b c d>a e>b f>c g>d",
        states=[
            StepState(S.CACHED),
            StepState(S.SKIPPED),
            StepState(S.FAILED),
            *[StepState()] * 4,
        ],
    )
    assert core.at(0) == [
        EndStep(4, S.SKIPPED, 0, "dependency skipped: b"),
        EndStep(5, S.SKIPPED, 0, "dependency failed: c"),
        claim(3),
    ]
    core.at(1, ok(3))
    assert core.at(2, ok(6))[-1] == EndRun(RunStatus.FAILED, 2)


def test_a_root_failure_is_known_through_what_was_skipped() -> None:
    """A reason is the same whether the failure was seen or restored."""
    states = [StepState(S.FAILED), StepState(S.SKIPPED), StepState()]
    assert Core("a b>a c>b", states=states).at(0) == [
        EndStep(2, S.SKIPPED, 0, "dependency failed: a"),
        EndRun(RunStatus.FAILED, 0),
    ]


def test_nothing_passes_a_step_that_has_ended_ahead() -> None:
    """What is after a step marked as done may read what is above it, so it waits for that."""
    core = Core(
        "a b>a c>b d>c", states=[StepState(), StepState(S.OK), StepState(S.OK), StepState()]
    )
    assert core.at(0) == [claim(0)]
    assert core.at(1, bad(0, retryable=False))[2:] == [claim(3, at=1)]
    assert core.at(2, ok(3, 2.0))[-1] == EndRun(RunStatus.FAILED, 2)


def test_a_stop_ends_what_is_after_a_step_that_has_ended_ahead() -> None:
    """The run ends with the last attempt, as any other."""
    core = Core("a b>a c>b", states=[StepState(), StepState(S.OK), StepState()])
    core.at(0)
    assert core.at(1, STOP)[0] == EndStep(2, S.CANCELLED, 1, "not started")
    assert core.at(2, bad(0, 2.0))[-1] == EndRun(RunStatus.INTERRUPTED, 2, "stopped by SIGINT")
    core = Core("a b>a c>b:all_done", states=[StepState(), StepState(S.OK), StepState()])
    core.at(0)
    core.at(1, StopRequested("ann", cancel=True))
    assert core.at(2, bad(0, 2.0))[-1] == claim(2, at=2)


def test_a_step_counts_as_it_is_told_to() -> None:
    """One that is not chosen stands for how it ended before; the run is no worse for it."""
    left = StepState(S.SKIPPED, counts_as=S.FAILED)
    core = Core("a b>a:one_failed c>a:all_done d>a", states=[left, *[StepState()] * 3])
    assert core.at(0) == [EndStep(3, S.SKIPPED, 0, "dependency failed: a"), claim(1), claim(2)]
    assert core.at(1, ok(1), ok(2))[-1] == EndRun(RunStatus.OK, 1)
    left = StepState(S.SKIPPED, counts_as=S.SKIPPED, failed_above=True)
    core = Core("a b>a:one_failed", states=[left, StepState()])
    assert core.at(0) == [claim(1)]
    assert core.core.ended_as(0) is S.SKIPPED
    for counts_as in (S.INTERRUPTED, S.CANCELLED):
        states = [StepState(S.SKIPPED, counts_as=counts_as), StepState()]
        core = Core("a b>a:one_failed", states=states)
        assert core.at(0)[0] == EndStep(1, S.SKIPPED, 0, "no dependency failed")


def test_a_step_counts_as_it_is_told_to_whatever_is_above_it() -> None:
    """One that had skipped itself is not taken for skipped by a failure above it in this run."""
    states = [StepState(), StepState(S.SKIPPED, counts_as=S.SKIPPED), StepState()]
    core = Core("a b>a c>b:none_failed", states=states)
    core.at(0)
    assert core.at(1, bad(0))[-1] == claim(2, at=1)


def test_all_done_already() -> None:
    """A run of nothing but cached steps ends with its first tick."""
    assert Core("a b>a", states=[StepState(S.CACHED)] * 2).at(3) == [EndRun(RunStatus.OK, 3)]


def test_a_step_in_backoff_goes_on_waiting() -> None:
    """What is left of the wait is kept, and what was used of the budget."""
    core = Core("a*2", states=[StepState(used=2, next_attempt_at=9.0)])
    assert core.at(0) == []
    assert core.status() == "backing_off"
    assert core.core.next_wakeup(0) == 9.0
    assert core.at(9.0) == [claim(0, at=9.0)]
    assert core.at(10, bad(0, 10.0))[-1] == EndRun(RunStatus.FAILED, 10)


def test_a_step_in_backoff_is_stopped_before_its_retry() -> None:
    """Although it has not begun in this run it is not `cancelled`: its wait goes on."""
    core = Core("a", states=[StepState(used=1, next_attempt_at=9.0)])
    assert core.at(1, STOP)[0] == EndStep(0, S.INTERRUPTED, 1, "stopped before its retry")


def test_a_retry_that_is_due_is_made_at_once() -> None:
    """A time in the past is now."""
    core = Core("a*1", states=[StepState(used=1, next_attempt_at=-50.0)])
    assert core.at(0) == [claim(0)]


def test_numbers_start_at_one_in_each_run() -> None:
    """However often a step was tried before."""
    core = Core("a*3", states=[StepState(used=3)])
    assert core.at(0) == [claim(0, 1)]
    assert core.core.used(0) == 3


# -- the table ------------------------------------------------------------------------------------


def test_final_statuses_are_left_by_nothing() -> None:
    """The table knows every status, and no way out of the ends."""
    assert set(TRANSITIONS) == set(S)
    final = {S.OK, S.FAILED, S.SKIPPED, S.CACHED, S.CANCELLED, S.INTERRUPTED}
    assert {status for status, to in TRANSITIONS.items() if not to} == final


@pytest.mark.parametrize("start", S)
@pytest.mark.parametrize("to", S)
def test_each_transition_is_allowed_or_a_bug(start: StepStatus, to: StepStatus) -> None:
    """The core moves along its table and nowhere else."""
    core = Core("a")
    core.core.status[0] = start
    if to in TRANSITIONS[start]:
        core.core._board.move(0, to)
        assert core.core.status == [to]
    else:
        with pytest.raises(InvariantViolation, match=f"^step 'a': {start} -> {to}$"):
            core.core._board.move(0, to)


def test_same_events_same_actions() -> None:
    """Two cores that are told the same do the same."""
    text = "a*1 b>a c>a:all_done*2 d>b,c:one_failed e>b f"
    told: list[tuple[float, Event]] = [
        (1.0, bad(0, delay_s=0.0)),
        (2.0, ok(5)),
        (3.5, bad(0, 3.5, 2)),
        (4.0, ok(2, 4.0)),
        (5.0, ok(3, 5.0)),
    ]
    first, second = Core(text), Core(text)
    assert [first.at(0), *(first.at(at, event) for at, event in told)] == [
        second.at(0),
        *(second.at(at, event) for at, event in told),
    ]
    assert first.status() == "failed skipped ok ok skipped ok"
