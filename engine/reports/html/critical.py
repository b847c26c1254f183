"""What a run's length came from: walked back from what ended last, through what it waited for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from engine.graph import Graph
from engine.records import record
from engine.reports.html.facts import Attempt

_AT_ONCE_S = 0.05  # so soon after an upstream's end a step has not waited for a worker
_BUSY = 0.6  # of the workers: between short steps they wait for the next
_SHARE = 0.01  # of the run: nor in so little of it


class Link(NamedTuple):
    """A step of the path, what it began after ("start", "upstream", "worker"), how long after."""

    step: int
    after: str
    waited_s: float


@record
class Span:
    """A step in time: from when its first attempt began to when its last one ended."""

    step: int
    started: float
    finished: float


def spans_of(attempts: Sequence[Attempt], now: float) -> dict[int, Span]:
    """Give when steps began and ended, `now` where one has not."""
    spans: dict[int, Span] = {}
    for one in attempts:
        if one.started is None:
            continue
        ended = now if one.finished is None else one.finished
        known = spans.get(one.step)
        begun = one.started if known is None else min(known.started, one.started)
        spans[one.step] = Span(one.step, begun, max(ended, known.finished if known else ended))
    return spans


def critical_path(
    attempts: Sequence[Attempt], graph: Graph, workers: int, run: tuple[float, float]
) -> list[Link]:
    """Give the path, in time; `run` is when the run began and ended, or what time it is.

    A step comes after the upstream that ended last, or, if it waited on when all workers were busy,
    after the step whose end made room for it. Retries and their waits are a part of their step.
    """
    spans = spans_of(attempts, run[1])
    if not spans:
        return []
    by_end = sorted(spans.values(), key=lambda span: (span.finished, span.step))
    ends = [span.finished for span in by_end]
    slack = max(_AT_ONCE_S, _SHARE * (run[1] - run[0]))
    path: list[Link] = []
    seen: set[int] = set()
    at: Span | None = by_end[-1]
    while at is not None:
        seen.add(at.step)
        known = [spans[up] for up in graph.upstreams[at.step] if up in spans]
        up = max(known, key=lambda span: (span.finished, -span.step), default=None)
        ready = run[0] if up is None else up.finished
        waited = max(0.0, at.started - ready)
        before, after = up, "start" if up is None else "upstream"
        if waited > slack and _busy(attempts, ready, at.started) >= _BUSY * workers:
            freed = by_end[bisect_right(ends, at.started) - 1] if ends[0] <= at.started else None
            if freed is not None and freed.finished > ready:
                before, after, waited = freed, "worker", at.started - freed.finished
        path.append(Link(at.step, after, waited))
        at = before if before is not None and before.step not in seen else None
    return path[::-1]


def _busy(attempts: Sequence[Attempt], begin: float, end: float) -> float:
    """How many attempts are under way, on average, between two moments."""
    shared = 0.0
    for one in attempts:
        if one.started is not None and one.started < end:
            ended = end if one.finished is None else min(end, one.finished)
            shared += max(0.0, ended - max(begin, one.started))
    return shared / (end - begin)
