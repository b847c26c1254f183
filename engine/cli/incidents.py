"""`incidents`: the troubles that go on, and with `--all` those that are over."""

from __future__ import annotations

import argparse
from datetime import tzinfo
from typing import Any

from engine.cli import project
from engine.cli.console import print_json, print_result
from engine.cli.reading import load_reading, reading_history
from engine.clock import SystemClock
from engine.text import columns, cut, human_time, pad, printable

ERROR_SHOWN = 100


def incidents(parsed: argparse.Namespace) -> int:
    """List them, the oldest first."""
    from engine.session.zones import zone_of_workflow

    load_reading()
    paths = project.paths_of(parsed)
    mask = project.secrets_of(paths).mask
    with reading_history(paths) as history:
        rows = history.incidents(parsed.name, closed=parsed.all)
        zones = {
            name: zone_of_workflow(history, name) for name in {row["workflow"] for row in rows}
        }
    for row in rows:
        row["error"] = mask(row["error"])
    if parsed.json:
        print_json(rows)
        return 0
    if not rows:
        print_result("no incidents" if parsed.all else "no open incidents")
        return 0
    lines = [_cells(row, zones[row["workflow"]]) for row in rows]
    wide = [max(columns(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [pad(cell, width) for cell, width in zip(line, wide, strict=True)]
        print_result("  ".join(padded).rstrip())
    return 0


def _cells(row: dict[str, Any], zone: tzinfo | None) -> list[str]:
    now, until = SystemClock().utc(), row["closed_at"]
    since, end = (human_time(each, now, zone, says_zone=True) for each in (row["opened_at"], until))
    count = row["failures"]
    return [
        str(row["id"]),
        printable(" / ".join(word for word in (row["workflow"], row["step"]) if word)),
        f"{since} to {end}" if until else f"open since {since}",
        f"{count} failure{'s' if count != 1 else ''}, last run {row['last_run']}",
        cut(printable(row["error"]), ERROR_SHOWN),
    ]
