"""Which steps went before one that was ready, and by what: the longest remaining path. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.reports.diff_words import NAMED_MAX, named
from engine.reports.why import Fact
from engine.text import human_duration

if TYPE_CHECKING:
    from store.run_facts import RunFacts


def went_first(run: RunFacts, step: str, due: int, begun: int) -> Iterator[Fact]:
    """Name the steps that began while one was ready and waited, having more to go.

    Nothing is told of a run that ordered its steps by the graph alone, or by their turn.
    """
    if not run.order:
        return
    to_go = remaining(run)
    first = [
        name
        for name, one in run.steps.items()
        if to_go[name] > to_go[step]
        and any(due < (each.started_at or 0) < begun for each in one.tries)
    ]
    if first:
        first.sort(key=lambda name: -to_go[name])
        longest, own = (human_duration(to_go[name] / 1e6) for name in (first[0], step))
        text = f"{named(first)} went first, with more to go: {longest} against {own}"
        yield Fact(due, "order", text, {"steps": first[:NAMED_MAX]})


def remaining(run: RunFacts) -> dict[str, int]:
    """Give the longest remaining path of each step, itself included, in microseconds."""
    weights = dict(zip(run.steps, run.order, strict=True))
    open_ = dict.fromkeys(run.steps, 0)
    for one in run.steps.values():
        for up in one.upstreams:
            open_[up] += 1
    longest = dict.fromkeys(run.steps, 0)
    ready = [name for name, count in open_.items() if not count]
    while ready:
        name = ready.pop()
        longest[name] += weights[name]
        for up in run.steps[name].upstreams:
            longest[up] = max(longest[up], longest[name])
            open_[up] -= 1
            if not open_[up]:
                ready.append(up)
    return longest
