"""A scheduler over a line of text, and short words for what goes in and comes out of its ticks."""

from __future__ import annotations

from collections.abc import Sequence

from engine.events import (
    Action,
    AttemptFinished,
    Claim,
    Decide,
    EndAttempt,
    Event,
    StopRequested,
)
from engine.model import AttemptOutcome, StepStatus
from engine.plan import StepState
from engine.scheduler import Scheduler
from tests.builders import plan

OK, FAILED = AttemptOutcome.OK, AttemptOutcome.FAILED
TIMED_OUT, INTERRUPTED = AttemptOutcome.TIMED_OUT, AttemptOutcome.INTERRUPTED
S = StepStatus
STOP = StopRequested("SIGINT")
AT_ONCE = StopRequested("SIGINT", at_once=True)


class Core:
    """A scheduler over a line of text, on which steps go by their names."""

    def __init__(
        self, text: str, *, workers: int = 4, states: Sequence[StepState] = (), ahead: int = 0
    ) -> None:
        """Nothing has ticked yet."""
        self.plan = plan(text)
        self.core = Scheduler(self.plan, states, workers=workers)
        self.ahead = ahead
        self.now = 0.0
        self.decided: list[Decide] = []

    def at(self, now: float, *events: Event) -> list[Action]:
        """Tick; what was decided is kept apart."""
        self.now = now
        actions = self.core.tick(now, events, ahead=self.ahead)
        self.decided += [action for action in actions if type(action) is Decide]
        return [action for action in actions if type(action) is not Decide]

    def status(self) -> str:
        """Give all statuses as one text."""
        return " ".join(self.core.status)


def claim(step: int, number: int = 1, at: float | None = 0.0, *, report: bool = False) -> Claim:
    """Be a claim."""
    return Claim(step, number, at, report)


def ok(step: int, at: float = 1.0, number: int = 1, skip: str | None = None) -> AttemptFinished:
    """Be an attempt that went well."""
    return AttemptFinished(step, number, OK, 0.0, at, skip=skip)


def bad(step: int, at: float = 1.0, number: int = 1, **fields: object) -> AttemptFinished:
    """Be an attempt that failed, and is worth a retry after 2 s."""
    told = {"error": "ValueError: no", "retryable": True, "delay_s": 2.0, **fields}
    return AttemptFinished(step, number, FAILED, 0.0, at, **told)  # type: ignore[arg-type]


def ended(step: int, outcome: AttemptOutcome, at: float = 1.0, **fields: object) -> EndAttempt:
    """Be the record of an attempt's end."""
    told = {"number": 1, "started_at": 0.0, "error": "", **fields}
    return EndAttempt(step, outcome=outcome, finished_at=at, **told)  # type: ignore[arg-type]
