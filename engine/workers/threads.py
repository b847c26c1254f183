"""Worker threads on a `ThreadPoolExecutor`: one lane each, fed from one queue.

A lane takes attempts from the queue until it is told to end. One whose attempt could not be
stopped is left behind and another takes its place, so that the pool's size is never the limit.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Protocol

from engine.events import AttemptFinished, AttemptStarted, AttemptWithdrawn, Event
from engine.failpoints import failpoint
from engine.live import LEFT_MAX
from engine.model import AttemptOutcome
from engine.ports import Clock, Job
from engine.workers.attempt import Attempt, Lane, name_of, text_of, this_lane
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
        # Who takes an attempt out of `_live` has it: its lane as it ends, or `leave_behind`.
        self._left: dict[tuple[int, int], Running] = {}
        # All that run when the bound is passed may be left behind too.
        self._pool = ThreadPoolExecutor(LEFT_MAX + 2 * workers, thread_name_prefix="lane")
        self._ended: list[int] = []  # attempts, by lane
        self._queued_to = 0  # no queued attempt has a higher rank
        self._given = 0  # attempts that a lane is to end
        self._gone = 0  # lanes whose attempt was left behind
        self._withdrawn: set[tuple[int, int]] = set()
        self._closed = False

    def dispatch(self, jobs: Sequence[Job]) -> None:
        """Queue attempts, the most urgent first, and see that there are lanes for them."""
        self._given += len(jobs)
        if not jobs:
            return
        if self._jobs.qsize() and jobs[0].rank < self._queued_to:
            jobs = sorted((*self._take_back(), *jobs), key=lambda job: job.rank)
        self._queued_to = jobs[-1].rank
        put = self._jobs.put
        for job in jobs:
            put(job)
        if len(self._ended) - self._gone < self._workers:
            self._staff()

    def _take_back(self) -> list[Job]:
        """Empty the queue; lanes wait meanwhile."""
        jobs: list[Job] = []
        try:
            while True:
                job = self._jobs.get_nowait()
                assert job is not None  # nothing is asked of who is closed
                jobs.append(job)
        except Empty:
            return jobs

    def _staff(self) -> None:
        """See that there are lanes for what is queued or runs, as many as workers at most.

        No more: where one is enough, it is the same for each step, and its caches are warm.
        """
        lanes = len(self._ended) - self._gone
        wanted = min(self._workers, self._given - sum(self._ended))
        for _ in range(wanted - lanes):
            self._ended.append(0)
            self._pool.submit(self._serve, len(self._ended) - 1)

    def wait(self, timeout_s: float | None) -> list[Event]:
        """Block until something happened; give all pending events."""
        if self._withdrawn:
            self._withdraw()
        inbox = self._inbox
        try:
            events = [inbox.get(timeout=timeout_s)]
        except Empty:
            events = []
        if self._tools.halts is not None:
            self._tools.halts.look()  # before anybody's limit is found to have passed
        while pending := inbox.qsize():  # nobody else takes from it
            events += [inbox.get() for _ in range(pending)]
        return events

    def begun(self) -> list[AttemptStarted]:
        """Starts of attempts that run now."""
        return [
            AttemptStarted(step, number, attempt.started_at)
            for (step, number), attempt in self._running().items()
        ]

    def stop(self, step: int, number: int, reason: str, *, withdraw: bool) -> None:
        """Take a queued attempt back; a begun one is stopped unless `withdraw`."""
        if withdraw:
            self._withdrawn.add((step, number))
        elif (attempt := self._running().get((step, number))) is not None:
            attempt.stop(reason)

    def leave_behind(self, step: int, number: int) -> None:
        """Count no longer on the lane of this attempt; another may take its place."""
        key = (step, number)
        attempt = self._live.get(key)
        if attempt is None:
            return
        self._left[key] = attempt  # before it is taken: it is never in neither
        if self._live.pop(key, None) is None:
            del self._left[key]  # it has just ended
            return
        self._given -= 1
        self._gone += 1
        self._staff()

    def _running(self) -> dict[tuple[int, int], Running]:
        """Attempts whose bodies run, those left behind among them."""
        return self._live.copy() | self._left.copy()

    def left_running(self) -> list[tuple[int, int]]:
        """(step, number) of attempts whose bodies still run."""
        return sorted(self._running())

    def close(self) -> None:
        """End idle lanes, and what bodies that still run have started; never waits for a body.

        What is queued is not begun any more.
        """
        self._closed = True
        for _ in self._ended:
            self._jobs.put(None)
        running = self._running()
        for attempt in running.values():
            attempt.end_children(signal.SIGKILL)
        self._pool.shutdown(wait=not running, cancel_futures=True)

    def _withdraw(self) -> None:
        """Empty the queue of what is to be taken back; what began meanwhile goes on."""
        for job in self._take_back():
            if (job.step, job.number) in self._withdrawn:
                self._given -= 1
                self._inbox.put(AttemptWithdrawn(job.step, job.number))
            else:
                self._jobs.put(job)
        self._withdrawn.clear()

    def _serve(self, lane: int) -> None:
        """One lane, in its own thread."""
        take, put, now, mark = self._jobs.get, self._inbox.put, self._clock.now, self._mark
        live, ended, here = self._live, self._ended, this_lane()
        while (job := take()) is not None:
            step, number, report, _ = job
            key = (step, number)
            started_at = now()
            try:
                live[key] = attempt = self._attempt(job, started_at, lane, here)
                if self._closed:  # looked at once the attempt can be seen: `close` waits for none
                    del live[key]
                    continue
                mark(lane, job, started_at)
                failpoint("attempt-begun")
                if report:
                    put(AttemptStarted(step, number, started_at))
                event = attempt.run()
                failpoint("attempt-ended")
            except BaseException as error:  # noqa: BLE001 - each attempt gives an answer, come what may
                event = self._broken(job, started_at, error)
            if live.pop(key, None) is None and self._left.pop(key, None) is not None:
                put(event)
                return  # another lane has taken this one's place
            ended[lane] += 1
            put(event)

    def _attempt(self, job: Job, started_at: float, _lane: int, here: Lane) -> Running:
        if not self._tools.steps[job.step].isolate:
            return Attempt(self._tools, job, started_at, here)
        from engine.workers.isolation.attempt import IsolatedAttempt

        return IsolatedAttempt(self._tools, job, started_at, here)

    def _broken(self, job: Job, started_at: float, error: BaseException) -> AttemptFinished:
        """Answer for an attempt that could not be carried out for a fault of ours."""
        told = text_of(error, self._tools.scope.secrets.mask)
        text = f"the engine failed to run it: {name_of(error)}: {told}"
        ended_at = self._clock.now()
        outcome = AttemptOutcome.FAILED
        return AttemptFinished(job.step, job.number, outcome, started_at, ended_at, error=text)
