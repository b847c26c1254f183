"""`incidents`: the troubles that go on, and with `--all` those that are over."""

from __future__ import annotations

import argparse

from engine.cli import project
from engine.cli.console import colour, print_json, print_result, width
from engine.cli.reading import load_reading, reading_history
from engine.clock import SystemClock
from engine.reports.lists import incident_table
from engine.text import printable


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
        of = f" of '{printable(parsed.name)}'" if parsed.name else ""
        print_result(f"no {'' if parsed.all else 'open '}incidents{of}")
        return 0
    now = SystemClock().utc()
    print_result(incident_table(rows, now=now, zones=zones, width=width(), colour=colour()))
    return 0
