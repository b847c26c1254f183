"""What is known of how long a step usually takes, and how it is told from what it took."""

from __future__ import annotations

from collections.abc import Iterable

from engine.records import record

MEDIAN_OF = 10  # the last successes that tell what is usual

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
