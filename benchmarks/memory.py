"""How much memory does a run hold? The most that its process has had resident, beside the bare one.

Layered graphs of steps that do nothing. What the engine is before it has any steps is mostly
SQLAlchemy; what comes with the steps is told by the kilobytes a step beyond ten.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from statistics import median

import _common
from _common import Row

SIZES = (10, 10_000, 100_000)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, nargs="+", default=SIZES, help="10 10000 100000")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    first: dict[str, float] = {}
    for steps in options.steps:
        taken = _common.in_turn(
            options.repeat,
            {what: partial(peak_mb, what, steps, options.dir) for what in ("bare", "engine")},
        )
        bare, engine = (median(found) for found in taken.values())
        first = first or {"engine": engine, "steps": steps}
        more = steps - first["steps"]
        yield Row(
            f"layered {steps:,}",
            {
                "bare MB": bare,
                "engine MB": engine,
                "ratio": engine / bare,
                "KB a step": (engine - first["engine"]) / more * 1024 if more else None,
            },
        )


def peak_mb(what: str, steps: int, place: str) -> float:
    """Measure one run."""
    return float(_common.once(what, "layered", steps, place)["peak_mb"])


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments, repeat=1))
