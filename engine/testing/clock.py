"""A clock that goes only where it is told to."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from engine.moments import microseconds

_JUST_BELOW_1 = math.nextafter(1.0, 0.0)


class VirtualClock:
    """Implements `engine.ports.Clock`: starts at a given instant, passes when all wait for it."""

    def __init__(self, at: datetime) -> None:
        """Stand at `at`."""
        self._start = at.astimezone(UTC)
        self._start_us = microseconds(self._start)
        self._now = 0.0

    def pass_to(self, at: float) -> None:
        """Go forward to `at`; never back."""
        self._now = max(self._now, at)

    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._now

    def cpu_s(self) -> float:
        """Nothing is computed in virtual time."""
        return 0.0

    def stamp(self, at: float) -> int:
        """Microseconds since 1970 UTC of a virtual instant."""
        return self._start_us + round(at * 1_000_000)

    def instant(self, stamp_us: int) -> float:
        """Turn microseconds since 1970 UTC back."""
        return (stamp_us - self._start_us) / 1_000_000

    def utc(self) -> datetime:
        """Wall time now, UTC."""
        return self._start + timedelta(seconds=self._now)

    def random(self) -> float:
        """Draw the highest each time, so that a wait is its bound."""
        return _JUST_BELOW_1
