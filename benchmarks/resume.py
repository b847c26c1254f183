"""How long does it take to go on from a big run? 100,000 steps, of which the last has failed.

The whole process of the command that does the one step that is left, beside the same of ten steps.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

import _common
from _common import Bar, Row

STEPS = 100_000
SMALL = 10
BAR = Bar("seconds", 3.0)
RUN = ["-m", "engine", "run", "-q", "--workers", str(_common.WORKERS)]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=STEPS, help="of the big run (100,000)")


def rows(options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-") as place:
        folders = {steps: Path(place) / str(steps) for steps in (SMALL, options.steps)}
        for steps, folder in folders.items():
            _common.write_big(folder, steps, wanted="again")
            _common.fresh([*RUN, "big"], folder, code=1)
            (folder / "again").touch()
            (folder / "var").rename(folder / "past")
        taken = _common.in_turn(
            options.repeat, {steps: partial(resume, folder) for steps, folder in folders.items()}
        )
    base = median(taken[SMALL])
    for steps, found in taken.items():
        yield Row(
            f"one of {steps:,} steps left",
            {"seconds": median(found), "ratio": median(found) / base},
            [BAR] if steps != SMALL else (),
            {"all": found},
        )


def resume(folder: Path) -> float:
    """Measure the command that goes on, from the same past each time."""
    shutil.rmtree(folder / "var", ignore_errors=True)
    shutil.copytree(folder / "past", folder / "var")
    return _common.seconds_of([*RUN, "big"], folder)


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments))
