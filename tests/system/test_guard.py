"""Stopping a thread's code for real: what stops, what never does, and that no thread is wrecked."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest

from engine.workers.guard import AttemptStopped, Guard

Answer = tuple[Any, BaseException | None]
PATIENCE_S = 5.0


class Lane:
    """One thread that runs bodies under guards, one after the other, and is alive after each.

    Its guards have one lock, as in a run.
    """

    def __init__(self) -> None:
        """Start the thread."""
        self._lock = threading.RLock()
        self._jobs: SimpleQueue[tuple[Guard, Callable[[], Any]] | None] = SimpleQueue()
        self.answers: SimpleQueue[Answer] = SimpleQueue()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            guard, body = job
            self.answers.put(guard.run(body))

    def start(self, body: Callable[[], Any]) -> Guard:
        """Hand a body to the thread."""
        guard = Guard(self._lock)
        self._jobs.put((guard, body))
        return guard

    def answer(self, within_s: float = PATIENCE_S) -> Answer:
        """Wait for a body's answer."""
        return self.answers.get(timeout=within_s)

    def end(self) -> None:
        """End the thread, which must still take its orders and hold no lock."""
        assert self._lock.acquire(timeout=PATIENCE_S)
        self._lock.release()
        self._jobs.put(None)
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        assert self.answers.empty()


@contextmanager
def lane() -> Iterator[Lane]:
    """Give a thread and see that it can be ended like any other."""
    made = Lane()
    yield made
    made.end()


def stopped_within(body: Callable[[threading.Event], Any]) -> tuple[float, Answer]:
    """Stop a body that has begun; give the time it took, and its answer."""
    begun = threading.Event()
    with lane() as made:
        guard = made.start(lambda: body(begun))
        assert begun.wait(PATIENCE_S)
        at = time.monotonic()
        guard.stop()
        answer = made.answer()
        took_s = time.monotonic() - at
        assert made.start(lambda: "alive") is not guard
        assert made.answer() == ("alive", None)
    return took_s, answer


def pure_loop(begun: threading.Event) -> None:
    """Never end."""
    begun.set()
    while True:
        pass


def retry_loop(begun: threading.Event) -> None:
    """Pass over every `Exception`."""
    while True:
        try:
            begun.set()
            sum(range(100))
            raise ValueError("again")  # noqa: TRY301 - this is the loop
        except Exception:  # noqa: BLE001, S112 - this is the loop
            continue


def short_waits(begun: threading.Event) -> None:
    """Wait for ever, a little at a time."""
    never = threading.Event()
    begun.set()
    while not never.wait(0.01):
        pass


@pytest.mark.parametrize("body", [pure_loop, retry_loop, short_waits])
def test_python_code_is_stopped(body: Callable[[threading.Event], Any]) -> None:
    """A loop is out within 50 ms, whatever `Exception`s it swallows; best of three tries."""
    times = []
    for _ in range(3):
        took_s, (result, error) = stopped_within(body)
        assert (result, type(error)) == (None, AttemptStopped)
        times.append(took_s)
    assert min(times) < 0.05


def test_a_body_that_swallows_everything_is_asked_once() -> None:
    """A bare `except` takes the one stop; further ones are not sent, and the body's end counts."""
    caught = []
    begun, asked = threading.Event(), threading.Event()

    def swallow() -> str:
        while not asked.is_set():
            try:
                begun.set()
                while not asked.is_set():
                    pass
            except:  # noqa: E722 - as some steps do
                caught.append(1)
        return "the end"

    with lane() as made:
        guard = made.start(swallow)
        assert begun.wait(PATIENCE_S)
        for _ in range(20):
            guard.stop()
            time.sleep(0.001)
        asked.set()
        assert made.answer() == ("the end", None)
    assert caught == [1]


def test_a_blocking_call_is_stopped_when_it_ends() -> None:
    """Nothing interrupts it; the stop lands as it returns."""

    def body(begun: threading.Event) -> None:
        begun.set()
        time.sleep(0.2)
        while True:
            pass

    took_s, (_, error) = stopped_within(body)
    assert type(error) is AttemptStopped
    assert 0.1 < took_s < PATIENCE_S


def test_a_stop_before_the_body() -> None:
    """The body is never called."""
    guard, called = Guard(), []
    guard.stop()
    result, error = guard.run(lambda: called.append(1))
    assert (result, type(error), called) == (None, AttemptStopped, [])


def test_a_stop_after_the_body() -> None:
    """It is swallowed: nothing is raised in the thread later on."""
    with lane() as made:
        guard = made.start(lambda: 7)
        assert made.answer() == (7, None)
        guard.stop()
        assert made.start(lambda: sum(range(100_000))) is not guard
        assert made.answer() == (4_999_950_000, None)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_what_a_body_raises_is_its_answer(error: BaseException) -> None:
    """Also what would end a thread or a process."""

    def raises() -> None:
        raise error

    assert Guard().run(raises) == (None, error)


@pytest.fixture
def _hurried() -> Iterator[None]:
    """Let threads take turns every few microseconds, so that they meet everywhere."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hurried")
def test_stops_at_the_very_end_of_bodies() -> None:
    """2,000 stops at about the moment a body ends: one answer each, in a thread that lives."""
    stopped = 0
    with lane() as made:
        for turn in range(2_000):
            begun, near = threading.Event(), list[int]()

            def body(
                laps: int = turn % 50 * 20,
                begun: threading.Event = begun,
                near: list[int] = near,
            ) -> str:
                begun.set()
                while not near:
                    pass
                for _ in range(laps):
                    pass
                return "done"

            guard = made.start(body)
            begun.wait(PATIENCE_S)
            near.append(1)
            for _ in range(turn % 41 * 150):
                pass
            guard.stop()
            result, error = made.answer()
            assert (result, type(error)) in (("done", type(None)), (None, AttemptStopped))
            stopped += error is not None
    assert stopped


def test_stops_from_many_threads() -> None:
    """Sent at most once, however many ask at the same time."""
    begun = threading.Event()
    caught = []

    def body() -> str:
        for _ in range(2):
            try:
                begun.set()
                until = time.monotonic() + 0.1
                while time.monotonic() < until:
                    pass
            except AttemptStopped:
                caught.append(1)
        return "done"

    with lane() as made:
        guard = made.start(body)
        assert begun.wait(PATIENCE_S)
        threads = [threading.Thread(target=guard.stop) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made.answer() == ("done", None)
    assert caught == [1]
