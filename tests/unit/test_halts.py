"""A halted engine: how it is noticed, and what it does to limits."""

from __future__ import annotations

import pytest

from engine.events import (
    AttemptOverran,
    AttemptStarted,
    EngineHalted,
    LeaveBehind,
    StopAttempt,
)
from engine.live import HEAR_S
from engine.workers.halts import BEAT_S, HaltWatch
from tests.fakes import FakeClock
from tests.unit.ticks import STOP, Core, bad, ok

MINUTE = EngineHalted(0.5, 60.5)

# -- noticed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap_s", "computed_s", "halted_s"),
    [
        (60.0, 0.0, 60.0),
        (60.0, 5.0, 60.0),  # many threads computed until it was halted
        (60.0, 59.0, 0.0),  # a step held the interpreter
        (4.0, 0.9, 0.0),  # the same, on a machine with much else on
        (2.0, 0.0, 0.0),  # a slow machine
    ],
)
def test_a_late_beat_without_work_is_a_halt(
    gap_s: float, computed_s: float, halted_s: float
) -> None:
    """What a process has computed meanwhile tells a halt from a step that held it up."""
    clock, told = FakeClock(), list[EngineHalted]()
    watch = HaltWatch(clock, told.append)
    clock.pass_to(BEAT_S)
    watch.look()
    clock.pass_to(BEAT_S + gap_s)
    clock.computed_s += computed_s
    assert watch.halted_s(since=0.0) == halted_s
    assert told == [EngineHalted(BEAT_S, BEAT_S + gap_s)] * bool(halted_s)


def test_a_halt_is_told_once_and_counts_from_an_attempts_start() -> None:
    """Whoever looks first tells of it; an attempt has of it what fell into its own time."""
    clock, told = FakeClock(), list[EngineHalted]()
    watch = HaltWatch(clock, told.append)
    clock.pass_to(10.0)
    watch.look()
    watch.look()
    assert told == [EngineHalted(0.0, 10.0)]
    assert [watch.halted_s(since) for since in (-1.0, 4.0, 11.0)] == [10.0, 6.0, 0.0]


# -- limits ---------------------------------------------------------------------------------------


def test_a_halt_moves_the_limit_of_a_thread() -> None:
    """It was halted too, and gets the time again; that a start is told later changes nothing."""
    core = Core("a~2 b~2")
    core.at(0)
    core.at(0.1, AttemptStarted(0, 1, 0.0))
    assert not [
        a for a in core.at(60.5, MINUTE, AttemptStarted(1, 1, 0.4)) if type(a) is StopAttempt
    ]
    assert core.at(61.9) == []
    assert core.core.next_wakeup(61.9) == 62.0
    assert core.at(62.0) == [StopAttempt(0, 1, "timed out after 2s")]
    assert core.at(62.4) == [StopAttempt(1, 1, "timed out after 2s")]


def test_a_process_runs_on_and_is_heard_of_first() -> None:
    """Past its limit when the engine goes on, it is stopped in a moment, unless it has ended."""
    core = Core("a~2! b~2! c~90!")
    core.at(0)
    core.at(0.1, *(AttemptStarted(step, 1, 0.0) for step in range(3)))
    assert core.at(60.5, MINUTE) == []
    assert core.at(60.6, ok(0, 60.6))
    assert core.core.next_wakeup(60.6) == 60.5 + HEAR_S
    assert core.at(60.5 + HEAR_S) == [StopAttempt(1, 1, "timed out after 2s")]
    assert core.at(89.0, bad(1, 62.0)) != []
    assert core.at(90.0) == [StopAttempt(2, 1, "timed out after 90s")]


def test_a_halt_is_no_time_to_stop_in() -> None:
    """What was asked to stop just before it is not left behind the moment the engine goes on."""
    core = Core("a~2")
    core.at(0)
    core.at(0.1, AttemptStarted(0, 1, 0.0))
    core.at(2.0)
    late = AttemptOverran(0, 1, retryable=False, delay_s=0.0)
    assert core.at(62.0, EngineHalted(2.0, 62.0), late) == []
    assert core.core.next_wakeup(62.0) == pytest.approx(62.1)
    assert LeaveBehind(0, 1) in core.at(62.2, late)


def test_a_halt_during_a_stop() -> None:
    """Attempts that the run's end has asked are given the time again, too."""
    core = Core("a!")
    core.at(0)
    core.at(1.0, STOP)
    assert core.core.overran(100.0) == [(0, 1)]
    core.at(100.0, EngineHalted(1.0, 100.0))
    assert core.core.overran(100.0) == []


def test_a_stop_that_comes_with_the_end_of_a_halt_has_no_more_time_for_it() -> None:
    """The signal that wakes a machine from its sleep may be told before the sleep is."""
    core = Core("a!")
    core.at(0)
    core.at(8_000.0, STOP, EngineHalted(1.0, 8_000.0))
    (asked,) = (stop for stop in core.core._live.by_step.values())
    assert asked.stop_by == 8_000.0 + core.core.plan.stop_s[0]
