"""Moments as the store has them, in microseconds since 1970 UTC; slots are such, too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(us: int) -> datetime:
    """Give a moment of the store's as a time, UTC."""
    return _EPOCH + timedelta(microseconds=us)


def microseconds(at: datetime) -> int:
    """Give a time as the store has it."""
    return (at - _EPOCH) // timedelta(microseconds=1)
