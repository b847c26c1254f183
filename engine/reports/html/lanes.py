"""Workers' lanes, told from when attempts began and ended: who had which is not recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from engine.reports.html.facts import Attempt

_SHORT = 3  # so many times the least can be told apart
_TOLERANCE_S = 1e-4  # one begins where another ends


class Bar(NamedTuple):
    """Attempts of one outcome, one right after the other; `step` is that of the first."""

    start: float
    end: float
    outcome: str | None
    step: int
    attempts: int


def lanes(attempts: Iterable[Attempt], now: float) -> list[list[Attempt]]:
    """Give each attempt the first lane that is free when it begins."""
    begun = sorted(
        (one for one in attempts if one.started is not None),
        key=lambda one: (one.started or 0.0, one.step, one.number),
    )
    found: list[list[Attempt]] = []
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for one in begun:
        start = one.started or 0.0
        while busy and busy[0][0] <= start + _TOLERANCE_S:
            heappush(free, heappop(busy)[1])
        if free:
            lane = heappop(free)
        else:
            lane = len(found)
            found.append([])
        found[lane].append(one)
        heappush(busy, (now if one.finished is None else one.finished, lane))
    return found


def merged(lane: Sequence[Attempt], now: float, least_s: float) -> list[Bar]:
    """Give a lane's bars; those too short to be seen apart are put together, by outcome."""
    bars: list[Bar] = []
    for one in lane:
        start = one.started or 0.0
        end = now if one.finished is None else one.finished
        last = bars[-1] if bars else None
        if (
            last is not None
            and last.outcome == one.outcome
            and start - last.end < least_s
            and (end - start < _SHORT * least_s or last.end - last.start < _SHORT * least_s)
        ):
            bars[-1] = Bar(
                last.start, max(end, last.end), last.outcome, last.step, last.attempts + 1
            )
        else:
            bars.append(Bar(start, end, one.outcome, one.step, 1))
    return bars
