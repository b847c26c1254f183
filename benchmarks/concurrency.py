"""Are the workers kept busy? 40 steps that sleep 50 ms, on 4 workers: half a second at best.

From the first recorded start to the last recorded end; the bare baseline (`_once.py`) beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from statistics import median

import _common
from _common import WORKERS, Bar, Row

STEPS = 40
SLEEP_S = 0.05
BAR = Bar("ratio", 1.06)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=STEPS, help="how many steps (40)")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    best_s = options.steps * SLEEP_S / WORKERS
    taken = _common.in_turn(
        options.repeat,
        {what: partial(recorded_s, what, options) for what in ("bare", "engine")},
    )
    for what, found in taken.items():
        yield Row(
            what,
            {"seconds": median(found), "ratio": median(found) / best_s, "worst": max(found)},
            [BAR] if what == "engine" else (),
        )


def recorded_s(what: str, options: argparse.Namespace) -> float:
    """Measure one run by what it has recorded of itself."""
    found = _common.once(what, "wide", options.steps, options.dir, str(SLEEP_S))
    return float(found["recorded_s"])


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments, repeat=7))
