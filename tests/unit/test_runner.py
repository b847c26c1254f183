"""The loop: commit before effect, patience with a busy store, files before what builds on them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from engine.ancestry import ContextIndex
from engine.errors import StoreBusy
from engine.events import Action, Claim, EndRun, EndStep, Event, StopRequested, TellLate
from engine.lateness import Lateness, Limit, Whose
from engine.model import AttemptOutcome, RunStatus, Step, StepStatus
from engine.plan import StepState
from engine.produced import Encoded, OutputFile
from engine.runner import COMMIT_TRIES, LOOK_S, Ports, Runner
from engine.scheduler import Scheduler
from tests.builders import nothing, plan, steps
from tests.fakes import Body, FakeClock, FakeStore, FakeWorkers

FILE = OutputFile("f.tmp", "f", "0" * 64, 1)


class Values:
    """No values are stored."""

    def load(self, step: int, key: str) -> Encoded:
        """Have none."""
        raise KeyError(step, key)


class Wired:
    """A runner on fakes; `told` is what happened, in order."""

    def __init__(self, text: str, script: dict[int, Body] | None = None, **made: Any) -> None:
        """`made`: `before`, called ahead of each commit; `steps`; first `states`; `look_s`."""
        self.told: list[str] = []
        self.clock = FakeClock()
        core = plan(text)
        bodies = script or {}
        self.store = FakeStore(before=made.get("before", lambda _: None), after=self._committed)
        self.store.begin_run(len(core.graph.names))
        self.workers = FakeWorkers(
            self.clock,
            lambda step, _: bodies.get(step, Body(1.0)),
            workers=2,
            timeout_s=core.timeout_s,
            seen=lambda seen: self.told.append(f"{seen[0]} {core.graph.names[seen[2]]}"),
        )
        graph = core.graph
        ports = Ports(
            clock=self.clock,
            workers=self.workers,
            store=self.store,
            index=ContextIndex(graph.upstreams, graph.names, graph.generations, Values()),
            publish=self._publish,
            observe=lambda _actions, _now: None,
            settle_in=lambda: self.told.append("settle in"),
            look_s=made.get("look_s", LOOK_S),
            lateness=lambda: made.get("lateness"),
            late_s=made.get("late_s", math.inf),
            told_late=lambda late: self.told.append(f"told {len(late)}"),
        )
        self.names = graph.names
        scheduler = Scheduler(core, made.get("states", ()), workers=2)
        self.runner = Runner(scheduler, made.get("steps") or steps(text), ports)

    def _committed(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Claim(step=step):
                    self.told.append(f"claim {self.names[step]}")
                case EndStep(step=step):
                    self.told.append(f"ok {self.names[step]}")
                case TellLate():
                    self.told.append(f"{action.headline} at {action.at}")
                case EndRun():
                    self.told.append("end of run")
                case _:
                    pass

    def _publish(self, files: Iterable[OutputFile]) -> None:
        self.told.extend(f"publish {file.target}" for file in files)


def test_commit_before_effect() -> None:
    """A body begins after its claim was committed; what the end needs is imported meanwhile."""
    wired = Wired("a b>a")
    assert wired.runner.run() == EndRun(RunStatus.OK, 2.0)
    assert wired.told == [
        *("claim a", "begin a", "settle in", "end a"),
        *("ok a", "claim b", "begin b", "end b", "ok b", "end of run"),
    ]


def test_what_is_late_is_told_while_it_runs() -> None:
    """Committed in a tick of its own time, once; the step goes on and ends as it would."""
    late = Lateness(Whose("flow", 1, ["a", "b"]), {0: (Limit(20.0, "usually 4.0s"),)})
    wired = Wired("a b>a", {0: Body(50.0)}, lateness=late, late_s=5.0, look_s=math.inf)
    assert wired.runner.run() == EndRun(RunStatus.OK, 51.0)
    assert wired.told == [
        *("claim a", "begin a", "settle in"),
        *("flow: a is late: it has run for 20.0s, usually 4.0s at 20.0", "told 1"),
        *("end a", "ok a", "claim b", "begin b", "end b", "ok b", "end of run"),
    ]


def test_files_stand_before_what_builds_on_them() -> None:
    """They are published after the success's commit, before a dependant, and before the end."""
    wired = Wired("a b>a", {0: Body(1.0, files=(FILE,)), 1: Body(1.0, files=(FILE,))})
    wired.runner.run()
    told = [what for what in wired.told if what != "settle in"]
    assert told == [
        *("claim a", "begin a", "end a"),
        *("ok a", "claim b", "publish f", "begin b", "end b"),
        *("ok b", "publish f", "end of run"),
    ]
    assert wired.store.runs[0].unpublished == {}


def test_a_busy_store_is_asked_again() -> None:
    """Up to three times; then the run dies and stands as running."""
    tries = 0

    def busy(_: Sequence[Action]) -> None:
        nonlocal tries
        tries += 1
        if tries < COMMIT_TRIES:
            raise StoreBusy("another process holds the write lock")

    assert Wired("a", before=busy).runner.run().status is RunStatus.OK
    tries = -COMMIT_TRIES
    wired = Wired("a", before=busy)
    with pytest.raises(StoreBusy):
        wired.runner.run()
    assert tries == 0
    assert wired.told == []
    assert wired.store.runs[0].status is RunStatus.RUNNING


