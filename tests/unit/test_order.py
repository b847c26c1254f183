"""Which of the ready steps goes first: the longest remaining path, or the first in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random  # noqa: TID251 - seeded

import pytest

from engine.events import Claim, Event, StopRequested
from engine.graph import build
from engine.model import Order
from engine.plan import Plan
from engine.scheduler import Scheduler
from tests.builders import graph_of, plan
from tests.makespans import (
    Recorded,
    geometric_mean,
    makespan,
    microseconds,
    played,
    read_all,
    references,
)
from tests.unit.ticks import bad, ok

# Two ways of two steps, and one that is longer than both.
FORK = "short end>short heavy after>heavy alone"


def order_of(plan: Plan) -> list[str]:
    """Give the steps in the order in which one worker takes them."""
    _, claimed = played(Scheduler(plan, workers=1), [1.0] * len(plan.graph.names))
    return [plan.graph.names[step] for step in claimed]


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


@pytest.mark.parametrize("order", Order)
def test_of_what_is_ready_a_cancel_leaves_what_cleans_up(order: Order) -> None:
    """Whatever the order, which step a place in it stands for is known."""
    text = "running long more>long tidy:all_done also tidier:all_done"
    core = Scheduler(replace(plan(text), order=order, weights=[9, 1, 1, 1, 8, 7]), workers=1)
    core.tick(0, [])
    core.tick(1, [StopRequested("ada", cancel=True)])
    ended = core.tick(2, [ok(0, 2.0)])
    first = 3 if order is Order.FIFO else 5
    assert [action.step for action in ended if isinstance(action, Claim)] == [first]
    last = core.tick(3, [ok(first, 3.0)])
    assert [action.step for action in last if isinstance(action, Claim)] == [8 - first]


def test_the_longest_remaining_path_ranks_first() -> None:
    """By weight; equal weights go by steps, and then as declared."""
    graph = graph_of("a b>a c>b d>a e")
    assert graph.remaining([5, 1, 1, 4, 9]) == [9, 2, 1, 4, 9]
    assert graph.ranked([5, 1, 1, 4, 9]) == [0, 4, 3, 1, 2]
    assert graph.remaining() == [3, 2, 1, 1, 1]
    assert graph.ranked() == [0, 1, 2, 3, 4]
    assert graph_of("").ranked() == []


def drawn(luck: Random) -> Recorded:
    """Draw a graph, declared in another order than it runs, with durations that are often equal."""
    count = luck.randint(1, 25)
    turn = luck.sample(range(count), count)
    names = [f"s{at}" for at in range(count)]
    ups = {
        step: luck.sample(turn[:at], luck.randint(0, min(at, 3))) for at, step in enumerate(turn)
    }
    graph = build(names, [[names[up] for up in ups[step]] for step in range(count)])
    return Recorded("drawn", graph, (), [[luck.choice((0.0, 1.0, 2.0, 5.0))] for _ in names])


def claimed_by_hand(found: Recorded, workers: int, urgency: Sequence[object] | None) -> list[int]:
    """Do what a scheduler does, with no heap: sort what is ready, by urgency or not at all."""
    graph, durations = found.graph, found.durations()
    waits = [set(ups) for ups in graph.upstreams]
    ready = [step for step, ups in enumerate(waits) if not ups]
    now, running, claimed = 0.0, list[tuple[float, int]](), list[int]()
    while ready or running:
        if urgency:
            ready.sort(key=urgency.__getitem__)  # type: ignore[arg-type]
        while ready and len(running) < workers:
            claimed.append(ready.pop(0))
            running.append((now + durations[claimed[-1]], claimed[-1]))
        running.sort()
        now = running[0][0]
        while running and running[0][0] == now:
            _, step = running.pop(0)
            for down in graph.downstreams[step]:
                waits[down].discard(step)
                if not waits[down]:
                    ready.append(down)
    return claimed


@pytest.mark.parametrize("seed", range(60))
def test_steps_are_claimed_as_by_hand(seed: int) -> None:
    """Whatever the graph, the weights, the workers and the order."""
    luck = Random(seed)
    found = drawn(luck)
    count, workers = len(found.graph.names), luck.randint(1, 4)
    weights = [luck.choice((0, 1, 7)) for _ in range(count)] if luck.random() < 0.8 else []
    order = luck.choice(tuple(Order))
    paths = [(0, 0)] * count
    for step in reversed(found.graph.order):
        weight, steps = max((paths[down] for down in found.graph.downstreams[step]), default=(0, 0))
        paths[step] = (weight + (weights[step] if weights else 0), steps + 1)
    urgency = [(-weight, -steps, step) for step, (weight, steps) in enumerate(paths)]
    _, claimed = played(Scheduler(found.plan(weights, order), workers=workers), found.durations())
    by_path = order is Order.LONGEST_PATH
    assert claimed == claimed_by_hand(found, workers, urgency if by_path else None)


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
