"""What takes longer than it should, told once while it still runs. Pure.

A step has limits in seconds of its attempt, a run has moments. Nothing is looked at before the
first of them can have passed, so that a run of many short steps pays nothing for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from engine.events import TellLate
from engine.text import human_duration
from engine.usual import Spread, late_after_s

LOOK_AGAIN_S = 1.0  # for what begins after a look, where limits are shorter
_STOPS_NOTHING = "It runs on: this stops nothing."


class Limit(NamedTuple):
    """After how many seconds an attempt is late, and by what: said behind `it has run for 5m`."""

    after_s: float
    by: str


class Moment(NamedTuple):
    """When a run is late that is still on, and what is said of it: `its deadline is past`."""

    at: float
    said: str


class Whose(NamedTuple):
    """The run, and the names of its steps by position."""

    workflow: str
    run_id: int
    names: Sequence[str]


Live = Iterable[tuple[int, int, float | None]]
"""Attempts that are on: step, number, and when each began, if that is known."""


class Lateness:
    """The limits of one run, and which of them were told of."""

    def __init__(
        self, whose: Whose, steps: Mapping[int, Sequence[Limit]], run: Iterable[Moment] = ()
    ) -> None:
        """Take the limits of steps, by position, and those of the run."""
        self._whose, self._steps = whose, steps
        self._run = sorted(run)
        self._least_s = min(
            (limit.after_s for limits in steps.values() for limit in limits), default=math.inf
        )
        self._told: set[tuple[int, int, int]] = set()  # step, attempt, which limit
        self.next_at = -math.inf  # before then nothing is late that was not told

    def due(self, now: float, live: Live) -> list[TellLate]:
        """Tell what has passed a limit by now; each limit once for an attempt."""
        if now < self.next_at:
            return []
        told = [self._tell_run(now, moment) for moment in self._run if moment.at <= now]
        self._run = [moment for moment in self._run if moment.at > now]
        again = now + max(LOOK_AGAIN_S, self._least_s)  # for what begins from now on
        self.next_at = min([again, *(moment.at for moment in self._run)])
        for step, number, begun in live:
            for which, limit in enumerate(self._steps.get(step, ())):
                at = math.inf if begun is None else begun + limit.after_s
                if (step, number, which) in self._told:
                    continue
                if at <= now:
                    assert begun is not None
                    self._told.add((step, number, which))
                    told.append(self._tell((step, number), now, begun, limit))
                else:
                    self.next_at = min(self.next_at, at)
            if begun is None:
                self.next_at = min(self.next_at, now + max(LOOK_AGAIN_S, self._least_s / 2))
        return told

    def _tell_run(self, now: float, moment: Moment) -> TellLate:
        workflow, run_id, _ = self._whose
        headline = f"{workflow} is late: {moment.said}"
        return TellLate(None, 0, now, headline, f"Run {run_id} is still on. {_STOPS_NOTHING}")

    def _tell(self, attempt: tuple[int, int], now: float, begun: float, limit: Limit) -> TellLate:
        workflow, run_id, names = self._whose
        step, number = attempt
        name, on = names[step], human_duration(now - begun)
        headline = f"{workflow}: {name} is late: it has run for {on}, {limit.by}"
        body = f"Run {run_id}, attempt {number} of {name}. {_STOPS_NOTHING}"
        return TellLate(step, number, now, headline, body)


def usual_limits(
    names: Sequence[str], spreads: Mapping[str, Spread]
) -> dict[int, tuple[Limit, ...]]:
    """Give after how long steps are slower than usual, by position; unknown ones have no limit."""
    found: dict[int, tuple[Limit, ...]] = {}
    for step, name in enumerate(names):
        usual = spreads.get(name)
        after_s = None if usual is None else late_after_s(usual)
        if usual is not None and after_s is not None:
            found[step] = (Limit(after_s, f"usually {human_duration(usual.usual_s)}"),)
    return found
