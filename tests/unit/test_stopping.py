"""Stops, tick by tick: signals, cancels with what still cleans up, too many threads left behind."""

from __future__ import annotations

import pytest

from engine.events import (
    AttemptOverran,
    AttemptStarted,
    AttemptWithdrawn,
    BackOff,
    EndAttempt,
    EndRun,
    EndStep,
    LeaveBehind,
    RecordStart,
    StopAttempt,
    StopRequested,
)
from engine.live import LEFT_MAX
from engine.model import AttemptOutcome, RunStatus
from engine.plan import StepState
from tests.unit.ticks import (
    AT_ONCE,
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

CANCEL = StopRequested("ada", cancel=True)
WHO = "cancelled by ada"

# -- signals --------------------------------------------------------------------------------------


def test_a_stop_lets_running_steps_end() -> None:
    """No new steps; what had not started is cancelled; what runs may end within the grace."""
    core = Core("a b>a c*1 d", workers=2)
    core.at(0)
    core.at(1, bad(2))
    assert core.status() == "running waiting backing_off running"
    assert core.at(2, STOP) == [
        EndStep(2, S.INTERRUPTED, 2, "stopped before its retry"),
        EndStep(1, S.CANCELLED, 2, "not started"),
    ]
    assert core.core.next_wakeup(2) == 7.0
    assert core.at(3, STOP) == []
    assert core.at(4, ok(0, 4.0)) == [ended(0, OK, 4.0), EndStep(0, S.OK, 4.0)]
    assert core.at(7.0) == [StopAttempt(3, 1, "stopped by SIGINT")]
    stopped = bad(3, 7.05, error="stopped by SIGINT")._replace(outcome=INTERRUPTED)
    assert core.at(7.06, stopped) == [
        ended(3, INTERRUPTED, 7.05, error="stopped by SIGINT"),
        EndStep(3, S.INTERRUPTED, 7.06, "stopped by SIGINT"),
        EndRun(RunStatus.INTERRUPTED, 7.06, "stopped by SIGINT"),
    ]


def test_a_stop_after_which_nothing_is_missing() -> None:
    """If all steps end well in spite of it, the run is `ok`."""
    core = Core("a")
    core.at(0)
    assert core.at(1, STOP) == []
    assert core.at(2, ok(0))[-1] == EndRun(RunStatus.OK, 2)


def test_a_failure_during_a_stop_keeps_its_retry() -> None:
    """The retry is recorded for the run that continues this one."""
    core = Core("a*1")
    core.at(0)
    core.at(1, STOP)
    assert core.at(2, bad(0, 2.0)) == [
        ended(0, FAILED, 2.0, error="ValueError: no"),
        BackOff(0, 1, 4.0),
        EndStep(0, S.INTERRUPTED, 2, "stopped before its retry"),
        EndRun(RunStatus.INTERRUPTED, 2, "stopped by SIGINT"),
    ]


def test_a_last_failure_during_a_stop_is_one() -> None:
    """With no retry left the step has failed; nothing was cut short, so the run has failed."""
    core = Core("a")
    core.at(0)
    core.at(1, STOP)
    assert core.at(2, bad(0))[-2:] == [
        EndStep(0, S.FAILED, 2, "ValueError: no"),
        EndRun(RunStatus.FAILED, 2),
    ]


def test_queued_claims_are_withdrawn() -> None:
    """What has not begun is taken back and is `cancelled`; what has meanwhile begun goes on."""
    core = Core("a b c", workers=1, ahead=2)
    core.at(0)
    assert core.at(1, STOP) == [
        StopAttempt(1, 1, "stopped by SIGINT", withdraw=True),
        StopAttempt(2, 1, "stopped by SIGINT", withdraw=True),
    ]
    assert core.at(1.1, AttemptWithdrawn(2, 1), AttemptStarted(1, 1, 0.9)) == [
        EndAttempt(2, 1, AttemptOutcome.CANCELLED, None, None),
        EndStep(2, S.CANCELLED, 1.1, "not started"),
        RecordStart(1, 1, 0.9),
    ]
    assert core.at(2, ok(0), ok(1))[-1] == EndRun(RunStatus.INTERRUPTED, 2, "stopped by SIGINT")


def test_a_withdrawn_retry_had_been_started() -> None:
    """Its step is not one that never began."""
    core = Core("a b*1", workers=1, ahead=1)
    core.at(0)
    assert core.at(1, bad(1, delay_s=0.0))[-1] == claim(1, 2, at=None)
    assert core.at(2, STOP) == [StopAttempt(1, 2, "stopped by SIGINT", withdraw=True)]
    assert core.at(2.1, AttemptWithdrawn(1, 2)) == [
        EndAttempt(1, 2, AttemptOutcome.CANCELLED, None, None),
        EndStep(1, S.INTERRUPTED, 2.1, "stopped before its retry"),
    ]


def test_a_command_is_asked_at_once() -> None:
    """TERM is gentle: a command's grace begins with the stop."""
    core = Core("a! b")
    core.at(0)
    assert core.at(1, STOP) == [StopAttempt(0, 1, "stopped by SIGINT")]
    assert core.at(6.0) == [StopAttempt(1, 1, "stopped by SIGINT")]


def test_a_queued_command_that_has_begun_is_asked_when_that_is_known() -> None:
    """It could not be withdrawn, so it gets its TERM."""
    core = Core("a b!", workers=1, ahead=1)
    assert core.at(0) == [claim(0), claim(1, at=None)]
    core.at(1, STOP)
    assert core.at(1.2, AttemptStarted(1, 1, 0.9)) == [
        RecordStart(1, 1, 0.9),
        StopAttempt(1, 1, "stopped by SIGINT"),
    ]


def test_a_command_that_is_late_already_is_not_asked_again() -> None:
    """Its limit was first: it stays timed out."""
    core = Core("a~1!")
    core.at(0)
    core.at(0, AttemptStarted(0, 1, 0.0))
    core.at(1)
    assert core.at(2, STOP) == []
    late = bad(0, 3.0, error="timed out after 1s", retryable=False)._replace(outcome=TIMED_OUT)
    assert core.at(3, late)[0].outcome is TIMED_OUT  # type: ignore[union-attr]


def test_one_that_passes_its_limit_while_being_stopped_was_stopped() -> None:
    """A signal is no failure of the step, and the run is `interrupted`."""
    core = Core("a~2!")
    core.at(0)
    core.at(0, AttemptStarted(0, 1, 0.0))
    core.at(1, STOP)
    assert core.at(2.0) == []
    late = bad(0, 4.0, error="timed out after 2s", retryable=False)._replace(outcome=TIMED_OUT)
    assert core.at(4.0, late) == [
        ended(0, INTERRUPTED, 4.0, error="timed out after 2s"),
        EndStep(0, S.INTERRUPTED, 4.0, "timed out after 2s"),
        EndRun(RunStatus.INTERRUPTED, 4.0, "stopped by SIGINT"),
    ]


def test_a_thread_that_ignores_the_stop_is_left_behind() -> None:
    """After the grace and its time to stop the run ends without it."""
    core = Core("a")
    core.at(0)
    core.at(1, STOP)
    core.at(6.0)
    assert core.core.overran(6.1) == [(0, 1)]
    assert core.at(6.1, AttemptOverran(0, 1, retryable=True, delay_s=0)) == [
        ended(0, INTERRUPTED, 6.1, error="stopped by SIGINT; its thread is still running"),
        LeaveBehind(0, 1),
        EndStep(0, S.INTERRUPTED, 6.1, "stopped by SIGINT; its thread is still running"),
        EndRun(RunStatus.INTERRUPTED, 6.1, "stopped by SIGINT"),
    ]


def test_the_second_stop_ends_at_once() -> None:
    """All that lives is interrupted in one tick; of what was queued no start is claimed."""
    core = Core("a b c", workers=1, ahead=1)
    core.at(0)
    core.at(1, STOP)
    assert core.at(1.5, AT_ONCE) == [
        ended(0, INTERRUPTED, 1.5, error="stopped by SIGINT"),
        StopAttempt(0, 1, "stopped by SIGINT"),
        EndStep(0, S.INTERRUPTED, 1.5, "stopped by SIGINT"),
        EndAttempt(1, 1, INTERRUPTED, None, 1.5, "stopped by SIGINT; may not have started"),
        StopAttempt(1, 1, "stopped by SIGINT; may not have started"),
        EndStep(1, S.INTERRUPTED, 1.5, "stopped by SIGINT; may not have started"),
        EndRun(RunStatus.INTERRUPTED, 1.5, "stopped by SIGINT"),
    ]


def test_a_first_stop_may_be_at_once() -> None:
    """There is no grace then."""
    core = Core("a b>a")
    core.at(0)
    assert core.at(1, AT_ONCE)[-1] == EndRun(RunStatus.INTERRUPTED, 1, "stopped by SIGINT")
    assert core.status() == "interrupted cancelled"


def test_a_stop_before_the_first_claim() -> None:
    """Nothing starts at all."""
    core = Core("a b>a")
    assert core.at(0, STOP) == [
        EndStep(0, S.CANCELLED, 0, "not started"),
        EndStep(1, S.CANCELLED, 0, "not started"),
        EndRun(RunStatus.INTERRUPTED, 0, "stopped by SIGINT"),
    ]


# -- cancels --------------------------------------------------------------------------------------


def stopped(step: int, at: float, number: int = 1) -> object:
    """Be an attempt that has obeyed a cancel."""
    return bad(step, at, number, error=WHO, retryable=False)._replace(outcome=INTERRUPTED)


def test_a_cancel_asks_threads_at_once() -> None:
    """There is no grace before the exception; the run ends as soon as they have."""
    core = Core("a b! c>a")
    core.at(0)
    assert core.at(1, CANCEL) == [StopAttempt(0, 1, WHO), StopAttempt(1, 1, WHO)]
    assert core.status() == "running running waiting"
    assert core.at(1.1, stopped(0, 1.1)) == [  # type: ignore[arg-type]
        ended(0, INTERRUPTED, 1.1, error=WHO),
        EndStep(0, S.INTERRUPTED, 1.1, WHO),
        EndStep(2, S.CANCELLED, 1.1, "not started"),
    ]
    assert core.at(1.2, stopped(1, 1.2))[-1] == EndRun(RunStatus.CANCELLED, 1.2, WHO)  # type: ignore[arg-type]


def test_what_is_ready_or_waits_for_its_retry_ends_with_the_cancel() -> None:
    """Never begun it is `cancelled`, else `interrupted`; both count as ended for what cleans up."""
    core = Core("a*1 b e>b f>e c tidy>a,c:all_done", workers=2)
    core.at(0)
    assert core.at(1, bad(0), CANCEL) == [
        ended(0, FAILED, error="ValueError: no"),
        BackOff(0, 1, 3.0),
        EndStep(0, S.INTERRUPTED, 1, "stopped before its retry"),
        EndStep(4, S.CANCELLED, 1, "not started"),
        StopAttempt(1, 1, WHO),
        claim(5, at=1),
    ]


def test_what_cleans_up_waits_for_all_above_it() -> None:
    """A step between is cancelled in its turn, so that `all_done` finds nothing still at work."""
    core = Core("a b>a tidy>b:all_done last>tidy")
    core.at(0)
    assert core.at(1, CANCEL) == [StopAttempt(0, 1, WHO)]
    assert core.at(1.5) == []
    assert core.at(2, stopped(0, 2)) == [  # type: ignore[arg-type]
        ended(0, INTERRUPTED, 2, error=WHO),
        EndStep(0, S.INTERRUPTED, 2, WHO),
        EndStep(1, S.CANCELLED, 2, "not started"),
        claim(2, at=2),
    ]
    assert core.at(3, ok(2, 3)) == [
        ended(2, OK, 3),
        EndStep(2, S.OK, 3),
        EndStep(3, S.CANCELLED, 3, "not started"),
        EndRun(RunStatus.CANCELLED, 3, WHO),
    ]


def test_what_cleans_up_keeps_its_retries_and_limit() -> None:
    """Also one that runs, or waits for its retry, when the cancel comes: it goes on."""
    core = Core("a tidy:all_done*2~1")
    core.at(0)
    core.at(0, AttemptStarted(1, 1, 0.0))
    assert core.at(0.5, CANCEL) == [StopAttempt(0, 1, WHO)]
    core.at(0.6, stopped(0, 0.6))  # type: ignore[arg-type]
    assert core.at(0.7, bad(1, 0.7))[-1] == BackOff(1, 1, 2.7)
    assert core.core.next_wakeup(0.7) == 1.0  # the limit of an attempt that is over
    assert core.at(2.7) == [claim(1, 2, at=2.7, report=True)]
    core.at(2.7, AttemptStarted(1, 2, 2.7))
    assert core.at(3.7) == [StopAttempt(1, 2, "timed out after 1s")]
    late = bad(1, 3.8, 2, error="timed out after 1s")._replace(outcome=TIMED_OUT)
    assert core.at(3.8, late)[-1] == BackOff(1, 2, 5.8)
    core.at(5.8)
    assert core.at(6, ok(1, 6, 3))[-1] == EndRun(RunStatus.CANCELLED, 6, WHO)


@pytest.mark.parametrize("rule", ["all_success", "none_failed", "one_failed"])
def test_only_all_done_starts_after_a_cancel(rule: str) -> None:
    """Whatever another rule would say of the steps above."""
    core = Core(f"a b next>a,b:{rule}")
    core.at(0)
    core.at(1, bad(1, retryable=False), CANCEL)
    assert core.at(2, ok(0, 2))[-2:] == [
        EndStep(2, S.CANCELLED, 2, "not started"),
        EndRun(RunStatus.CANCELLED, 2, WHO),
    ]


def test_a_claim_still_queued_at_a_cancel() -> None:
    """It is taken back; where it has begun it is asked as soon as that is known."""
    core = Core("a b c", workers=1, ahead=2)
    core.at(0)
    assert core.at(1, CANCEL) == [
        StopAttempt(0, 1, WHO),
        StopAttempt(1, 1, WHO, withdraw=True),
        StopAttempt(2, 1, WHO, withdraw=True),
    ]
    assert core.at(1.1, AttemptWithdrawn(2, 1), AttemptStarted(1, 1, 0.9))[-2:] == [
        RecordStart(1, 1, 0.9),
        StopAttempt(1, 1, WHO),
    ]


def test_a_signal_ends_the_cleanup_too() -> None:
    """As it ends any run, with its grace; the run stays `cancelled`."""
    core = Core("a tidy>a:all_done more>tidy:all_done")
    core.at(0)
    core.at(1, CANCEL)
    core.at(2, stopped(0, 2))  # type: ignore[arg-type]
    assert core.at(3, STOP) == [EndStep(2, S.CANCELLED, 3, "not started")]
    assert core.core.next_wakeup(3) == 8.0
    assert core.at(8.0) == [StopAttempt(1, 1, "stopped by SIGINT")]
    assert core.at(8.5, AT_ONCE)[-2:] == [
        EndStep(1, S.INTERRUPTED, 8.5, "stopped by SIGINT"),
        EndRun(RunStatus.CANCELLED, 8.5, WHO),
    ]


def test_a_cancel_of_a_run_that_a_signal_stops() -> None:
    """It is `cancelled` then, and threads are asked at once; nothing that has ended comes back."""
    core = Core("a tidy>a:all_done")
    core.at(0)
    assert core.at(1, STOP) == [EndStep(1, S.CANCELLED, 1, "not started")]
    assert core.at(2, CANCEL) == [StopAttempt(0, 1, WHO)]
    assert core.at(3, CANCEL) == []
    assert core.at(3, stopped(0, 3))[-1] == EndRun(RunStatus.CANCELLED, 3, WHO)  # type: ignore[arg-type]


def test_a_cancel_that_cuts_nothing_short() -> None:
    """If all steps end well in spite of it, the run is `ok`."""
    core = Core("a tidy>a:all_done")
    core.at(0)
    core.at(1, CANCEL)
    core.at(2, ok(0, 2))
    assert core.at(3, ok(1, 3))[-1] == EndRun(RunStatus.OK, 3)


def test_a_cancel_before_the_first_claim() -> None:
    """Only what cleans up starts, once those above it are `cancelled`."""
    core = Core("a b>a tidy>b:all_done")
    assert core.at(0, CANCEL) == [
        EndStep(0, S.CANCELLED, 0, "not started"),
        EndStep(1, S.CANCELLED, 0, "not started"),
        claim(2),
    ]


def test_a_restored_backoff_of_what_cleans_up() -> None:
    """Its wait goes on under a cancel."""
    core = Core("tidy:all_done*1", states=[StepState(used=1, next_attempt_at=9.0)])
    assert core.at(1, CANCEL) == []
    assert core.at(9) == [claim(0, at=9)]


# -- too many left behind -------------------------------------------------------------------------


def crowd(text: str) -> Core:
    """Give a core whose 101 `h` steps ran over together and are left behind."""
    hung = " ".join(f"h{n}~1" for n in range(LEFT_MAX + 1))
    core = Core(f"{hung} {text}", workers=LEFT_MAX + 2)
    core.at(0)
    core.at(0, *(AttemptStarted(step, 1, 0.0) for step in range(LEFT_MAX + 1)))
    core.at(1)
    return core


def test_too_many_threads_left_behind_stop_the_run() -> None:
    """The 101st ends it as failed and says why; what runs gets the grace, nothing new starts."""
    core = crowd("a later>a tidy>a:all_done")
    told = [AttemptOverran(s, 1, retryable=False, delay_s=0) for s in range(LEFT_MAX + 1)]
    actions = core.at(1.1, *told[:-1])
    assert sum(type(action) is LeaveBehind for action in actions) == LEFT_MAX
    assert EndStep(LEFT_MAX + 2, S.CANCELLED, 1.1, "not started") not in actions
    actions = core.at(1.2, told[-1])
    why = "stopped: 101 threads of timed-out steps are still running"
    assert actions[2:] == [
        EndStep(LEFT_MAX + 2, S.CANCELLED, 1.2, "not started"),
        EndStep(LEFT_MAX + 3, S.CANCELLED, 1.2, "not started"),
        EndStep(LEFT_MAX, S.FAILED, 1.2, "timed out; its thread is still running"),
    ]
    assert core.at(6.2) == [StopAttempt(LEFT_MAX + 1, 1, why)]
    core.at(6.3, bad(LEFT_MAX + 1, 6.3, error=why)._replace(outcome=INTERRUPTED))
    assert core.core.ended
    assert core.core.status[LEFT_MAX + 1] is S.INTERRUPTED


def test_threads_that_have_ended_do_not_count() -> None:
    """The bound is on what still runs."""
    core = crowd("a")
    told = [AttemptOverran(s, 1, retryable=False, delay_s=0) for s in range(LEFT_MAX + 1)]
    core.at(1.1, *told[:-1])
    core.at(1.15, bad(0, 1.15))
    assert core.at(1.2, told[-1])[-1].step == LEFT_MAX  # type: ignore[union-attr]
    assert core.at(2, ok(LEFT_MAX + 1, 2))[-1] == EndRun(RunStatus.FAILED, 2)


def test_the_end_of_a_run_with_too_many_left() -> None:
    """It is failed, with the reason as its note; a cancel in time keeps its own word."""
    for first, end in (
        (None, (RunStatus.FAILED, "stopped: 101 threads of timed-out steps are still running")),
        (CANCEL, (RunStatus.CANCELLED, WHO)),
    ):
        core = crowd("a tidy>a:all_done")
        if first is not None:
            core.at(1.05, first)
        told = [AttemptOverran(s, 1, retryable=False, delay_s=0) for s in range(LEFT_MAX + 1)]
        core.at(1.1, *told)
        assert core.at(2, AT_ONCE)[-1] == EndRun(end[0], 2, end[1])


def test_attempt_numbers_left_behind_count_each() -> None:
    """A step that abandons attempt after attempt is counted for each."""
    core = Core(f"a*{LEFT_MAX + 5}~1%abandon", workers=1)
    now = 0.0
    core.at(now)
    for number in range(1, LEFT_MAX + 2):
        core.at(now, AttemptStarted(0, number, now))
        core.at(now + 1)
        actions = core.at(now + 1.2, AttemptOverran(0, number, retryable=True, delay_s=0.0))
        now += 1.2
    assert number == LEFT_MAX + 1
    assert actions[-1].status is RunStatus.FAILED  # type: ignore[union-attr]
    assert core.status() == "interrupted"


# -- a retry beside its own thread ----------------------------------------------------------------


def overrun(policy: str) -> Core:
    """Give a core whose `a` is left behind at 1.1 s with a retry due at 3.1 s."""
    core = Core(f"a*1~1%{policy}", workers=1)
    core.at(0)
    core.at(0, AttemptStarted(0, 1, 0.0))
    core.at(1.0)
    core.at(1.1, AttemptOverran(0, 1, retryable=True, delay_s=2.0))
    return core


def test_a_retry_waits_for_its_thread() -> None:
    """However long that takes; it holds no worker, and starts the moment the thread has ended."""
    core = overrun("wait")
    assert core.at(3.1) == []
    assert core.status() == "backing_off"
    assert core.core.live == 0
    assert core.core.next_wakeup(3.1) is None
    assert core.at(60) == []
    assert core.at(61, ok(0, 61)) == [claim(0, 2, at=61, report=True)]


def test_a_thread_that_ends_before_the_retry_is_due() -> None:
    """Then the retry is made when it is due, no sooner."""
    core = overrun("wait")
    assert core.at(2, ok(0, 2)) == []
    assert core.at(3.1) == [claim(0, 2, at=3.1, report=True)]


@pytest.mark.parametrize("stop", [STOP, CANCEL])
def test_a_stop_ends_the_waiting(stop: StopRequested) -> None:
    """The step is stopped before its retry; its thread ends when it likes."""
    core = overrun("wait")
    core.at(3.1)
    assert core.at(5, stop)[0] == EndStep(0, S.INTERRUPTED, 5, "stopped before its retry")
    assert core.core.ended


def test_a_retry_beside_its_thread() -> None:
    """It starts when due; what the thread of the attempt before says changes nothing."""
    core = overrun("abandon")
    assert core.at(3.1) == [claim(0, 2, at=3.1, report=True)]
    core.at(3.1, AttemptStarted(0, 2, 3.1))
    assert core.at(3.5, ok(0, 3.5)) == []
    assert core.at(3.6, ok(0, 3.6, number=2))[-1] == EndRun(RunStatus.OK, 3.6)


def test_a_policy_has_no_say_without_a_retry() -> None:
    """Out of retries the step has failed, whatever its thread does."""
    for policy in ("wait", "abandon"):
        core = overrun(policy)
        core.at(2, ok(0, 2))
        core.at(3.1)
        core.at(3.1, AttemptStarted(0, 2, 3.1))
        core.at(4.1)
        assert core.at(4.2, AttemptOverran(0, 2, retryable=True, delay_s=1.0))[-2:] == [
            EndStep(0, S.FAILED, 4.2, "timed out; its thread is still running"),
            EndRun(RunStatus.FAILED, 4.2),
        ]
