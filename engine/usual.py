"""What is known of how long a step usually takes, and how it is told from what it took."""

from __future__ import annotations

from collections.abc import Iterable

from engine.records import record

MEDIAN_OF = 10  # the last successes that tell what is usual
LATE_FROM = 5  # successes; fewer do not tell what is slow
LATE_BY_S = 10.0  # past the usual: less is not worth a message

Usual = tuple[float, int]
"""The median in seconds of a step's last successes, and how many they are."""


def median(values: Iterable[float]) -> float:
    """Give the middle one of at least one value: `statistics` takes 3 ms to import."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2


@record
class Spread:
    """How long something took when it went well: the usual, and the range of most of the times."""

    low_s: float
    usual_s: float
    high_s: float
    of: int


def spread(values: Iterable[float]) -> Spread | None:
    """Give the median of some seconds and the range of the middle eight tenths; None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    odd = len(ordered) // 10  # on either side
    return Spread(ordered[odd], median(ordered), ordered[~odd], len(ordered))


def late_after_s(usual: Spread) -> float | None:
    """Give after how many seconds something is slower than usual; None if too little is known.

    That is twice the usual, beyond most of the times, and later by some seconds at least.
    """
    if usual.of < LATE_FROM:
        return None
    return max(2 * usual.usual_s, usual.high_s, usual.usual_s + LATE_BY_S)
