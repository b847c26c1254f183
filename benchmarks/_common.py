"""What all benchmarks share: fresh processes that take turns, medians, a table, bars, JSON.

A benchmark is a file with a question (its docstring) and a function that gives rows, one by one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import floor, log10
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ONCE = str(HERE / "_once.py")
WORKERS = 4
FEW = 5  # steps of the run whose time is taken off: what starting and ending a run costs
OURS = ("ENGINE_", "KAHNBAN_", "SLACK_", "SMTP_", "PYTHONDONTWRITE", "PYTHONPATH")
BIG = """\
from pathlib import Path

from engine import Step, Workflow


def nothing(ctx):
    pass


def last(ctx):
    if not Path("WANTED").exists():
        raise RuntimeError("not yet")


# Layers of 100, three upstreams each; counted, as to draw them takes a tenth of a resume.
workflow = Workflow("big")
for at in range(STEPS - 1):
    above = at // 100 * 100 - 100
    upstreams = [f"s{above + (at + k) % 100}" for k in (0, 1, 7)] if above >= 0 else []
    workflow.add(Step(f"s{at}", nothing, depends_on=upstreams))
workflow.add(Step("last", last, depends_on=[f"s{STEPS - 2}"], retries=0))
"""

Case = TypeVar("Case")
Figure = float | str | None


@dataclass(frozen=True)
class Bar:
    """What a figure may be at most, or must be at least."""

    of: str
    limit: float
    at_least: bool = False

    def missed(self, figures: Mapping[str, Figure]) -> bool:
        """Tell whether the figure is on the wrong side; one that was not measured is on none."""
        value = figures[self.of]
        if not isinstance(value, int | float):
            return False
        return value < self.limit if self.at_least else value > self.limit

    def __str__(self) -> str:
        return f"{self.of} {'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True)
class Row:
    """One line of the table; `more` is for the JSON alone."""

    case: str
    figures: Mapping[str, Figure]
    bars: Sequence[Bar] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def missed(self) -> list[str]:
        """Give the bars that are missed, as text."""
        return [str(bar) for bar in self.bars if bar.missed(self.figures)]

    def cells(self) -> list[str]:
        """Give the row as it is shown."""
        bars = ", ".join(f"{bar}{' ✗' * bar.missed(self.figures)}" for bar in self.bars)
        return [self.case, *map(figure, self.figures.values()), bars or "–"]


def figure(value: Figure) -> str:
    """Show a number by three significant digits, as nobody can repeat more."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    digits = max(0, 2 - floor(log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"


def fresh(
    words: Sequence[str],
    folder: Path,
    *,
    python: str | None = None,
    environ: Mapping[str, str] | None = None,
    limit_s: float | None = None,
    code: int = 0,
) -> str:
    """Run Python anew in a folder, ours or another, with none of our settings; gives its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    process = subprocess.Popen(
        [python or sys.executable, *words],
        cwd=folder,
        env=kept | ({} if python else {"PYTHONPATH": str(ROOT)}) | dict(environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=limit_s)
    finally:
        with suppress(ProcessLookupError):  # what it leaves behind goes too: one peer's server
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode != code:
        raise RuntimeError(f"'{' '.join(words)}' ended with {process.returncode}: {err[-2000:]}")
    return out


def seconds_of(words: Sequence[str], folder: Path, *, code: int = 0) -> float:
    """Measure a whole process of ours, its start included."""
    begun = time.perf_counter()
    fresh(words, folder, code=code)
    return time.perf_counter() - begun


def once(what: str, shape: str, steps: int, place: str, *more: str) -> dict[str, Any]:
    """Measure one run by `_once.py`, in an empty folder."""
    with tempfile.TemporaryDirectory(dir=place, prefix="bench-") as folder:
        words = [ONCE, what, shape, str(steps), str(WORKERS), *more]
        found: dict[str, Any] = json.loads(fresh(words, Path(folder)))
    return found


def write_workflow(folder: Path, name: str, text: str) -> None:
    """Make a project with one workflow."""
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines" / f"{name}.py").write_text(text, "utf-8")


def write_big(folder: Path, steps: int, wanted: str = ".") -> None:
    """Make a project with a layered workflow, whose last step fails where no file `wanted` is."""
    write_workflow(folder, "big", BIG.replace("STEPS", str(steps)).replace("WANTED", wanted))


def in_turn(repeat: int, cases: Mapping[Case, Callable[[], float]]) -> dict[Case, list[float]]:
    """Measure each case as often as told, in turn: what disturbs the machine disturbs all alike."""
    taken: dict[Case, list[float]] = {case: [] for case in cases}
    for _ in range(repeat):
        for case, measure in cases.items():
            taken[case].append(measure())
    return taken


def per_step_us(few: Sequence[float], many: Sequence[float], steps: int) -> float:
    """Give the microseconds a step costs beyond what starting and ending a run does."""
    return (median(many) - median(few)) / steps * 1e6


def ratio(ours: float, base: float) -> float | None:
    """Compare, unless the machine was so busy that few steps took longer than many."""
    return ours / base if ours > 0 and base > 0 else None


def machine(place: str) -> dict[str, str]:
    """Say what was measured on; no names, no paths."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    kinds = {Path(mounted): kind for _, mounted, kind, *_ in mounts}
    where = Path(place).resolve()
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "file system": next(kinds[path] for path in (where, *where.parents) if path in kinds),
        "sync": f"{figure(1000 * sync_s(place))} ms",
    }


def sync_s(place: str) -> float:
    """Measure what no durable commit can go below: a page appended and synced."""
    taken = []
    with tempfile.TemporaryFile(dir=place, buffering=0) as file:
        for _ in range(50):
            begun = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file)
            taken.append(time.perf_counter() - begun)
    return median(taken)


def main(
    question: str,
    rows: Callable[[argparse.Namespace], Iterable[Row]],
    arguments: Callable[[argparse.ArgumentParser], object] = lambda _: None,
    *,
    repeat: int = 3,
) -> int:
    """Measure, print each row as it is found, write the JSON; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        description=question, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=repeat, help=f"times each ({repeat})")
    parser.add_argument("--dir", default="/var/tmp", help="where to work: a disk (/var/tmp)")  # noqa: S108 - by convention no RAM disk
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments(parser)
    options = parser.parse_args()
    found: list[Row] = []
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # cleans up, as Ctrl-C does
    try:
        for row in rows(options):
            if not found:
                print(_line(row, ["", *row.figures, "bar"]))
            print(_line(row, row.cells()), flush=True)
            found.append(row)
    finally:
        signal.signal(signal.SIGTERM, before)
    if options.json and found:
        told = {
            "question": question.partition("\n")[0],
            "machine": machine(options.dir),
            "columns": ["", *found[0].figures, "bar"],
            "rows": [
                {
                    "case": row.case,
                    **row.figures,
                    "cells": row.cells(),
                    "missed": row.missed(),
                    **row.more,
                }
                for row in found
            ],
        }
        options.json.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return int(any(row.missed() for row in found))


def _line(row: Row, cells: Sequence[str]) -> str:
    case, *figures, bars = cells
    widths = [max(11, len(head) + 2) for head in row.figures]
    shown = [f"{one:>{width}}" for one, width in zip(figures, widths, strict=True)]
    return f"{case:<34}{''.join(shown)}  {bars}"
