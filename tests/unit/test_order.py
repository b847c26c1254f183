"""Which of the ready steps goes first: the longest remaining path, or the first in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.events import Claim, Event
from engine.model import Order
from engine.plan import Plan
from engine.scheduler import Scheduler
from tests.builders import graph_of, plan
from tests.makespans import (
    geometric_mean,
    makespan,
    microseconds,
    read_all,
    references,
)
from tests.unit.ticks import bad, ok

# Two ways of two steps, and one that is longer than both.
FORK = "short end>short heavy after>heavy alone"


def order_of(plan: Plan) -> list[str]:
    """Give the steps in the order in which one worker takes them."""
    core, now, taken = Scheduler(plan, workers=1), 0.0, list[str]()
    events: list[Event] = []
    while not core.ended:
        claims = [action for action in core.tick(now, events) if isinstance(action, Claim)]
        taken += [plan.graph.names[claim.step] for claim in claims]
        now += 1
        events = [ok(claim.step, now) for claim in claims]
    return taken


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ((), "short heavy end after alone"),
        ((0, 0, 0, 0, 0), "short heavy end after alone"),
        ((1, 1, 9, 1, 3), "heavy alone short end after"),
        ((1, 0, 1, 0, 1), "short heavy alone end after"),
        ((0, 2, 1, 1, 2), "short heavy end alone after"),
        ((0, 0, 0, 0, 1), "alone short heavy end after"),
    ],
    ids=["in steps", "no weight", "heavy", "ties by steps", "ties as declared", "no weight last"],
)
def test_the_heaviest_remaining_path_goes_first(weights: tuple[int, ...], order: str) -> None:
    """By weight; of equal ones by steps, then as declared."""
    assert order_of(replace(plan(FORK), weights=weights)) == order.split()


def test_first_in_first_out() -> None:
    """In the order in which steps became ready; of equal ones as declared."""
    first_in = replace(plan(FORK), order=Order.FIFO, weights=(1, 1, 9, 1, 3))
    assert order_of(first_in) == ["short", "heavy", "alone", "end", "after"]


def test_a_retry_queues_again() -> None:
    """A step whose retry is due is the last in, whatever its path."""
    core = Scheduler(replace(plan("a*1 b>a c d"), order=Order.FIFO), workers=1)
    assert [action.step for action in core.tick(0, []) if isinstance(action, Claim)] == [0]
    taken = []
    events: list[Event] = [bad(0, 1.0)]
    for now in (4, 5, 6, 7):
        claims = [action for action in core.tick(now, events) if isinstance(action, Claim)]
        taken += [claim.step for claim in claims]
        events = [ok(claim.step, now + 1, claim.number) for claim in claims]
    assert taken == [2, 3, 0, 1]


def test_the_longest_remaining_path_ranks_first() -> None:
    """By weight; equal weights go by steps, and then as declared."""
    graph = graph_of("a b>a c>b d>a e")
    assert graph.remaining([5, 1, 1, 4, 9]) == [9, 2, 1, 4, 9]
    assert graph.ranked([5, 1, 1, 4, 9]) == [0, 4, 3, 1, 2]
    assert graph.remaining() == [3, 2, 1, 1, 1]
    assert graph.ranked() == [0, 1, 2, 3, 4]
    assert graph_of("").ranked() == []


def test_real_graphs_are_as_quick_as_the_reference(shared: Path) -> None:
    """With durations known, 16 workers take at most 2 % more than the reference's critical path.

    First in, first out takes what it takes there.
    """
    folder = shared / "data" / "dags"
    known = references(folder)
    by_path, fifo = list[float](), list[float]()
    for found in read_all(folder):
        durations = found.durations()
        expected = known[found.name]["16"]
        planned = found.plan(microseconds(durations))
        by_path.append(makespan(Scheduler(planned, workers=16), durations) / expected["cp"])
        planned = found.plan(order=Order.FIFO)
        fifo.append(makespan(Scheduler(planned, workers=16), durations) / expected["fifo"])
    assert len(by_path) == 22
    assert geometric_mean(by_path) < 1.02
    assert geometric_mean(fifo) == pytest.approx(1.0, abs=0.002)
