"""How large is a run's page, and how long does it take to gather and to draw? Start-up aside.

Pages of runs of 5, 60 and 1,000 steps with everything on them, and of 100,000, of which a part is
drawn. Each is made anew as often as told, in one process; the store is warm, as at a run's end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import _common
from _common import Bar, Row

sys.path.insert(0, str(_common.ROOT))

from engine.clock import SystemClock
from engine.ports import Paths
from engine.reports.html.run_page import document_of
from engine.secrets import Secrets
from engine.session import Environment
from engine.session.pages import facts_of
from store.database import open_reader
from store.history import History

if TYPE_CHECKING:
    from engine.reports.html.facts import PageFacts

# Steps of the run, kilobytes and milliseconds at most.
SIZES = ((5, 20, 20), (60, 80, 50), (1_000, 500, 300), (100_000, 500, 500))
KINDS = """\
from engine import Step, Workflow

KINDS = ["extract", "clean", "join", "load", "check"]


def nothing(ctx):
    return ctx.step


class Flaky:
    asked = 0

    def __call__(self, ctx):
        self.asked += 1
        if self.asked < 2:
            raise ConnectionError("the warehouse did not answer")


def broken(ctx):
    print("reading the drop")
    raise ValueError("column 'amount' is missing")


# Five layers, two upstreams each; one in fifty is retried, the one before the last fails.
workflow = Workflow("flow")
width = max(1, STEPS // 5)
for at in range(STEPS):
    layer, place = divmod(at, width)
    above = [f"{KINDS[layer - 1]}_{one % width}" for one in (place, place * 7 + 1)] if layer else []
    run = broken if at == STEPS - 2 else Flaky() if at % 50 == 0 else nothing
    name, wait = f"{KINDS[layer]}_{place}", 0.01
    workflow.add(Step(name, run, depends_on=sorted(set(above)), backoff=wait, retries=1))
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--most", type=int, default=SIZES[-1][0], help="steps at most (100,000)")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    for steps, size_kb, time_ms in SIZES:
        if steps > options.most:
            continue
        with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-") as place:
            folder = Path(place)
            _common.write_workflow(folder, "flow", KINDS.replace("STEPS", str(steps)))
            _common.fresh(["-m", "engine", "run", "-q", "flow"], folder, code=1)
            taken = measured(folder / "var", options.repeat)
        yield Row(
            f"{steps:,} steps",
            {
                "gather ms": median(one[0] for one in taken),
                "draw ms": median(one[1] for one in taken),
                "ms in all": median(sum(one[:2]) for one in taken),
                "kB": taken[0][2] / 1000,
            },
            [Bar("kB", size_kb), Bar("ms in all", time_ms)],
            {"all": taken},
        )


def measured(home: Path, repeat: int) -> list[tuple[float, float, int]]:
    """Make the page of the only run; gives milliseconds and bytes."""
    found = []
    database = open_reader(home / "runs.db")
    environment = Environment(
        paths=Paths(home.parent, home, f"sqlite:///{home / 'runs.db'}"),
        secrets=Secrets(home, {}),
        clock=SystemClock(),
        environ=os.environ,
    )
    for _ in range(repeat + 1):
        begun = time.perf_counter()
        facts: PageFacts = facts_of(History(database), 1, environment)
        gathered = time.perf_counter()
        size = len(document_of(facts).encode())
        drawn = time.perf_counter()
        found.append(((gathered - begun) * 1000, (drawn - gathered) * 1000, size))
    database.close()
    return found[1:]  # the first one loads what it takes


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments, repeat=5))
