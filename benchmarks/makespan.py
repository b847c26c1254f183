"""How near to the shortest does the order of ready steps bring a run? 22 real graphs, recorded.

Geometric means over the graphs, in percent over the makespan of the reference's order by durations
exactly known (cp), and over that of first in, first out. The real scheduler, each step taking its
recorded duration on a virtual clock, is told: `known`, these durations; `off by X`, these times
lognormal(0, X); `1 run off by X` and `5 runs off by X`, what a store with so many runs would tell;
`kinds`, what one in which all steps are new; `steps`, nothing. Then workflows that were run five
times for real, each run ordered by 1 or by 4 others. Last the engine itself: real stores, threads
and (scaled) sleeps, by three runs off by 0.3.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import islice
from math import exp
from pathlib import Path
from statistics import median
from typing import Any

import _common
from _common import ROOT, Bar, Row

sys.path.insert(0, str(ROOT))  # the builders of the tests

from engine import Step, Workflow, shell
from engine.model import Order
from engine.scheduler import Scheduler
from engine.usual import Usual
from engine.weights import weights
from tests.conftest import SHARED
from tests.makespans import Recorded, geometric_mean, makespan, read, read_all, references

WORKERS = [2, 4, 16, 64]
SEEDS = 5
NOISES = (0.5, 1.0)
MANY = 10  # runs that are sure
REPEATED_WORKERS = (4, 16)
REAL = (  # graphs for whose makespan order matters
    "1000genome-chameleon-8ch-250k-001",
    "cycles-chameleon-5l-2c-9p-001",
    "srasearch-chameleon-20a-001",
)
REAL_S = 2.0  # how long a real run takes at best
REAL_WORKERS = 16
REAL_PAST = 3
REAL_NOISE = 0.3
KNOWN = Bar("over cp %", 2)
NOISY = Bar("over fifo %", 1)

Past = Callable[[Recorded, random.Random], list[int]]  # gives what a run would be ordered by


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS, help="how many")
    parser.add_argument("--graphs", type=int, help="so many of each set, not all")
    parser.add_argument("--virtual", action="store_true", help="no real runs")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    data = SHARED / "data"
    graphs = list(islice(read_all(data / "dags"), options.graphs))
    reference = references(data / "dags")
    for workers in options.workers:
        best = {name: expected[str(workers)]["cp"] for name, expected in reference.items()}
        yield from recorded_rows(graphs, best, workers, options.repeat)
    for found in islice(read_all(data / "history"), options.graphs):
        for workers in REPEATED_WORKERS:
            yield from repeated_rows(found, workers)
    if not options.virtual:
        for found in map(partial(find, data), REAL):
            yield from real_rows(found, options.dir)


# -- what a run would know ------------------------------------------------------------------------


def weights_of(found: Recorded, usual: Sequence[Usual]) -> list[int]:
    """Weigh by what a store would tell of each step."""
    steps = steps_of(found.kinds)
    return weights(steps, {step.name: told for step, told in zip(steps, usual, strict=True)})


@cache
def steps_of(kinds: tuple[str, ...]) -> list[Step]:
    """Make steps; a step's kind is its program."""
    return [Step(f"s{at}", shell([kind])) for at, kind in enumerate(kinds)]


def known(found: Recorded, _: random.Random, *, run: int = 0) -> list[int]:
    return weights_of(found, [(took, MANY) for took in found.durations(run)])


def off_by(noise: float, runs: int, told: int, found: Recorded, draw: random.Random) -> list[int]:
    """Go by `runs` runs whose durations are off by `noise`, told as if there were `told`."""

    def seen(took: float) -> float:
        return median(took * exp(draw.gauss(0, noise)) for _ in range(runs))

    return weights_of(found, [(seen(took), told) for took in found.durations()])


def kinds(found: Recorded, _: random.Random) -> list[int]:
    durations: dict[str, list[float]] = {}
    for kind, took in zip(found.kinds, found.durations(), strict=True):
        durations.setdefault(kind, []).append(took)
    of_kind = {kind: median(took) for kind, took in durations.items()}
    return weights_of(found, [(of_kind[kind], MANY) for kind in found.kinds])


def nothing(_: Recorded, __: random.Random) -> list[int]:
    return []


PASTS: dict[str, tuple[Past, Bar | None]] = {
    "known": (known, KNOWN),
    **{f"off by {noise}": (partial(off_by, noise, 1, MANY), NOISY) for noise in NOISES},
    **{f"1 run off by {noise}": (partial(off_by, noise, 1, 1), NOISY) for noise in NOISES},
    **{f"5 runs off by {noise}": (partial(off_by, noise, 5, 5), NOISY) for noise in NOISES},
    "kinds": (kinds, NOISY),
    "steps": (nothing, None),
}


