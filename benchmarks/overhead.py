"""What a step costs: no-op steps, each start and end durable, beside a bare baseline.

The overhead per step is the time inside the run beyond that of a five-step run, by the number of
steps; the baseline is graphlib, a thread pool and plain sqlite3 (WAL, FULL), up to 512 ready steps
a transaction. Engine and baseline alternate, each in a fresh process and an empty folder.

    python benchmarks/overhead.py [--repeat N] [--only layered] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
WORKERS = 4
FEW = 5
CASES = {"layered": 10_000, "wide": 10_000, "chain": 1_000}
BARS = {"layered": 8.0, "chain": 2.0}


def run_once(what: str, shape: str, count: int, folder: str) -> float:
    """Seconds inside one run, in a fresh process and an empty folder."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as place:
        done = subprocess.run(
            [sys.executable, str(HERE / "_once.py"), what, shape, str(count), str(WORKERS)],
            cwd=place,
            env=_clean_environment(),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return float(json.loads(done.stdout)["seconds"])


def _clean_environment() -> dict[str, str]:
    mine = ("ENGINE_", "KAHNBAN_", "SLACK_", "SMTP_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(mine)}
    return kept | {"PYTHONPATH": str(HERE.parent)}


def measure(shape: str, count: int, repeat: int, folder: str) -> dict[str, Any]:
    """Medians of alternating repetitions; overheads in microseconds a step."""
    taken: dict[tuple[str, int], list[float]] = {}
    for _ in range(repeat):
        for size in (FEW, count):
            for what in ("bare", "engine"):
                seconds = run_once(what, shape, size, folder)
                taken.setdefault((what, size), []).append(seconds)
    middle = {key: median(found) for key, found in taken.items()}
    each = {
        what: (middle[what, count] - middle[what, FEW]) / count * 1e6 for what in ("bare", "engine")
    }
    return {
        "shape": shape,
        "steps": count,
        "repeat": repeat,
        "bare_us": round(each["bare"], 1),
        "engine_us": round(each["engine"], 1),
        "ratio": round(each["engine"] / each["bare"], 2),
        "bar": BARS.get(shape),
        "five_steps_s": {what: round(middle[what, FEW], 4) for what in ("bare", "engine")},
        "seconds": {what: [round(s, 4) for s in taken[what, count]] for what in ("bare", "engine")},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="overhead of a no-op step")
    parser.add_argument("--repeat", type=int, default=3, help="alternating repetitions (3)")
    parser.add_argument("--only", choices=CASES, help="one shape only")
    parser.add_argument("--dir", default="/var/tmp", help="where to work: a disk (/var/tmp)")  # noqa: S108 - by convention no RAM disk - a disk, where /tmp may be memory
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    results = []
    print(f"{'shape':<9}{'steps':>7}{'bare µs':>9}{'engine µs':>11}{'ratio':>7}{'bar':>6}")
    for shape, count in CASES.items():
        if options.only in (None, shape):
            found = measure(shape, count, options.repeat, options.dir)
            results.append(found)
            bar = f"{found['bar']:g}" if found["bar"] else "–"
            print(
                f"{shape:<9}{count:>7}{found['bare_us']:>9.1f}{found['engine_us']:>11.1f}"
                f"{found['ratio']:>7.2f}{bar:>6}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return int(any(found["bar"] and found["ratio"] > found["bar"] for found in results))


if __name__ == "__main__":
    raise SystemExit(main())
