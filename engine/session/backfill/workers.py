"""Workers whose attempts are runs: what a backfill is carried out by."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Event as Flag
from typing import Any

from engine import notes
from engine.errors import EngineError, StoreBusy, StoreError, SupersededError
from engine.events import AttemptFinished, Event, StopRequested
from engine.live import LEFT_MAX
from engine.model import AttemptOutcome, StepStatus
from engine.ports import Clock, Job
from engine.session.backfill.recorded import ok_in
from engine.stopping import STOP_GRACE_S
from engine.workers.attempt import Lane
from engine.workers.threads import BeginMark, ThreadWorkers
from engine.workers.toolbox import Toolbox

logger = logging.getLogger("engine.run")

AT_ONCE_S = 0.7  # in which runs that are stopped at once record it, before the process ends
ENDING_S = STOP_GRACE_S + 5.0  # for runs to end by themselves where the backfill has failed

Start = Callable[["RunAttempt"], dict[str, Any]]


class RunAttempt:
    """An attempt that is a run; implements `engine.workers.threads.Running`."""

    def __init__(self, job: Job, started_at: float, lane: int, workers: RunWorkers) -> None:
        """Nothing runs yet."""
        self.step, self.number, self.lane = job.step, job.number, lane
        self.started_at = started_at
        self.inbox: SimpleQueue[Event] = SimpleQueue()
        self.ended = Flag()
        self._workers = workers
        self._told: list[StopRequested] = []

    def run(self) -> AttemptFinished:
        """Make the run and say how it ended; never raises."""
        outcome, error, skip, note = AttemptOutcome.FAILED, "", None, ""
        try:
            self._workers.remind(self)
            report = self._workers.start(self)
            error, skip, note = verdict_of(report)
            outcome = AttemptOutcome.FAILED if error else AttemptOutcome.OK
        except KeyboardInterrupt:
            error = "stopped before its run began"
        except EngineError as fault:
            error = fault.message
            self._workers.mind(fault)
        except Exception as fault:
            error = f"the engine failed: {type(fault).__name__}: {fault}"
            logger.exception("the engine failed: please report it with these lines")
        finally:
            self.ended.set()
        at = self._workers.clock.now()
        job = (self.step, self.number)
        return AttemptFinished(
            *job, outcome, self.started_at, at, error=error, skip=skip, note=note
        )

    def tell(self, stop: StopRequested) -> None:
        """Pass a stop on to the run, once."""
        if stop not in self._told:
            self._told.append(stop)
            self.inbox.put(stop)

    def stop(self, reason: str) -> None:
        """Cancel the run, or stop it as the backfill is stopped."""
        self.tell(self._workers.stop_for(reason))

    def end_children(self, number: signal.Signals) -> None:
        """Leave the run's processes to the run."""


def verdict_of(report: dict[str, Any]) -> tuple[str, str | None, str]:
    """Give a run's error, why its value is left out, or a note: one of the three."""
    run_id, status = report["run_id"], report["status"]
    if "nothing_to_do" in report:
        return "", ok_in(run_id), ""
    if status == "ok":
        return "", None, _well(report)
    told = report["note"] or str(status)
    if status == "failed" and report["first_failure"] is not None:
        name = report["first_failure"]
        step = next(step for step in report["steps"] if step["name"] == name)
        told = f"step '{name}' failed: {notes.last_line(step['error'] or step['note'])}"
    return f"run {run_id}: {told}", None, ""


def _well(report: dict[str, Any]) -> str:
    """Name the run; of one in which every step was skipped, why the first was."""
    run, steps = f"run {report['run_id']}", report["steps"]
    if all(step["status"] == StepStatus.SKIPPED for step in steps):
        return f"{run}: {steps[0]['note']}"
    return run


class RunWorkers(ThreadWorkers):
    """Implements `engine.ports.Workers`: a lane makes one run after the other."""

    def __init__(
        self,
        tools: Toolbox,
        start: Start,
        *,
        workers: int,
        inbox: SimpleQueue[Event],
        mark: BeginMark,
    ) -> None:
        """`start` makes a value's run and gives its report."""
        super().__init__(tools, workers=workers, inbox=inbox, mark=mark)
        self.start = start
        self.clock: Clock = tools.clock
        self._stops: list[StopRequested] = []  # signals, as they came
        self._fault: StoreError | None = None
        self._asked: dict[tuple[int, int], str] = {}
        self._ended_with: list[ThreadWorkers] = []

    def mind(self, fault: EngineError) -> None:
        """Take in why a run could not be made: what the store will not do for the next either.

        On a full disk the next would use up what was kept free for the ends of runs. A store that
        another process has locked may be free by then.
        """
        passes = isinstance(fault, SupersededError | StoreBusy)
        if isinstance(fault, StoreError) and not passes:
            self._fault = self._fault or fault

    def wait(self, timeout_s: float | None) -> list[Event]:
        """Pass a second signal on at once: runs that are being stopped are not asked again.

        Raises the `StoreError` that a run has met.
        """
        events = super().wait(timeout_s)
        if self._fault is not None:
            raise self._fault
        for event in events:
            if isinstance(event, StopRequested):
                self._stops.append(event)
                for run in self._on():
                    run.tell(event)
        return events

    def stop(self, step: int, number: int, reason: str, *, withdraw: bool) -> None:
        """Take a queued run back; a begun one, or one that is just beginning, is stopped."""
        if not withdraw:
            self._asked[step, number] = reason
        super().stop(step, number, reason, withdraw=withdraw)

    def stop_for(self, reason: str) -> StopRequested:
        """Give what a run is told that is to end for this reason."""
        if reason.startswith(notes.CANCELLED_BY):
            return StopRequested(reason.removeprefix(notes.CANCELLED_BY), cancel=True)
        return self._stops[-1] if self._stops else StopRequested("the end of its backfill")

    def note_ended(self, pools: Iterable[ThreadWorkers]) -> None:
        """Take in the threads that an ended run has left behind in its pools."""
        self._ended_with += [pool for pool in pools if pool.left_running()]

    def threads_left(self) -> int:
        """Count what still runs of ended runs."""
        return sum(len(pool.left_running()) for pool in self._ended_with)

    def remind(self, run: RunAttempt) -> None:
        """Tell a run that begins what was asked while it was not there to be told.

        Raises the `StoreError` that an earlier run has met, and `EngineError` where earlier runs
        have left as many threads as would stop one.
        """
        if self._fault is not None:
            raise self._fault
        left = self.threads_left()
        if left > LEFT_MAX:
            raise EngineError(f"not run: {notes.threads_left(left)}")
        reason = self._asked.get((run.step, run.number))
        if reason is not None:
            run.stop(reason)

    def close(self) -> None:
        """Wait a moment for runs that were stopped, so that they record their ends."""
        at_once = any(stop.at_once for stop in self._stops)
        until = self.clock.now() + (AT_ONCE_S if at_once else ENDING_S)
        for run in self._on():
            run.ended.wait(max(0.0, until - self.clock.now()))
        super().close()

    def _attempt(self, job: Job, started_at: float, lane: int, _here: Lane) -> RunAttempt:
        return RunAttempt(job, started_at, lane, self)

    def _on(self) -> list[RunAttempt]:
        return [run for run in self._running().values() if isinstance(run, RunAttempt)]
