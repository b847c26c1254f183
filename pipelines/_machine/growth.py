"""Where a disk is heading."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import TypedDict

SPAN_DAYS_MIN = 0.5  # a slope over less says how busy the hour was, not where the disk is heading
DAY_S = 86_400


class Growth(TypedDict):
    """How a disk has moved over the days on record."""

    mount: str
    bytes_per_day: float
    days_until_full: float | None
    span_days: float
    used: list[int]


def growth_of(mount: str, free_bytes: int, measured: Iterable[tuple[float, int]]) -> Growth | None:
    """Give a disk's slope and when it will be full at that rate; None if too little is known.

    `measured` are seconds since the epoch and bytes used. The slope is the median over all pairs,
    which one day's big file does not move.
    """
    from statistics import median

    points = sorted(measured)
    span_days = (points[-1][0] - points[0][0]) / DAY_S
    slopes = slopes_of(points)
    if span_days < SPAN_DAYS_MIN or not slopes:
        return None
    slope = median(slopes)
    return Growth(
        mount=mount,
        bytes_per_day=round(slope),
        days_until_full=round(free_bytes / slope, 1) if slope > 0 else None,
        span_days=round(span_days, 1),
        used=[used for _, used in points],
    )


def slopes_of(points: list[tuple[float, int]]) -> list[float]:
    """Give bytes a day between every two of the points, which are in order of time."""
    return [
        (late[1] - early[1]) / ((late[0] - early[0]) / DAY_S)
        for early, late in combinations(points, 2)
        if late[0] > early[0]
    ]
