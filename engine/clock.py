"""Time and randomness: the only file that touches either."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime


class SystemClock:
    """The real clock; implements `engine.ports.Clock`.

    Wall times are derived from one anchor and the monotonic clock, so that a clock that is set
    back in mid-run makes no attempt end before it began.
    """

    def __init__(self) -> None:
        """Anchor the wall clock here."""
        self._anchor = time.time() - time.monotonic()
        self.now: Callable[[], float] = time.monotonic  # as a method it takes twice the time

    def cpu_s(self) -> float:
        """Seconds that this process has computed, all its threads together."""
        return time.process_time()

    def stamp(self, at: float) -> int:
        """Microseconds since 1970 UTC of the monotonic instant `at`."""
        return round((self._anchor + at) * 1_000_000)

    def instant(self, stamp_us: int) -> float:
        """Turn microseconds since 1970 UTC back into a monotonic instant."""
        return stamp_us / 1_000_000 - self._anchor

    def utc(self) -> datetime:
        """Wall time now, UTC."""
        return datetime.fromtimestamp(self._anchor + self.now(), UTC)

    def random(self) -> float:
        """Draw evenly from [0, 1)."""
        return random.random()
