"""`incidents`: the troubles that go on, and with `--all` those that are over."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli import project
from engine.cli.console import print_json, print_result
from engine.cli.reading import load_reading, reading_history
from engine.clock import SystemClock
from engine.text import columns, cut, human_time, pad, printable

ERROR_SHOWN = 100


def incidents(parsed: argparse.Namespace) -> int:
    """List them, the oldest first."""
    load_reading()
    paths = project.paths_of(parsed)
    mask = project.secrets_of(paths).mask
    with reading_history(paths) as history:
        rows = history.incidents(parsed.name, closed=parsed.all)
    for row in rows:
        row["error"] = mask(row["error"])
    if parsed.json:
        print_json(rows)
        return 0
    if not rows:
        of = f" of '{printable(parsed.name)}'" if parsed.name else ""
        print_result(f"no {'' if parsed.all else 'open '}incidents{of}")
        return 0
    lines = [_cells(row) for row in rows]
    wide = [max(columns(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [pad(cell, width) for cell, width in zip(line, wide, strict=True)]
        print_result("  ".join(padded).rstrip())
    return 0


def _cells(row: dict[str, Any]) -> list[str]:
    now = SystemClock().utc()
    since, until = human_time(row["opened_at"], now), row["closed_at"]
    count = row["failures"]
    return [
        str(row["id"]),
        printable(" / ".join(word for word in (row["workflow"], row["step"]) if word)),
        f"{since} to {human_time(until, now)}" if until else f"open since {since}",
        f"{count} failure{'s' if count != 1 else ''}, last run {row['last_run']}",
        cut(printable(row["error"]), ERROR_SHOWN),
    ]
