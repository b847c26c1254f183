"""An alert as the store keeps it until it is delivered."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from engine.records import record


class AlertStatus(StrEnum):
    """How an alert stands."""

    PENDING = "pending"
    SENDING = "sending"  # claimed, or what came of it is unknown: due again unless a process has it
    SENT = "sent"
    GIVEN_UP = "given_up"


class AlertKind(StrEnum):
    """What an alert tells of."""

    RUN = "run"  # a run's outcome
    OPENED = "opened"  # an incident
    REMINDER = "reminder"
    CLOSED = "closed"
    DIGEST = "digest"  # many incidents at once
    LATE = "late"
    MISSING = "missing"  # a run that never came
    PAUSED = "paused"


@record
class Telling:
    """Where alerts about incidents go, and after how long one that goes on is told again."""

    channels: tuple[str, ...] = ()
    remind_after_us: int = 86_400_000_000

    @property
    def quiet_us(self) -> int:
        """That time less a forty-eighth: a daily run does not fail on the second."""
        return self.remind_after_us - self.remind_after_us // 48


@record
class Failure:
    """Why an alert was not sent, or not known to be: what is `unknown` may have arrived."""

    error: str
    tried: bool = True
    unknown: bool = False
    give_up: bool = False


@record
class Due:
    """An undelivered alert as it is kept: of a run, or of a workflow without one."""

    run_id: int | None
    kind: AlertKind
    workflow: str
    facts: dict[str, Any]


@record
class AlertRow:
    """One alert for one channel (`slack` or `email`); `payload` is a run's report, and more.

    `incidents` are those it tells of, `thread` where the channel has the first message on them,
    `apart` where it has one on each of some, by number; `age_s` is how long it has waited.
    """

    id: int
    channel: str
    payload: dict[str, Any]
    tries: int
    repeat: bool = False
    kind: AlertKind = AlertKind.RUN
    incidents: tuple[int, ...] = ()
    thread: dict[str, Any] | None = None
    age_s: float = 0.0
    apart: dict[int, dict[str, Any]] | None = None
