"""What does a step cost? Steps that do nothing, each start and end durable, beside a bare baseline.

Microseconds a step inside the run, beyond those of a five-step run. The baseline (`bare` in
`_once.py`) is graphlib, a thread pool and plain sqlite3: write-ahead log, FULL, one row a step, up
to 512 ready steps a transaction. `threads` is the same with plain threads for the pool, for
comparison. They take turns, each in a fresh process and an empty folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial

import _common
from _common import FEW, Bar, Row
from _graphs import SHAPES

CASES = (("chain", 1_000), ("chain", 10_000), ("wide", 10_000), ("layered", 10_000))
BARS = {"chain": 1.5, "wide": 2.0, "layered": 2.0}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shape", choices=SHAPES, help="one shape only")
    parser.add_argument("--steps", type=int, help="so many steps, in place of 1,000 and 10,000")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    cases = dict.fromkeys((shape, options.steps or steps) for shape, steps in CASES)
    for shape, steps in cases:
        if options.shape in (None, shape):
            yield measured(shape, steps, options.repeat, options.dir)


def measured(shape: str, steps: int, repeat: int, place: str) -> Row:
    """All in turn, by few steps and by many; on a chain threads for the pool change nothing."""
    kinds = ("bare", "engine") if shape == "chain" else ("bare", "engine", "threads")
    taken = _common.in_turn(
        repeat,
        {
            (what, size): partial(seconds, what, shape, size, place)
            for size in (FEW, steps)
            for what in kinds
        },
    )
    each = {
        what: _common.per_step_us(taken[what, FEW], taken[what, steps], steps) for what in kinds
    }
    return Row(
        f"{shape} {steps:,}",
        {
            "threads µs": each.get("threads"),
            "bare µs": each["bare"],
            "engine µs": each["engine"],
            "ratio": _common.ratio(each["engine"], each["bare"]),
        },
        [Bar("ratio", BARS[shape])],
        {"seconds": {f"{what} {size}": found for (what, size), found in taken.items()}},
    )


def seconds(what: str, shape: str, steps: int, place: str) -> float:
    """Measure one run, inside it."""
    return float(_common.once(what, shape, steps, place)["seconds"])


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments))
