"""What a stop does to a run: who is asked, when, and what becomes of steps not started."""

from __future__ import annotations

from engine import notes
from engine.board import Board
from engine.events import Action, EndAttempt, EndRun, StopAttempt, StopRequested
from engine.live import LiveAttempts
from engine.model import AttemptOutcome, RunStatus, StepStatus
from engine.plan import Plan

_S = StepStatus

GRACE_S = 5.0  # how long running steps may go on once a stop was asked for


class Stopping:
    """Asks attempts to stop, one by one at their limits or all of them with the run."""

    def __init__(self, plan: Plan, board: Board, live: LiveAttempts) -> None:
        """Start with a run that nobody has stopped."""
        self._plan, self._board, self._live = plan, board, live
        self._request: StopRequested | None = None
        self._grace_at: float | None = None

    @property
    def on(self) -> bool:
        """Whether the run is being stopped."""
        return self._request is not None

    @property
    def grace_at(self) -> float | None:
        """When the grace of the attempts that run ends; None if there is none to end."""
        return self._grace_at if self._live.by_step else None

    def ask(self, step: int, now: float, reason: str, actions: list[Action]) -> None:
        """Ask a step's live attempt to stop; from now on the time for it runs."""
        live = self._live.ask(step, reason, now + self._plan.stop_s[step])
        actions.append(StopAttempt(step, live.number, reason))

    def request(self, event: StopRequested, now: float, actions: list[Action]) -> None:
        """Begin to stop the run, or end it at once."""
        if self._request is None:
            self._request = event
            self._grace_at = now + GRACE_S
            self._end_unstarted(now, actions)
            reason = notes.stopped(event.by)
            for step, live in self._live.by_step.items():
                if not live.known:
                    actions.append(StopAttempt(step, live.number, reason, withdraw=True))
                elif self._plan.gentle[step] and not live.asked and not event.at_once:
                    self.ask(step, now, reason, actions)
        if event.at_once:
            self._end_live(now, actions)

    def begun(self, step: int, now: float, actions: list[Action]) -> None:
        """Take in that an attempt, which could not be withdrawn, has begun."""
        if self._request is not None and self._plan.gentle[step]:
            self.ask(step, now, notes.stopped(self._request.by), actions)

    def pass_grace(self, now: float, actions: list[Action]) -> None:
        """Ask all that still run once the grace is over."""
        if self._request is None or self._grace_at is None or self._grace_at > now:
            return
        self._grace_at = None
        for step, live in self._live.by_step.items():
            if not live.asked:
                self.ask(step, now, notes.stopped(self._request.by), actions)

    def end_run(self, now: float) -> EndRun:
        """Tell how the run ends, by its steps: a stop that cut nothing short is none."""
        statuses = self._board.status
        if self._request is not None and (_S.CANCELLED in statuses or _S.INTERRUPTED in statuses):
            cancelled = self._request.by == "cancel"
            status = RunStatus.CANCELLED if cancelled else RunStatus.INTERRUPTED
            return EndRun(status, now, notes.stopped(self._request.by))
        return EndRun(RunStatus.FAILED if _S.FAILED in statuses else RunStatus.OK, now)

    def _end_unstarted(self, now: float, actions: list[Action]) -> None:
        """End every step that has no live attempt; what has begun before is `interrupted`."""
        board = self._board
        for step in board.withhold():
            if board.numbers[step] or board.status[step] is _S.BACKING_OFF:
                board.end_alone(step, _S.INTERRUPTED, now, notes.BEFORE_RETRY, actions)
            else:
                board.end_alone(step, _S.CANCELLED, now, notes.NOT_STARTED, actions)

    def _end_live(self, now: float, actions: list[Action]) -> None:
        assert self._request is not None
        for step, live in list(self._live.by_step.items()):
            self._live.take(step, live.number)
            note = notes.stopped(self._request.by, known=live.known)
            outcome = AttemptOutcome.INTERRUPTED
            actions.append(EndAttempt(step, live.number, outcome, live.started_at, now, note))
            actions.append(StopAttempt(step, live.number, note))
            self._board.end(step, _S.INTERRUPTED, now, note, actions)
