"""Deadlines: by when the run of a slot is to have ended. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo


def deadline_of(deadline: float | str, slot: datetime, zone: tzinfo) -> datetime:
    """Give the instant: seconds after a slot, or the first such time of day in its zone after it.

    A time that a change of the clock skips is as much later, of one that occurs twice the first.
    """
    if not isinstance(deadline, str):
        return slot + timedelta(seconds=deadline)
    at, day = time.fromisoformat(deadline), slot.astimezone(zone).date()
    instants = (
        datetime.combine(day + timedelta(days=days), at, zone).astimezone(UTC) for days in (0, 1)
    )
    return next(instant for instant in instants if instant > slot)
