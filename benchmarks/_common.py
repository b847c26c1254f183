"""What all benchmarks share: fresh processes that take turns, medians, a table, bars, JSON.

A benchmark is a file with a question (its docstring) and a function that gives rows, one by one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
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
OURS = ("ENGINE_", "KAHNBAN_", "SLACK_", "SMTP_", "PYTHONDONTWRITE")

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
    python: str = sys.executable,
    limit_s: float | None = None,
    fails: bool = False,
) -> str:
    """Run Python anew in a folder, with none of our settings; gives what it printed."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    done = subprocess.run(
        [python, *words],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(ROOT)},
        check=not fails,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if fails else None,
        timeout=limit_s,
        text=True,
    )
    return done.stdout


def once(what: str, shape: str, steps: int, place: str) -> dict[str, Any]:
    """Measure one run by `_once.py`, in an empty folder."""
    with tempfile.TemporaryDirectory(dir=place, prefix="bench-") as folder:
        words = [ONCE, what, shape, str(steps), str(WORKERS)]
        found: dict[str, Any] = json.loads(fresh(words, Path(folder)))
    return found


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
    }


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
    for row in rows(options):
        if not found:
            print(_line(["", *row.figures, "bar"]))
        print(_line(row.cells()), flush=True)
        found.append(row)
    if options.json:
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


def _line(cells: Sequence[str]) -> str:
    case, *figures, bars = cells
    return f"{case:<30}{''.join(f'{one:>13}' for one in figures)}  {bars}"
