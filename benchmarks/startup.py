"""What a small run costs as a whole process, beside what importing SQLAlchemy alone costs.

`python -m engine run` of five no-op steps, with an existing store and with a fresh home, and
`python -c "import sqlalchemy"`, alternating; medians, and their ratio.

    python benchmarks/startup.py [--repeat N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
BAR = 1.7
FIVE_STEPS = """\
from engine import Step, Workflow


def nothing(ctx):
    pass


workflow = Workflow("five")
for at in range(5):
    workflow.add(Step(f"s{at}", nothing, depends_on=[f"s{at - 1}"] if at else []))
"""


def seconds_of(words: list[str], folder: Path) -> float:
    """Wall time of one whole process."""
    environ = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ENGINE_", "KAHNBAN_", "SLACK_", "SMTP_", "PYTHONDONTWRITE"))
    }
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(HERE.parent)},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - begun


def measure(repeat: int, folder: Path) -> dict[str, list[float]]:
    """Seconds by kind, alternating, after one round that warms caches and writes bytecode."""
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "five.py").write_text(FIVE_STEPS, encoding="utf-8")
    run = ["-m", "engine", "run", "five", "--workers", "4"]
    fresh = [*run, "--home", "fresh"]
    taken: dict[str, list[float]] = {"import sqlalchemy": [], "run": [], "run, fresh home": []}
    for turn in range(repeat + 1):
        shutil.rmtree(folder / "fresh", ignore_errors=True)
        now = {
            "import sqlalchemy": seconds_of(["-c", "import sqlalchemy"], folder),
            "run": seconds_of(run, folder),
            "run, fresh home": seconds_of(fresh, folder),
        }
        if turn:
            for kind, seconds in now.items():
                taken[kind].append(seconds)
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description="a five-step run as a whole process")
    parser.add_argument("--repeat", type=int, default=11, help="alternating repetitions (11)")
    parser.add_argument("--dir", default="/var/tmp", help="where to work: a disk (/var/tmp)")  # noqa: S108 - by convention no RAM disk - a disk, where /tmp may be memory
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-") as folder:
        taken = measure(options.repeat, Path(folder))
    base = median(taken["import sqlalchemy"])
    results = {
        kind: {"seconds": round(median(found), 4), "ratio": round(median(found) / base, 2)}
        for kind, found in taken.items()
    }
    print(f"{'process':<20}{'seconds':>9}{'ratio':>7}{'bar':>6}")
    for kind, found in results.items():
        bar = f"{BAR:g}" if kind == "run" else "–"
        print(f"{kind:<20}{found['seconds']:>9.3f}{found['ratio']:>7.2f}{bar:>6}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return int(results["run"]["ratio"] > BAR)


if __name__ == "__main__":
    raise SystemExit(main())
