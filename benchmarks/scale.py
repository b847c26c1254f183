"""Does a step cost the same in a big graph? Layered graphs, beside one of 10,000 steps.

Microseconds a step inside the run, beyond those of a five-step run, the most memory the process has
held, and the size of the whole store. A million steps (--large) take a minute and more.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from statistics import median
from typing import Any

import _common
from _common import FEW, Bar, Row

BASE = 10_000
SIZES = (100_000,)
LARGE = 1_000_000
BARS = (Bar("ratio", 1.3), Bar("MB", 1_500), Bar("bytes a step", 600))


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", type=int, default=BASE, help="steps of the base (10,000)")
    parser.add_argument("--steps", type=int, help="so many steps, in place of 100,000")
    parser.add_argument("--large", action="store_true", help="1,000,000 steps too, once")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    sizes = [options.base, options.steps or SIZES[0], *[LARGE] * options.large]
    taken: dict[int, list[dict[str, Any]]] = {size: [] for size in (FEW, *sizes)}
    for turn in range(options.repeat):
        for size, found in taken.items():
            if size != LARGE or not turn:
                found.append(_common.once("engine", "layered", size, options.dir))
    seconds = {size: [one["seconds"] for one in found] for size, found in taken.items()}
    base_us = _common.per_step_us(seconds[FEW], seconds[options.base], options.base)
    for size in sizes:
        each_us = _common.per_step_us(seconds[FEW], seconds[size], size)
        yield Row(
            f"layered {size:,}",
            {
                "engine µs": each_us,
                "ratio": each_us / base_us,
                "MB": median(one["peak_mb"] for one in taken[size]),
                "bytes a step": median(one["size_bytes"] for one in taken[size]) / size,
            },
            BARS if size != options.base else (),
            {"seconds": seconds[size]},
        )


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments))
