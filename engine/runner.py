"""The loop: wait, drain, tick, commit, dispatch. One thread owns clock, workers and store."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from engine import backoff
from engine.context import ContextIndex
from engine.errors import StepTimeout, StoreBusy
from engine.events import (
    Action,
    AttemptFinished,
    AttemptOverran,
    Claim,
    EndRun,
    EndStep,
    Event,
    LeaveBehind,
    StopAttempt,
    StopRequested,
    TellLate,
)
from engine.failpoints import failpoint
from engine.model import Step
from engine.ports import Clock, Store, Workers, new_job
from engine.produced import OutputFile
from engine.records import record
from engine.scheduler import Scheduler

if TYPE_CHECKING:
    from engine.lateness import Lateness

COMMIT_TRIES = 3  # each waits up to the store's busy timeout
# How much may lie queued: so many commits' worth, up to a bound. Half of either takes twice the
# commits, and a tenth more time for steps that do nothing; twice of either saves little.
AHEAD_COMMITS = 4.0
AHEAD_MAX = 1024
WORTH_IT = 0.001  # of a step's time: a hand-over that takes less is not worth a claim ahead
SMOOTHING = 0.2  # what the newest counts in a mean: half of one is of the last three ticks
# How often to look whether somebody wants the run cancelled. Goes on when it has been: the kernel
# may give a signal to another thread, and Python handles it when this one next wakes.
LOOK_S = 0.5


class Pace:
    """How far ahead of free workers to claim: as much as they can do while a commit is on.

    Steps of microseconds give hundreds, so that one commit serves them all. Longer ones give one
    for each worker, which the scheduler claims only where that loses no priority: a worker then
    goes on while the commit is on that hands out the next. Steps of seconds give none.
    """

    def __init__(self, workers: int) -> None:
        """Start with no knowledge and no claims ahead."""
        self._workers = workers
        self._duration_s: float | None = None
        self._commit_s = 0.0

    def note_commit(self, seconds: float) -> None:
        """Take in how long a commit took."""
        self._commit_s += SMOOTHING * (seconds - self._commit_s)

    def note_finished(self, durations_s: Sequence[float]) -> None:
        """Take in how long attempts took; one long step counts at once."""
        if not durations_s:
            return
        mean = sum(durations_s) / len(durations_s)
        known = mean if self._duration_s is None else self._duration_s
        self._duration_s = max(mean, known + SMOOTHING * (mean - known))

    def ahead(self) -> int:
        """How many attempts to claim beyond those that a worker is free for."""
        if self._duration_s is None:
            return 0
        each_s = max(self._duration_s, 1e-6)
        worth = int(AHEAD_COMMITS * self._workers * self._commit_s / each_s)
        if worth > self._workers:
            return min(AHEAD_MAX, worth)
        return self._workers if self._commit_s > WORTH_IT * each_s else 0


@record
class Ports:
    """What the loop is wired to.

    `observe` sees each tick's actions once they are committed; `settle_in` is called once, while
    the first attempts run, to import what the run's end needs. Every `look_s` the store is asked
    whether the run is to end. `lateness` is asked for once the run has been on for `late_s`;
    `told_late` is told what was recorded as late.
    """

    clock: Clock
    workers: Workers
    store: Store
    index: ContextIndex
    publish: Callable[[Iterable[OutputFile]], None]
    observe: Callable[[Sequence[Action], float], None]
    settle_in: Callable[[], None] = lambda: None
    look_s: float = LOOK_S
    lateness: Callable[[], Lateness | None] = lambda: None
    late_s: float = math.inf
    told_late: Callable[[Sequence[TellLate]], None] = lambda _late: None


class Runner:
    """Drives one run from its first tick to its end."""

    def __init__(self, scheduler: Scheduler, steps: Sequence[Step], ports: Ports) -> None:
        """Wire the core to the world."""
        self._scheduler = scheduler
        self._steps = steps
        self._ports = ports
        ports.index.follow(scheduler.ended_as)
        self._pace = Pace(scheduler.workers)
        self._next_look = 0.0  # for a request to cancel
        self._lateness: Lateness | None = None
        self._next_late = math.inf  # when something may be late that was not told
        self._cancelled = False
        self.interrupted = False  # by a KeyboardInterrupt, which the caller is to raise again

    def run(self) -> EndRun:
        """Run to the end; gives how it ended.

        Raises `StoreError` if the store fails: the run then stands as `running` with a free lock,
        which the next command records as interrupted.
        """
        ports, scheduler, pace = self._ports, self._scheduler, self._pace
        events = ports.workers.wait(0.0)  # a stop may have come before the first claim
        self._next_look = ports.clock.now() + ports.look_s
        self._next_late = ports.clock.now() + ports.late_s
        settled = False
        while True:
            now = ports.clock.now()
            events.extend(self._overran(now))
            actions = scheduler.tick(now, events, ahead=pace.ahead())
            late = self._late(now) if now >= self._next_late else []
            if actions or late:
                actions = [*late, *actions] if late else actions
                self._commit(actions)
                self._carry_out(actions)
                if late:
                    ports.told_late(late)
                last = actions[-1]
                if isinstance(last, EndRun):
                    return last
            if not settled:
                settled = True
                ports.settle_in()
            events = self._wait(now)
            pace.note_finished(
                [e.finished_at - e.started_at for e in events if type(e) is AttemptFinished]
            )

    def _wait(self, now: float) -> list[Event]:
        wakeup = self._scheduler.next_wakeup(now)
        clock, workers = self._ports.clock, self._ports.workers
        due = self._next_late if wakeup is None else min(wakeup, self._next_late)
        while True:
            at = clock.now()
            if at >= self._next_look and (asked := self._asked_to_stop(at)) is not None:
                return [asked]
            until = min(due, self._next_look)
            try:
                events = workers.wait(None if until == math.inf else max(0.0, until - at))
            except KeyboardInterrupt:  # as a library, where nobody has handlers for signals
                events = [StopRequested("SIGINT", at_once=self.interrupted)]
                self.interrupted = True
            if events or due <= until:
                return events or list(workers.begun())

    def _asked_to_stop(self, now: float) -> StopRequested | None:
        self._next_look = now + self._ports.look_s
        try:
            by = self._ports.store.asked_to_stop()
        except StoreBusy:
            return None  # it is looked again soon
        if by is None or self._cancelled:
            return None
        self._cancelled = True
        return StopRequested(by, cancel=True)

    def _late(self, now: float) -> list[TellLate]:
        """Tell what is late by now, of what is on after this tick."""
        if self._lateness is None:
            self._lateness = self._ports.lateness()
        if self._lateness is None:
            self._next_late = math.inf
            return []
        told = self._lateness.due(now, self._scheduler.running())
        self._next_late = self._lateness.next_at
        return told

    def _overran(self, now: float) -> list[AttemptOverran]:
        """Put the retry's delay, drawn here, to each attempt that would not stop in time."""
        events = []
        for step, number in self._scheduler.overran(now):
            failures = self._scheduler.used(step) + 1
            try:
                verdict = backoff.after_failure(
                    self._steps[step],
                    StepTimeout("timed out"),
                    number=failures,
                    clock=self._ports.clock,
                )
            except Exception:  # noqa: BLE001 - a user's strategy may raise anything
                verdict = backoff.STRATEGY_FAILED
            events.append(AttemptOverran(step, number, *verdict))
        return events

    def _commit(self, actions: list[Action]) -> None:
        clock = self._ports.clock
        begun = clock.now()
        files = [a for a in actions if type(a) is EndStep and a.files]
        if files:
            self._commit_files(actions, files)
        else:
            _patiently(lambda: self._ports.store.commit_tick(actions))
        self._pace.note_commit(clock.now() - begun)

    def _commit_files(self, actions: list[Action], ends: list[EndStep]) -> None:
        """Publish the files between the success's commit and whatever builds on them."""
        store = self._ports.store
        rest = [a for a in actions if type(a) is EndRun]
        before = [a for a in actions if type(a) is not EndRun]
        _patiently(lambda: store.commit_tick(before))
        for end in ends:
            failpoint("before-publish")
            self._ports.publish(end.files)
        failpoint("after-rename")
        _patiently(lambda: store.mark_published([end.step for end in ends]))
        if rest:
            _patiently(lambda: store.commit_tick(rest))

    def _carry_out(self, actions: Sequence[Action]) -> None:
        ports = self._ports
        ports.observe(actions, ports.clock.now())  # first, so that the log tells it in order
        jobs = []
        ranks = self._scheduler.ranks
        for action in actions:
            if type(action) is Claim:  # a `match` costs 2 µs more for each step
                step, number, _, report = action
                jobs.append(new_job((step, number, report, ranks[step])))
            elif type(action) is EndStep:
                if action.writes:
                    ports.index.record(action.step, action.writes)
            elif type(action) is StopAttempt:
                ports.workers.stop(
                    action.step, action.number, action.reason, withdraw=action.withdraw
                )
            elif type(action) is LeaveBehind:
                ports.workers.leave_behind(action.step, action.number)
        if jobs:
            ports.workers.dispatch(jobs)


def _patiently(write: Callable[[], None]) -> None:
    """Try again while another process holds the write lock: nothing was written yet."""
    for tries in range(1, COMMIT_TRIES + 1):
        try:
            write()
        except StoreBusy:
            if tries == COMMIT_TRIES:
                raise
        else:
            return
