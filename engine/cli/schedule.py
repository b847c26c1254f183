"""`schedule`: a workflow's units and cron line, installed and removed; its pauses."""

from __future__ import annotations

import argparse

from engine.cli import pausing, timers
from engine.cli.console import print_result
from engine.definitions import load
from engine.errors import UsageError
from engine.schedule.units import show

_CALLS = {
    "install": timers.install,
    "remove": timers.remove,
    "verify": timers.verify_units,
    "pause": pausing.pause,
    "unpause": pausing.unpause,
}


_TAKERS = {  # which words take an option; others take no notice of it, and so refuse it
    "until": ("pause",),
    "reason": ("pause",),
    "user": ("show", "install", "verify", "remove"),
    "system": ("show", "install", "verify", "remove"),
}


def schedule(parsed: argparse.Namespace) -> int:
    """Do what is asked for with a workflow's schedule."""
    for option, takers in _TAKERS.items():
        if getattr(parsed, option) and parsed.what not in takers:
            words = ", ".join(f"`schedule {word}`" for word in takers)
            raise UsageError(
                f"`schedule {parsed.what}` does not take --{option}", hint=f"it belongs to {words}"
            )
    if not parsed.name and parsed.what in ("show", "pause", "unpause"):
        raise UsageError(f"which schedule to {parsed.what} is not said", hint="name a workflow")
    if parsed.what == "show":
        place = timers.Place(parsed)
        print_result(show(load(parsed.name, place.pipelines), **place.where))
        return 0
    return _CALLS[parsed.what](parsed)