# -- on a virtual clock ---------------------------------------------------------------------------


def takes(found: Recorded, weights_us: Sequence[int], workers: int, run: int = 0) -> float:
    return makespan(Scheduler(found.plan(weights_us), workers=workers), found.durations(run))


def fifo(found: Recorded, workers: int, run: int = 0) -> float:
    plan = found.plan(order=Order.FIFO)
    return makespan(Scheduler(plan, workers=workers), found.durations(run))


def recorded_rows(
    graphs: Sequence[Recorded], best: Mapping[str, float], workers: int, seeds: int
) -> Iterator[Row]:
    first_in = {found.name: fifo(found, workers) for found in graphs}
    for told, (past, bar) in PASTS.items():
        to_cp, to_fifo = list[float](), list[float]()
        for found in graphs:
            for seed in range(seeds if "off" in told else 1):
                took = takes(found, past(found, random.Random(seed)), workers)
                to_cp.append(took / best[found.name])
                to_fifo.append(took / first_in[found.name])
        of_goal = bar is NOISY or workers == 16
        yield row(f"{workers} workers, {told}", to_cp, to_fifo, bar if of_goal else None)
    to_cp = [took / best[name] for name, took in first_in.items()]
    yield row(f"{workers} workers, fifo", to_cp, [1.0])


def repeated_rows(found: Recorded, workers: int) -> Iterator[Row]:
    """Order each of five real runs by one of the others, and by all of them."""
    runs = range(len(found.runs_s[0]))
    for count in (1, len(runs) - 1):
        to_cp, to_fifo = list[float](), list[float]()
        for run in runs:
            others = [other for other in runs if other != run]
            best = takes(found, known(found, random.Random(), run=run), workers, run)
            first_in = fifo(found, workers, run)
            for past in [others] if count > 1 else [[other] for other in others]:
                usual = [(median(took[at] for at in past), count) for took in found.runs_s]
                took = takes(found, weights_of(found, usual), workers, run)
                to_cp.append(took / best)
                to_fifo.append(took / first_in)
        told = "1 run" if count == 1 else f"{count} runs"
        yield row(f"{short(found)}, {workers} workers, {told}", to_cp, to_fifo)


# -- for real -------------------------------------------------------------------------------------


def find(data: Path, name: str) -> Recorded:
    return read(next((data / "dags").glob(f"{name}.json*")))


def real_rows(found: Recorded, place: str) -> Iterator[Row]:
    """Run the engine: first in first out, then by what three earlier real runs took."""
    best = takes(found, known(found, random.Random(0)), REAL_WORKERS)
    durations = [took * REAL_S / best for took in found.durations()]
    draw = random.Random(SEEDS)
    with (
        tempfile.TemporaryDirectory(dir=place, prefix="bench-") as folder,
        contextlib.chdir(folder),
    ):
        for _ in range(REAL_PAST):
            really(found, [took * exp(draw.gauss(0, REAL_NOISE)) for took in durations])
        first_in = really(found, durations, Order.FIFO)
        by_path = really(found, durations)
    name = f"{short(found)}, real"
    yield row(f"{name}, {REAL_PAST} runs", [by_path / REAL_S], [by_path / first_in])
    yield row(f"{name}, fifo", [first_in / REAL_S], [1.0])


def short(found: Recorded) -> str:
    return found.name.partition("-")[0]


def really(found: Recorded, durations: Sequence[float], order: Order = Order.LONGEST_PATH) -> float:
    workflow = Workflow("bench", order=order)
    for at, ups in enumerate(found.graph.upstreams):
        body = partial(sleep, durations[at])
        workflow.add(Step(f"s{at}", body, depends_on=[f"s{up}" for up in ups]))
    report = workflow.run(workers=REAL_WORKERS, store="sqlite:///runs.db", fresh=True)
    assert report["status"] == "ok", report["note"]
    return float(report["duration_s"])


def sleep(seconds: float, _: Any) -> None:
    time.sleep(seconds)


# -- the table ------------------------------------------------------------------------------------


def row(case: str, to_cp: Sequence[float], to_fifo: Sequence[float], bar: Bar | None = None) -> Row:
    figures = {
        "over cp %": percent(geometric_mean(to_cp)),
        "over fifo %": percent(geometric_mean(to_fifo)),
        "worst %": percent(max(to_fifo)),
    }
    return Row(case, figures, [bar] if bar else ())


def percent(ratio: float) -> float:
    return round((ratio - 1) * 100, 2)


def main() -> int:
    if not SHARED.is_dir():
        print(f"no real graphs: '{SHARED}' is missing (KAHNBAN_SHARED names another folder)")
        return 0
    return _common.main(__doc__ or "", rows, arguments, repeat=SEEDS)


if __name__ == "__main__":
    raise SystemExit(main())
