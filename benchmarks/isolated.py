"""What it costs to start an isolated step: a process forked, the function run, its result taken.

`python -m engine run` of a chain of isolated steps that do nothing; the time of each attempt, from
its start in the engine to its recorded end, less the first, which waits for the fork server. With
the same steps beside each other too, as many at a time as there are workers.

    python benchmarks/isolated.py [--steps N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

HERE = Path(__file__).resolve().parent
BAR_MS = 40
WORKERS = 4
STEPS = """\
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


def measure(name: str, count: int, folder: Path, *, chain: bool) -> list[float]:
    """Run the steps once; milliseconds of each attempt, in order."""
    text = STEPS.replace("NAME", name).replace("COUNT", str(count)).replace("CHAIN", str(chain))
    (folder / "pipelines" / f"{name}.py").write_text(text, encoding="utf-8")
    environ = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ENGINE_", "KAHNBAN_", "SLACK_", "SMTP_"))
    }
    subprocess.run(
        [sys.executable, "-m", "engine", "run", name, "-q", "--workers", str(WORKERS)],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(HERE.parent)},
        check=True,
    )
    with sqlite3.connect(folder / "var" / "runs.db") as connection:
        taken = [1000 * row[0] for row in connection.execute(DURATIONS, (name,))]
    assert len(taken) == count, f"{len(taken)} of {count} steps are recorded as done"
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description="start-up per isolated step")
    parser.add_argument("--steps", type=int, default=100, help="steps in each run (100)")
    parser.add_argument("--dir", default="/var/tmp", help="where to work: a disk (/var/tmp)")  # noqa: S108 - by convention no RAM disk - a disk, where /tmp may be memory
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    results = {}
    print(f"{'shape':<8}{'median ms':>10}{'p95 ms':>8}{'first ms':>10}{'bar':>5}")
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-") as folder:
        (Path(folder) / "pipelines").mkdir()
        for name in ("chain", "wide"):
            first, *rest = measure(name, options.steps, Path(folder), chain=name == "chain")
            found = {"median": median(rest), "p95": quantiles(rest, n=20)[-1], "first": first}
            results[name] = {kind: round(taken, 1) for kind, taken in found.items()}
            bar = str(BAR_MS) if name == "chain" else "–"
            print(f"{name:<8}{found['median']:>10.1f}{found['p95']:>8.1f}{first:>10.1f}{bar:>5}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return int(results["chain"]["median"] > BAR_MS)


if __name__ == "__main__":
    raise SystemExit(main())
