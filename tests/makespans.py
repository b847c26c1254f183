"""Real graphs with their recorded durations, and how long the core would take over them.

The durations pass on a virtual clock, so that days of work are over in milliseconds.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import exp, log
from pathlib import Path
from typing import Any

from engine.events import Action, AttemptFinished, Claim, EndRun, Event
from engine.graph import Graph, build
from engine.model import AttemptOutcome, OnOverrun, Order, TriggerRule
from engine.plan import Plan
from engine.scheduler import Scheduler

REFERENCE = "reference-makespans.json"


@dataclass(frozen=True)
class Recorded:
    """A workflow as it was run for real: each step's kind, and how long it took, run by run."""

    name: str
    graph: Graph
    kinds: tuple[str, ...]
    runs_s: Sequence[Sequence[float]]

    def durations(self, run: int = 0) -> list[float]:
        """Give how long each step took in one of the runs."""
        return [taken[run] for taken in self.runs_s]

    def plan(self, weights_us: Sequence[int] = (), order: Order = Order.LONGEST_PATH) -> Plan:
        """Plan it: steps without retries or limits, in an order."""
        count = len(self.graph.names)
        return Plan(
            graph=self.graph,
            rules=[TriggerRule.ALL_SUCCESS] * count,
            retries=[0] * count,
            timeout_s=[None] * count,
            stop_s=[0.0] * count,
            gentle=[False] * count,
            on_overrun=[OnOverrun.FAIL] * count,
            order=order,
            weights=weights_us,
        )


def read(path: Path) -> Recorded:
    """Read one recorded workflow."""
    data = path.read_bytes()
    found = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    tasks: list[dict[str, Any]] = found["tasks"]
    return Recorded(
        found["name"],
        build([task["name"] for task in tasks], [task["deps"] for task in tasks]),
        tuple(task["kind"] for task in tasks),
        [task.get("runs_s") or [task["runtime_s"]] for task in tasks],
    )


def read_all(folder: Path) -> Iterator[Recorded]:
    """Read all recorded workflows in a folder, by name."""
    for path in sorted(folder.iterdir()):
        if path.name != REFERENCE:
            yield read(path)


def references(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Give the reference makespans: by graph, by the number of workers, by the order."""
    found = json.loads((folder / REFERENCE).read_bytes())
    return {graph["name"]: graph["makespan_s"] for graph in found}


def makespan(scheduler: Scheduler, durations: Sequence[float]) -> float:
    """Give how long a scheduler takes if each step takes its duration."""
    return played(scheduler, durations)[0]


def played(scheduler: Scheduler, durations: Sequence[float]) -> tuple[float, list[int]]:
    """Drive a scheduler on a virtual clock; gives the makespan, and steps as they were claimed."""
    now, claimed = 0.0, list[int]()
    running: list[tuple[float, int, int]] = []
    events: list[Event] = []
    while True:
        actions: list[Action] = scheduler.tick(now, events)
        for action in actions:
            if isinstance(action, Claim):
                claimed.append(action.step)
                ends = now + durations[action.step]
                heappush(running, (ends, action.step, action.number))
            elif isinstance(action, EndRun):
                return now, claimed
        now = running[0][0]
        events = []
        while running and running[0][0] == now:
            _, step, number = heappop(running)
            events.append(AttemptFinished(step, number, AttemptOutcome.OK, now, now))


def microseconds(durations: Sequence[float]) -> list[int]:
    """Give durations as the core takes its weights."""
    return [round(seconds * 1e6) for seconds in durations]


def geometric_mean(ratios: Sequence[float]) -> float:
    """Give the mean of ratios that does not depend on which of the two is divided by which."""
    return exp(sum(map(log, ratios)) / len(ratios))