def test_a_stop_before_the_first_claim() -> None:
    """A signal that came while the run began lets nothing begin."""
    wired = Wired("a b>a")
    wired.workers.post(0.0, StopRequested("SIGTERM"))
    assert wired.runner.run() == EndRun(RunStatus.INTERRUPTED, 0.0, "stopped by SIGTERM")
    assert not [what for what in wired.told if what.startswith("begin")]


def test_a_request_to_cancel_is_looked_for_twice_a_second() -> None:
    """No oftener, however long the step."""
    wired = Wired("a", {0: Body(100.0, obeys_s=20.0)})
    asked_to_stop, looks = wired.store.asked_to_stop, list[float]()

    def look() -> str | None:
        looks.append(wired.clock.now())
        return asked_to_stop() if wired.clock.now() < 9.8 else "ada"

    wired.store.asked_to_stop = look  # type: ignore[method-assign]
    assert wired.runner.run() == EndRun(RunStatus.CANCELLED, 10.1, "cancelled by ada")
    assert looks == [LOOK_S * n for n in range(1, 21)]


def test_a_run_that_nobody_knows_of_is_not_looked_for() -> None:
    """The loop sleeps to the next moment at which something is due, a year if need be."""
    wired = Wired("a", {0: Body(3e7)}, look_s=math.inf)
    wired.store.asked_to_stop = lambda: pytest.fail("looked")  # type: ignore[method-assign]
    assert wired.runner.run() == EndRun(RunStatus.OK, 3e7)


def test_a_cancelled_run_wakes_as_often() -> None:
    """A signal that the kernel gave to another thread is seen when the loop wakes, not later.

    Once a run was cancelled the loop slept to the end of the grace, and a second Ctrl-C with it.
    """
    wired = Wired("a cleanup>a:all_done", {0: Body(20.0, obeys_s=0.0), 1: Body(20.0)})
    wait, waits = wired.workers.wait, list[float | None]()

    def noted(timeout_s: float | None) -> list[Event]:
        waits.append(timeout_s)
        return wait(timeout_s)

    wired.workers.wait = noted  # type: ignore[method-assign]
    wired.store.asked_to_stop = lambda: "ada"  # type: ignore[method-assign]
    assert wired.runner.run().status is RunStatus.CANCELLED
    assert len(waits) > 20
    assert max(math.inf if wait_s is None else wait_s for wait_s in waits) <= LOOK_S


def test_a_look_that_finds_the_store_busy_is_made_again() -> None:
    """Nothing is lost by it."""
    wired = Wired("a", {0: Body(5.0)})
    answers: list[Exception | str] = [StoreBusy("locked"), "ada"]

    def look() -> str | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    wired.store.asked_to_stop = look  # type: ignore[method-assign]
    assert wired.runner.run() == EndRun(RunStatus.CANCELLED, 1.0, "cancelled by ada")


def test_a_busy_run_looks_too() -> None:
    """Events that come in quick succession do not keep it from looking."""
    wired = Wired(" ".join(f"s{n}" for n in range(48)), {n: Body(0.1) for n in range(48)})
    looks: list[float] = []

    def look() -> None:
        looks.append(round(wired.clock.now(), 6))

    wired.store.asked_to_stop = look  # type: ignore[method-assign]
    assert wired.runner.run().status is RunStatus.OK
    assert looks == [0.5, 1.0, 1.5, 2.0]


def test_a_hung_attempt_costs_its_limit_only() -> None:
    """Its verdict comes in a tenth of a second, its dependants do not wait for it."""
    wired = Wired("a~1 b>a c", {0: Body(float("inf"), obeys_s=None)})
    end = wired.runner.run()
    assert (end.status, end.at) == (RunStatus.FAILED, 1.1)
    assert wired.store.runs[0].steps == {
        0: (StepStatus.FAILED, "timed out; its thread is still running"),
        1: (StepStatus.SKIPPED, "dependency failed: a"),
        2: (StepStatus.OK, ""),
    }
    assert wired.workers.left_running() == [(0, 1)]


@pytest.mark.parametrize(("used", "bound_s"), [(0, 1.0), (1, 2.0)])
def test_a_retry_after_an_overrun_is_drawn_from_the_policy(used: int, bound_s: float) -> None:
    """Its bound is that of the failures so far, those of earlier runs included."""
    wired = Wired("a*2~1", {0: Body(1.15, obeys_s=None)}, states=[StepState(used=used)])
    wired.runner.run()
    first, second = wired.store.runs[0].attempts_of(0)[:2]
    assert first.outcome is AttemptOutcome.TIMED_OUT
    assert first.retry_at == second.started_at == 1.1 + bound_s * FakeClock().random()


def test_a_strategy_that_raises_after_an_overrun_fails_the_step() -> None:
    """A user's own code never ends the run."""

    def wrong(_: object) -> float:
        raise LookupError("no such wait")

    made = [Step("a", nothing, retries=1, timeout=1, wait=wrong)]
    wired = Wired("a*1~1", {0: Body(9.0, obeys_s=None)}, steps=made)
    assert wired.runner.run().status is RunStatus.FAILED


def test_a_store_that_is_busy_after_publishing_is_asked_again() -> None:
    """Recording that files stand is as patient as a commit."""
    wired = Wired("a", {0: Body(1.0, files=(FILE,))})
    mark, busy = wired.store.mark_published, [StoreBusy("another process holds the write lock")]

    def once_busy(steps: Sequence[int]) -> None:
        if busy:
            raise busy.pop()
        mark(steps)

    wired.store.mark_published = once_busy  # type: ignore[method-assign]
    assert wired.runner.run().status is RunStatus.OK
