"""What a stop does to a run: who is asked, when, and what becomes of steps not started."""

from __future__ import annotations

from engine import notes
from engine.board import Board
from engine.events import Action, EndAttempt, EndRun, StopAttempt, StopRequested
from engine.live import LEFT_MAX, LiveAttempts
from engine.model import AttemptOutcome, RunStatus, StepStatus, TriggerRule
from engine.plan import Plan

_S = StepStatus

STOP_GRACE_S = 5.0  # how long running steps may go on once a stop was asked for


class Stopping:
    """Asks attempts to stop, one by one at their limits or all of them with the run.

    A signal, and too many attempts left behind, end all steps; a cancel spares those of rule
    `all_done`, until a signal comes. The first to stop the run says how it ends, but for a cancel
    of a run that a signal has interrupted.
    """

    def __init__(self, plan: Plan, board: Board, live: LiveAttempts) -> None:
        """Start with a run that nobody has stopped."""
        self._plan, self._board, self._live = plan, board, live
        self._end: tuple[RunStatus, str] | None = None  # of the run, and why
        self._reason = ""  # of its attempts
        self._cleanup = False
        self._hurried = False  # threads are asked at once, too
        self._grace_at: float | None = None

    @property
    def grace_at(self) -> float | None:
        """When the grace of the attempts that run ends; None if there is none to end."""
        return self._grace_at if self._live.by_step else None

    def stops(self, step: int) -> bool:
        """Whether the run is being stopped, and this step with it."""
        spared = self._cleanup and self._plan.rules[step] is TriggerRule.ALL_DONE
        return self._end is not None and not spared

    def ask(self, step: int, now: float, reason: str, actions: list[Action]) -> None:
        """Ask a step's live attempt to stop; from now on the time for it runs."""
        live = self._live.ask(step, reason, now, self._plan.stop_s[step])
        actions.append(StopAttempt(step, live.number, reason))

    # -- what stops a run -------------------------------------------------------------------------

    def request(self, event: StopRequested, now: float, actions: list[Action]) -> None:
        """Begin to stop the run, or end it at once."""
        if event.cancel:
            self._cancel(notes.cancelled(event.by), now, actions)
        elif self._end is None or self._cleanup:
            self._stop(RunStatus.INTERRUPTED, notes.stopped(event.by), now)
            self._board.end_unstarted(now, actions)
            if not event.at_once:
                self._ask_live(now, actions)
        if event.at_once:
            self._end_live(now, actions)

    def mind_left(self, count: int, now: float, actions: list[Action]) -> None:
        """Stop the run if more attempts are left behind than it may have."""
        if count > LEFT_MAX and (self._end is None or self._cleanup):
            self._stop(RunStatus.FAILED, notes.too_many_left(count), now)
            self._board.end_unstarted(now, actions)
            self._ask_live(now, actions)

    def _cancel(self, reason: str, now: float, actions: list[Action]) -> None:
        if self._end is None:
            self._stop(RunStatus.CANCELLED, reason, now)
            self._cleanup = self._hurried = True
            self._board.clean_up(now, actions)
            self._ask_live(now, actions)
        elif self._end[0] is RunStatus.INTERRUPTED:
            self._end, self._reason, self._hurried = (RunStatus.CANCELLED, reason), reason, True
            self._ask_live(now, actions)

    def _stop(self, status: RunStatus, reason: str, now: float) -> None:
        self._end = self._end or (status, reason)
        self._reason = reason
        self._cleanup = self._hurried = False
        self._grace_at = now + STOP_GRACE_S

    # -- what becomes of attempts -----------------------------------------------------------------

    def _ask_live(self, now: float, actions: list[Action]) -> None:
        """Take back what may be queued; ask the rest whose time it is."""
        for step, live in self._live.by_step.items():
            if not self.stops(step) or live.asked:
                continue
            if not live.known:
                actions.append(StopAttempt(step, live.number, self._reason, withdraw=True))
            elif self._plan.gentle[step] or self._hurried:
                self.ask(step, now, self._reason, actions)

    def begun(self, step: int, now: float, actions: list[Action]) -> None:
        """Take in that an attempt, which could not be withdrawn, has begun."""
        if self.stops(step) and (self._plan.gentle[step] or self._hurried):
            self.ask(step, now, self._reason, actions)

    def pass_grace(self, now: float, actions: list[Action]) -> None:
        """Ask all that still run once the grace is over, and what has told no start."""
        if self._grace_at is None or self._grace_at > now:
            return
        self._grace_at = None
        for step, live in self._live.by_step.items():
            if self.stops(step) and not live.asked:
                self.ask(step, now, self._reason, actions)

    def _end_live(self, now: float, actions: list[Action]) -> None:
        for step, live in list(self._live.by_step.items()):
            self._live.take(step, live.number)
            note = self._reason if live.known else notes.unsure(self._reason)
            outcome = AttemptOutcome.INTERRUPTED
            actions.append(EndAttempt(step, live.number, outcome, live.started_at, now, note))
            actions.append(StopAttempt(step, live.number, note))
            self._board.end(step, _S.INTERRUPTED, note, now, actions)

    def end_run(self, now: float) -> EndRun:
        """Tell how the run ends, by its steps: a stop that cut nothing short is none."""
        statuses = self._board.status
        if self._end is not None and (_S.CANCELLED in statuses or _S.INTERRUPTED in statuses):
            status, note = self._end
            return EndRun(status, now, note)
        return EndRun(RunStatus.FAILED if _S.FAILED in statuses else RunStatus.OK, now)
