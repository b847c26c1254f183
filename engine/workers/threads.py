"""Worker threads on a `ThreadPoolExecutor`: one lane each, fed from one queue.

A lane takes attempts from the queue until it is told to end. One whose attempt could not be
stopped is left behind and another takes its place, so that the pool's size is never the limit.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Protocol

from engine.events import AttemptFinished, AttemptStarted, AttemptWithdrawn, Event
from engine.failpoints import failpoint
from engine.live import LEFT_MAX
from engine.model import AttemptOutcome
from engine.ports import Clock, Job
from engine.workers.attempt import Attempt
from engine.workers.toolbox import Toolbox


class Running(Protocol):
    """What a lane carries out: `run` in the lane, the rest from any thread."""

    started_at: float

    def run(self) -> AttemptFinished:
        """Do it; never raises."""

    def stop(self, reason: str) -> None:
        """Ask for an end."""

    def end_children(self, number: signal.Signals) -> None:
        """Signal what it has started and may wait for."""


BeginMark = Callable[[int, Job, float], None]


class ThreadWorkers:
    """Implements `engine.ports.Workers`."""

    def __init__(
        self, tools: Toolbox, *, workers: int, inbox: SimpleQueue[Event], mark: BeginMark
    ) -> None:
        """`mark(lane, job, started_at)` is called by a lane as it begins an attempt."""
        self._tools = tools
        self._clock: Clock = tools.clock
        self._workers = workers
        self._inbox = inbox
        self._mark = mark
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._live: dict[tuple[int, int], Running] = {}
        # All that run when the bound is passed may be left behind too.
        self._pool = ThreadPoolExecutor(LEFT_MAX + 2 * workers, thread_name_prefix="lane")
        self._lanes = 0
        self._ends = Lock()  # held to tell an attempt that ends from one that is left behind
        self._left: set[tuple[int, int]] = set()
        self._withdrawn: set[tuple[int, int]] = set()
        self._closed = False

    def dispatch(self, jobs: Sequence[Job]) -> None:
        """Queue attempts, in order, and see that there are lanes for them."""
        put = self._jobs.put
        for job in jobs:
            put(job)
        self._staff()

    def _staff(self) -> None:
        """See that there are lanes for what is queued, as many as workers at most."""
        lanes = self._lanes - len(self._left)
        wanted = min(self._workers, lanes + self._jobs.qsize())
        for _ in range(wanted - lanes):
            self._pool.submit(self._serve, self._lanes)
            self._lanes += 1

    def wait(self, timeout_s: float | None) -> list[Event]:
        """Block until something happened; give all pending events."""
        if self._withdrawn:
            self._withdraw()
        events: list[Event] = []
        inbox = self._inbox
        with suppress(Empty):
            events.append(inbox.get(timeout=timeout_s))
        if self._tools.halts is not None:
            self._tools.halts.look()  # before anybody's limit is found to have passed
        with suppress(Empty):
            while True:
                events.append(inbox.get_nowait())
        return events

    def begun(self) -> list[AttemptStarted]:
        """Starts of attempts that run now."""
        return [
            AttemptStarted(step, number, attempt.started_at)
            for (step, number), attempt in self._live.copy().items()
        ]

    def stop(self, step: int, number: int, reason: str, *, withdraw: bool) -> None:
        """Take a queued attempt back; a begun one is stopped unless `withdraw`."""
        if withdraw:
            self._withdrawn.add((step, number))
        attempt = self._live.get((step, number))
        if attempt is not None and not withdraw:
            attempt.stop(reason)

    def leave_behind(self, step: int, number: int) -> None:
        """Count no longer on the lane of this attempt; another may take its place."""
        with self._ends:
            if (step, number) not in self._live:
                return
            self._left.add((step, number))
        self._staff()

    def left_running(self) -> list[tuple[int, int]]:
        """(step, number) of attempts whose bodies still run."""
        return sorted(self._live)

    def close(self) -> None:
        """End idle lanes, and what bodies that still run have started; never waits for a body.

        What is queued is not begun any more.
        """
        self._closed = True
        for _ in range(self._lanes):
            self._jobs.put(None)
        for attempt in self._live.copy().values():
            attempt.end_children(signal.SIGKILL)
        self._pool.shutdown(wait=not self._live, cancel_futures=True)

    def _withdraw(self) -> None:
        """Empty the queue of what is to be taken back; what began meanwhile goes on."""
        kept: list[Job | None] = []
        try:
            while True:
                job = self._jobs.get_nowait()
                if job is not None and (job.step, job.number) in self._withdrawn:
                    self._inbox.put(AttemptWithdrawn(job.step, job.number))
                else:
                    kept.append(job)
        except Empty:
            pass
        self._withdrawn.clear()
        for job in kept:
            self._jobs.put(job)

    def _serve(self, lane: int) -> None:
        """One lane, in its own thread."""
        take, put, now, mark = self._jobs.get, self._inbox.put, self._clock.now, self._mark
        live = self._live
        while (job := take()) is not None:
            key = (job.step, job.number)
            started_at = now()
            try:
                live[key] = attempt = self._attempt(job, started_at, lane)
                if self._closed:  # looked at once the attempt can be seen: `close` waits for none
                    del live[key]
                    continue
                mark(lane, job, started_at)
                failpoint("attempt-begun")
                if job.report:
                    put(AttemptStarted(job.step, job.number, started_at))
                event = attempt.run()
                failpoint("attempt-ended")
            except BaseException as error:  # noqa: BLE001 - each attempt gives an answer, come what may
                event = self._broken(job, started_at, error)
            with self._ends:
                live.pop(key, None)
                left = key in self._left
            put(event)
            if left:
                return  # another lane has taken this one's place

    def _attempt(self, job: Job, started_at: float, _lane: int) -> Running:
        if not self._tools.steps[job.step].isolate:
            return Attempt(self._tools, job, started_at)
        from engine.workers.isolation.attempt import IsolatedAttempt

        return IsolatedAttempt(self._tools, job, started_at)

    def _broken(self, job: Job, started_at: float, error: BaseException) -> AttemptFinished:
        """Answer for an attempt that could not be carried out for a fault of ours."""
        text = f"the engine failed to run it: {type(error).__name__}: {error}"
        ended_at = self._clock.now()
        outcome = AttemptOutcome.FAILED
        return AttemptFinished(job.step, job.number, outcome, started_at, ended_at, error=text)
