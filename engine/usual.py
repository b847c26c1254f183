"""What is known of how long a step usually takes, and how it is told from what it took."""

from __future__ import annotations

from collections.abc import Iterable

Usual = tuple[float, int]
"""The median in seconds of a step's last successes, and how many they are."""


def median(values: Iterable[float]) -> float:
    """Give the middle one of at least one value: `statistics` takes 3 ms to import."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2
