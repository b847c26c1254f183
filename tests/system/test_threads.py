"""Worker threads for real: lanes, queues, withdrawals, what is left behind, and the end."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any

import pytest

from engine.ancestry import ContextIndex
from engine.clock import SystemClock
from engine.context import Codec, RunScope
from engine.events import AttemptFinished, AttemptStarted, AttemptWithdrawn, Event
from engine.logs import RunLogs
from engine.model import AttemptOutcome, Step
from engine.ports import Job, Paths
from engine.produced import Encoded
from engine.secrets import Secrets
from engine.workers.threads import ThreadWorkers
from engine.workers.toolbox import Toolbox

OK = AttemptOutcome.OK
PATIENCE_S = 5.0
Run = Callable[[Any], Any]


class Bench:
    """Workers over steps `s0`, `s1` … that run the given functions."""

    def __init__(self, root: Path, workers: int, runs: tuple[Run, ...], **policy: Any) -> None:
        """Wire real parts; the context is plain text."""
        names = [f"s{i}" for i in range(len(runs))]
        empty: list[tuple[int, ...]] = [()] * len(runs)
        secrets = Secrets(root, {})
        clock = SystemClock()
        scope = RunScope(
            workflow="bench",
            run_id=1,
            index=ContextIndex(empty, names, [0] * len(runs), _NoValues()),
            codec=Codec(
                encode=lambda _key, value: Encoded("text", str(value).encode(), ""),
                decode=lambda encoded: encoded.data.decode(),
            ),
            params=MappingProxyType({}),
            paths=Paths(root, root / "var", ""),
            secrets=secrets,
        )
        self.tools = Toolbox(
            scope=scope,
            steps=[Step(name, run, **policy) for name, run in zip(names, runs, strict=True)],
            clock=clock,
            logs=RunLogs(root / "logs", run_id=1, clock=clock, mask=secrets.mask),
            environ=dict,
            key_runs=[1] * len(runs),
            used=[0] * len(runs),
        )
        self.marks: list[tuple[int, int]] = []
        self.lanes: dict[int, int] = {}
        self.workers = ThreadWorkers(
            self.tools, workers=workers, inbox=SimpleQueue(), mark=self._mark
        )

    def _mark(self, lane: int, job: Job, started_at: float) -> None:
        assert started_at <= time.monotonic()
        self.marks.append((job.step, job.number))
        self.lanes[job.step] = lane

    def dispatch(self, *steps: int, report: bool = False) -> None:
        """Hand out first attempts."""
        self.workers.dispatch([Job(step, 1, report) for step in steps])

    def events(self, count: int) -> list[Event]:
        """Wait for so many events."""
        found: list[Event] = []
        until = time.monotonic() + PATIENCE_S
        while len(found) < count and time.monotonic() < until:
            found += self.workers.wait(0.05)
        assert len(found) == count, found
        return found

    def ended(self, count: int) -> set[int]:
        """Wait for so many attempts to end well; give their steps."""
        found = self.events(count)
        assert all(isinstance(event, AttemptFinished) and event.outcome is OK for event in found)
        return {event.step for event in found if isinstance(event, AttemptFinished)}


class _NoValues:
    """No values are stored."""

    def load(self, step: int, key: str) -> Encoded:
        """Have none."""
        raise KeyError(step, key)


class Gate:
    """A body that waits to be let go; `begun` is set when it runs."""

    def __init__(self) -> None:
        """Stand closed."""
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self, _: Any) -> None:
        """Wait in one blocking call: nothing can stop it."""
        self.begun.set()
        self.open.wait(PATIENCE_S * 2)

    def wait(self) -> None:
        """Wait until the body runs."""
        assert self.begun.wait(PATIENCE_S)


Bencher = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bencher]:
    """Make benches, and end them."""
    made: list[Bench] = []

    def make(*runs: Run, workers: int = 2, **policy: Any) -> Bench:
        made.append(Bench(tmp_path, workers, runs, **policy))
        return made[-1]

    yield make
    for one in made:
        for step in one.tools.steps:
            if isinstance(step.run, Gate):
                step.run.open.set()
        one.workers.close()


def quick(_: Any) -> None:
    """End at once."""


def spin(_: Any) -> None:
    """Never end by itself."""
    while True:
        pass


def test_each_attempt_gives_one_answer(bench: Bencher) -> None:
    """More jobs than lanes: all end, marked before they begin, with stamps of their own."""
    made = bench(*[quick] * 50)
    made.dispatch(*range(50))
    found = made.events(50)
    assert sorted(event.step for event in found if isinstance(event, AttemptFinished)) == list(
        range(50)
    )
    assert all(e.started_at <= e.finished_at for e in found if isinstance(e, AttemptFinished))
    assert sorted(made.marks) == [(step, 1) for step in range(50)]
    assert set(made.lanes.values()) <= {0, 1}
    assert made.workers.left_running() == []


def test_what_ends_well_leaves_no_garbage(bench: Bencher) -> None:
    """A context is gone as its attempt has ended, with nothing left for the collector."""
    seen: list[weakref.ref[Any]] = []
    made = bench(lambda ctx: seen.append(weakref.ref(ctx)), quick, workers=1)
    gc.disable()
    try:
        made.dispatch(0, 1)  # the second, so that the lane has let go of the first
        assert made.ended(2) == {0, 1}
        assert [ref() for ref in seen] == [None]
    finally:
        gc.enable()


def test_what_a_step_gives_back_is_written(bench: Bencher) -> None:
    """A returned value goes with the end; an error is told with its type."""

    def fails(_: Any) -> None:
        raise ValueError("no such day")

    made = bench(lambda _: 7, fails, retries=0)
    made.dispatch(0, 1)
    first, second = sorted(made.events(2), key=lambda event: getattr(event, "step", 0))
    assert isinstance(first, AttemptFinished)
    assert first.writes == (("s0", Encoded("text", b"7", "")),)
    assert isinstance(second, AttemptFinished)
    assert (second.outcome, second.error) == (AttemptOutcome.FAILED, "ValueError: no such day")


def test_steps_one_after_the_other_keep_to_one_lane(bench: Bencher) -> None:
    """A thread more is started only where those that are there have something to do."""
    gate = Gate()
    made = bench(*[quick] * 20, gate, quick, workers=4)
    for step in range(20):
        made.dispatch(step)
        made.ended(1)
    assert set(made.lanes.values()) == {0}
    made.dispatch(20)
    gate.wait()
    made.dispatch(21)
    assert made.ended(1) == {21}
    assert made.lanes[21] == 1


def test_the_most_urgent_of_the_queued_goes_first(bench: Bencher) -> None:
    """Whenever it came; of equal ranks the one that came first."""
    gate = Gate()
    made = bench(gate, *[quick] * 6, workers=1)
    made.dispatch(0)
    gate.wait()
    for batch in ([(1, 10), (2, 20)], [(3, 5), (4, 15)], [(5, 20), (6, 30)]):
        made.workers.dispatch([Job(step, 1, report=False, rank=rank) for step, rank in batch])
    gate.open.set()
    made.ended(7)
    assert [step for step, _ in made.marks] == [0, 3, 1, 4, 2, 5, 6]


def test_waiting_has_an_end(bench: Bencher) -> None:
    """Without events `wait` gives nothing when its time has passed."""
    at = time.monotonic()
    assert bench(quick).workers.wait(0.05) == []
    assert 0.04 < time.monotonic() - at < PATIENCE_S


def test_starts_are_reported_where_asked(bench: Bencher) -> None:
    """As an event before the end, and of all that runs when looked for."""
    gate = Gate()
    made = bench(gate, quick)
    made.dispatch(0, report=True)
    gate.wait()
    (started,) = made.events(1)
    assert isinstance(started, AttemptStarted)
    assert made.workers.begun() == [started]
    assert made.workers.left_running() == [(0, 1)]
    made.dispatch(1)
    assert made.ended(1) == {1}
    gate.open.set()
    assert made.ended(1) == {0}
    assert made.workers.begun() == []


def test_a_body_that_hangs_blocks_no_other(bench: Bencher) -> None:
    """With two lanes one goes on."""
    gate = Gate()
    made = bench(gate, *[quick] * 20)
    made.dispatch(*range(21))
    assert made.ended(20) == set(range(1, 21))
    gate.open.set()
    assert made.ended(1) == {0}


def test_what_is_queued_is_taken_back(bench: Bencher) -> None:
    """A withdrawn attempt never begins; one that has begun goes on; the others keep their turn."""
    gate = Gate()
    made = bench(gate, quick, quick, workers=1)
    made.dispatch(0, 1, 2)
    gate.wait()
    for step in (0, 1, 99):
        made.workers.stop(step, 1, "stopped by SIGINT", withdraw=True)
    assert made.events(1) == [AttemptWithdrawn(1, 1)]
    gate.open.set()
    assert made.ended(2) == {0, 2}
    assert made.marks == [(0, 1), (2, 1)]


def test_a_stop_ends_what_runs(bench: Bencher) -> None:
    """A loop is stopped and its lane takes the next; what has ended is not minded."""
    made = bench(spin, quick, workers=1)
    made.dispatch(0, report=True)
    made.events(1)
    made.workers.stop(0, 1, "stopped by SIGINT", withdraw=False)
    (event,) = made.events(1)
    assert isinstance(event, AttemptFinished)
    assert (event.outcome, event.error) == (AttemptOutcome.INTERRUPTED, "stopped by SIGINT")
    made.workers.stop(0, 1, "again", withdraw=False)
    made.dispatch(1)
    assert made.ended(1) == {1}
    assert made.lanes == {0: 0, 1: 0}


def test_a_lane_that_is_left_behind_is_replaced(bench: Bencher) -> None:
    """The next attempt runs on a new lane, and as many live ones as workers remain."""
    hung, other, third = Gate(), Gate(), Gate()
    made = bench(hung, other, third, quick, workers=1)
    made.dispatch(0, 1, 2)
    hung.wait()
    made.workers.leave_behind(0, 1)
    other.wait()
    assert not third.begun.wait(0.05)
    assert made.workers.left_running() == [(0, 1), (1, 1)]
    hung.open.set()
    assert made.ended(1) == {0}
    assert not third.begun.wait(0.05)  # the old lane has ended with its attempt
    other.open.set()
    third.open.set()
    assert made.ended(2) == {1, 2}
    made.dispatch(3)
    assert made.ended(1) == {3}
    assert made.lanes == {0: 0, 1: 1, 2: 1, 3: 1}


def test_leaving_behind_what_has_ended_costs_no_lane(bench: Bencher) -> None:
    """Its lane goes on, and no other is made beside it."""
    made = bench(quick, quick, quick, workers=1)
    made.dispatch(0)
    assert made.ended(1) == {0}
    made.workers.leave_behind(0, 1)
    made.dispatch(1, 2)
    assert made.ended(2) == {1, 2}
    assert set(made.lanes.values()) == {0}


def test_closing_waits_for_no_body_and_begins_none(bench: Bencher) -> None:
    """What is queued when the run ends is not begun any more."""
    gate = Gate()
    made = bench(gate, quick, quick, workers=1)
    made.dispatch(0, 1, 2)
    gate.wait()
    at = time.monotonic()
    made.workers.close()
    assert time.monotonic() - at < 1
    assert made.workers.left_running() == [(0, 1)]
    gate.open.set()
    assert made.ended(1) == {0}
    assert made.workers.wait(0.05) == []
    assert made.marks == [(0, 1)]


def test_closing_ends_idle_lanes(bench: Bencher) -> None:
    """No thread is left of workers that have nothing to do."""
    made = bench(quick, quick, workers=2)
    made.dispatch(0, 1)
    made.ended(2)
    made.workers.close()
    threads = made.workers._pool._threads
    assert threads
    assert not any(thread.is_alive() for thread in threads)


def test_a_fault_of_ours_is_an_answer_too(bench: Bencher) -> None:
    """An attempt that cannot even begin fails by name; its lane lives."""
    made = bench(quick, quick, workers=1)

    def mark(_lane: int, job: Job, _started_at: float) -> None:
        if job.step == 0:
            raise OSError("no space left on device")

    made.workers._mark = mark
    made.dispatch(0, 1)
    first, second = made.events(2)
    assert isinstance(first, AttemptFinished)
    assert first.outcome is AttemptOutcome.FAILED
    assert first.error == "the engine failed to run it: OSError: no space left on device"
    assert isinstance(second, AttemptFinished)
    assert second.outcome is OK
    assert made.workers.left_running() == []


def test_ends_and_leavings_race(bench: Bencher) -> None:
    """An attempt left behind as it ends loses its lane or keeps it; two never run on one worker."""
    running, most = 0, 0
    lock = threading.Lock()

    def counted(_: Any) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        sum(range(300))
        with lock:
            running -= 1

    made = bench(*[counted] * 300, workers=1)
    for step in range(0, 300, 2):
        made.dispatch(step, step + 1)
        made.workers.leave_behind(step, 1)
        made.ended(2)
    made.dispatch()
    # after all that the next attempts still run one at a time
    most = 0
    made.workers.dispatch([Job(step, 2, report=False) for step in range(50)])
    made.ended(50)
    assert most == 1
