"""How long does looking take in a store with a million attempts? Whole commands.

900,000 are of 90,000 runs of ten steps, 100,000 of one big run. The same commands take turns in a
store of two small runs: what they take there is starting up. With the size of the whole store.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

import _common
from _common import Bar, Row

sys.path.insert(0, str(_common.ROOT))

from store.database import open_writer
from tests.store.filled import many_old_runs

RUNS = 90_000
RUN_STEPS = 10
BIG = 100_000
SMALL = (2, 10)
LOOKS = (
    ["history"],
    ["history", "flow", "--failed"],
    ["show", "flow"],
    ["show", "big"],
    ["report", "flow"],
    ["report", "big"],
    ["metrics"],
)
BEYOND = Bar("beyond s", 0.2)
SIZE = Bar("bytes a step", 600)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=RUNS, help="of ten steps (90,000)")
    parser.add_argument("--big", type=int, default=BIG, help="steps of the big run (100,000)")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-") as place:
        small, full = Path(place) / "small", Path(place) / "full"
        fill(small, *SMALL)
        fill(full, options.runs, options.big)
        for words in LOOKS:
            look = partial(_common.seconds_of, ["-m", "engine", *words])
            taken = _common.in_turn(
                options.repeat, {folder: partial(look, folder) for folder in (small, full)}
            )
            before_s, after_s = median(taken[small]), median(taken[full])
            yield Row(
                " ".join(words),
                {
                    "small s": before_s,
                    "full s": after_s,
                    "beyond s": after_s - before_s,
                    "bytes a step": None,
                },
                [BEYOND],
                {"all": {"small": taken[small], "full": taken[full]}},
            )
        size = (full / "var" / "runs.db").stat().st_size
        steps = options.runs * RUN_STEPS + options.big
        figures = dict.fromkeys(("small s", "full s", "beyond s"))
        yield Row("the whole file", figures | {"bytes a step": size / steps}, [SIZE])


def fill(folder: Path, runs: int, big: int) -> None:
    """Make a store of small runs and, as the newest, a big one."""
    _common.write_big(folder, big)
    (folder / "var").mkdir(mode=0o700)
    database = open_writer(folder / "var" / "runs.db")
    many_old_runs(database, runs)
    database.close()
    _common.fresh(["-m", "engine", "run", "-q", "big"], folder)


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments))
