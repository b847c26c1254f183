"""What does a small run cost as a whole process? Beside what importing SQLAlchemy alone costs.

`python -m engine run` of five steps that do nothing, with an existing store and with a fresh home,
and `python -c "import sqlalchemy"`, in turn.
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

BAR = Bar("ratio", 1.5)
FIVE = """\
from engine import Step, Workflow


def nothing(ctx):
    pass


workflow = Workflow("five")
for at in range(5):
    workflow.add(Step(f"s{at}", nothing, depends_on=[f"s{at - 1}"] if at else []))
"""
RUN = ["-m", "engine", "run", "five", "--workers", str(_common.WORKERS)]


def rows(options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-") as place:
        folder = Path(place)
        _common.write_workflow(folder, "five", FIVE)
        cases = {
            "import sqlalchemy": partial(_common.seconds_of, ["-c", "import sqlalchemy"], folder),
            "run": partial(_common.seconds_of, RUN, folder),
            "run, no store yet": partial(anew, folder),
        }
        _common.in_turn(1, cases)  # bytecode is written, caches are warm
        taken = _common.in_turn(options.repeat, cases)
    base = median(taken["import sqlalchemy"])
    for what, found in taken.items():
        yield Row(
            what,
            {"seconds": median(found), "ratio": median(found) / base},
            [BAR] if what == "run" else (),
            {"all": found},
        )


def anew(folder: Path) -> float:
    """Measure a run in a home that is not there yet."""
    shutil.rmtree(folder / "fresh", ignore_errors=True)
    return _common.seconds_of([*RUN, "--home", "fresh"], folder)


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, repeat=11))
