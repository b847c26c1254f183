"""When a run will have ended, told from how long its steps took in the runs before it. Pure.

The rest of the run is played through on its workers, by the order that the scheduler keeps, once
for each of the last runs, with what the steps took in it. Were those runs and this one alike, this
one would end within the shortest and the longest of ten such plays nine times in eleven, whatever
the durations are like: it is as likely as each of them to be the first or the last.

A step that has been running longer than in some of those runs is taken to end as in the others; one
that never took so long, to take half as long again. Plays of a big run would take too long: there
the rest lies between what its work, or its longest path, takes at least and both of them together,
corrected by how the run has kept up so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from engine.graph import Graph
from engine.usual import median

PLAYED_MAX = 500  # steps of a run that is played through
SPREAD_FROM = 3  # plays; fewer tell nothing of a spread
KNOWN_AT_LEAST = 0.5  # of the steps that are left: else nothing is said
OVER = 0.5  # of what it took so far, a step past all that is known takes yet
_CORRECTED_FROM = 0.1  # of a big run's work


class Left(NamedTuple):
    """Seconds until the run's end; `low_s` and `high_s` are None where the spread is not known."""

    about_s: float
    low_s: float | None = None
    high_s: float | None = None

    def later(self, seconds: float) -> Left:
        """Give what is left of it so many seconds later."""
        about, low, high = (None if each is None else max(0.0, each - seconds) for each in self)
        return Left(about or 0.0, low, high)


class Standing(NamedTuple):
    """How a run stands: seconds that steps have been running, or wait for; who has ended.

    Steps go by position; `ended` has a 1 for each that has.
    """

    running: Mapping[int, float]
    waiting: Mapping[int, float]
    ended: Sequence[int]


class Forecast:
    """Tells how long a run will take yet."""

    def __init__(
        self, graph: Graph, workers: int, took: Sequence[Sequence[float]], usual: Sequence[float]
    ) -> None:
        """Take what each step took lately, the newest first, or else what it usually takes.

        `usual` is empty where nothing is known but `took`.
        """
        self._graph, self._workers = graph, workers
        self._known = [bool(found) for found in took] or [True] * len(usual)
        self._took = took
        self._plays = max(map(len, took), default=0)
        self._usual = list(usual) or _usual(took)
        self._rank = [0] * len(self._usual)
        if self._plays and self._usual:
            order = graph.ranked([round(each * 1e6) for each in self._usual])
            for rank, step in enumerate(order):
                self._rank[step] = rank
        # Of a big run: when it was first asked, and what was left then.
        self._at_first: tuple[float, float] | None = None

    def expected_s(self, step: int) -> float | None:
        """What a step usually takes; None where that is not known."""
        return self._usual[step] if self._usual and self._known[step] else None

    def left(self, standing: Standing, since_s: float) -> Left | None:
        """Give what is left of the run, which has been on for `since_s`; None if it is unknown."""
        open_steps = [step for step, ended in enumerate(standing.ended) if not ended]
        known = sum(self._known[step] for step in open_steps) if self._usual else 0
        if not open_steps or known < KNOWN_AT_LEAST * len(open_steps):
            return None
        if not self._plays or len(open_steps) > PLAYED_MAX:
            return self._bounded(standing, open_steps, since_s)
        ends = sorted(self._play(standing, open_steps, play) for play in range(self._plays))
        if len(ends) < SPREAD_FROM:
            return Left(median(ends))
        return Left(median(ends), ends[0], ends[-1])

    # -- played through ---------------------------------------------------------------------------

    def _duration(self, step: int, play: int, elapsed: float = 0.0) -> float:
        """What a step that has been running so long takes yet in one of the plays."""
        took = [each for each in self._took[step] if each > elapsed]
        if took:
            return took[play % len(took)] - elapsed
        return elapsed * OVER if elapsed > self._usual[step] else self._usual[step] - elapsed

    def _play(self, standing: Standing, open_steps: Sequence[int], play: int) -> float:
        """Give when all has ended: a step starts when those above it have, and a worker is free."""
        ups, downs, rank = self._graph.upstreams, self._graph.downstreams, self._rank
        ended = standing.ended
        above = {step: sum(not ended[up] for up in ups[step]) for step in open_steps}
        events = [
            (self._duration(s, play, sofar), s, True) for s, sofar in standing.running.items()
        ]
        events += [(wait, step, False) for step, wait in standing.waiting.items()]
        heapify(events)
        under_way = {step for _, step, _ in events}
        ready = [(rank[s], s) for s in open_steps if not above[s] and s not in under_way]
        heapify(ready)
        free = self._workers - len(standing.running)
        at = 0.0
        while True:
            while ready and free > 0:
                _, step = heappop(ready)
                heappush(events, (at + self._duration(step, play), step, True))
                free -= 1
            if not events:
                return at
            at, step, has_ended = heappop(events)
            if not has_ended:
                heappush(ready, (rank[step], step))
                continue
            free += 1
            for down in downs[step]:
                if down in above:
                    above[down] -= 1
                    if not above[down]:
                        heappush(ready, (rank[down], down))

    # -- within bounds ----------------------------------------------------------------------------

    def _bounded(self, standing: Standing, open_steps: Sequence[int], since_s: float) -> Left:
        left = [0.0] * len(self._usual)
        for step in open_steps:
            left[step] = self._usual[step]
        for step, elapsed in standing.running.items():
            usual = self._usual[step]
            left[step] = usual - elapsed if elapsed < usual else elapsed * OVER
        work = sum(left) / self._workers
        path = max(self._graph.remaining([round(each * 1e6) for each in left])) / 1e6
        low, high = max(work, path), work + path
        first_s, first_low = self._at_first = self._at_first or (since_s, low)
        if first_low - low > _CORRECTED_FROM * first_low:
            slower = (since_s - first_s) / (first_low - low)
            low, high = low * slower, high * slower
        return Left(low, low, high)


def _usual(took: Sequence[Sequence[float]]) -> list[float]:
    """Give the median of each step, and of those that are not known that of the known ones."""
    medians = [median(found) if found else None for found in took]
    known = [each for each in medians if each is not None]
    if not known:
        return []
    of_all = median(known)
    return [of_all if each is None else each for each in medians]
