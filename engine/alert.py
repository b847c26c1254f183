"""An alert as the store keeps it until it is delivered."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from engine.records import record


class AlertStatus(StrEnum):
    """How an alert stands."""

    PENDING = "pending"
    SENDING = "sending"  # claimed by a process; due again if that process has died
    SENT = "sent"
    GIVEN_UP = "given_up"


@record
class AlertRow:
    """One alert for one channel (`slack` or `email`); `payload` is a run's report, and more."""

    id: int
    channel: str
    payload: dict[str, Any]
    tries: int
    repeat: bool = False
