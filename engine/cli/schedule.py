"""`schedule`: systemd units and the cron line for a workflow."""

from __future__ import annotations

import argparse

from engine.cli import timers
from engine.cli.console import print_result
from engine.definitions import load
from engine.errors import UsageError
from engine.schedule.units import show


def schedule(parsed: argparse.Namespace) -> int:
    """Do what is asked for with a workflow's units."""
    if parsed.what == "show":
        if not parsed.name:
            raise UsageError("whose units to show is not said", hint="name a workflow")
        place = timers.Place(parsed)
        print_result(show(load(parsed.name, place.pipelines), **place.where))
        return 0
    calls = {"install": timers.install, "remove": timers.remove, "verify": timers.verify_units}
    return calls[parsed.what](parsed)
