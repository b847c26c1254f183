"""What does it cost to start an isolated step? A process forked, the body run, its result taken.

`python -m engine run` of isolated steps that do nothing, after each other and beside each other;
milliseconds of each attempt, from its start in the engine to its recorded end, less the first,
which waits for the fork server.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import _common
from _common import Bar, Row

STEPS = 100
BAR = Bar("median ms", 40)
WORKFLOW = """\
from engine import Step, Workflow


def nothing(ctx):
    pass


workflow = Workflow("NAME").add(Step("s0", nothing, isolate=True))
for at in range(1, COUNT):
    up = f"s{at - 1}" if CHAIN else "s0"
    workflow.add(Step(f"s{at}", nothing, depends_on=[up], isolate=True))
"""
DURATIONS = """
SELECT a.duration_s FROM attempts a JOIN runs r ON r.id = a.run_id
WHERE r.workflow = ? AND a.outcome = 'ok' ORDER BY a.started_at"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=STEPS, help="steps in each run (100)")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    for name in ("chain", "wide"):
        firsts, rest = [], []
        for _ in range(options.repeat):
            first, *others = attempts_ms(name, options)
            firsts.append(first)
            rest += others
        yield Row(
            name,
            {
                "median ms": median(rest),
                "p95 ms": quantiles(rest, n=20)[-1],
                "first ms": median(firsts),
            },
            [BAR] if name == "chain" else (),
        )


def attempts_ms(name: str, options: argparse.Namespace) -> list[float]:
    """Run the steps once; milliseconds of each attempt, in order."""
    text = WORKFLOW.replace("NAME", name).replace("COUNT", str(options.steps))
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-") as place:
        folder = Path(place)
        _common.write_workflow(folder, name, text.replace("CHAIN", str(name == "chain")))
        workers = str(_common.WORKERS)
        _common.fresh(["-m", "engine", "run", name, "-q", "--workers", workers], folder)
        with sqlite3.connect(folder / "var" / "runs.db") as connection:
            taken = [1000 * row[0] for row in connection.execute(DURATIONS, (name,))]
    assert len(taken) == options.steps, f"{len(taken)} of {options.steps} steps are done"
    return taken


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments, repeat=1))
