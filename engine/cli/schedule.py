"""`schedule`: a workflow's units and cron line, installed and removed; its pauses."""

from __future__ import annotations

import argparse

from engine.cli import pausing, timers, unit_checks
from engine.cli.console import print_result
from engine.cli.unit_place import Place
from engine.definitions import load
from engine.errors import UsageError
from engine.schedule.units import show
from engine.schedule.watch_units import WATCH, show_watch

_CALLS = {
    "install": timers.install,
    "remove": timers.remove,
    "verify": unit_checks.verify_units,
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
    if parsed.watch:
        return _watch(parsed)
    if not parsed.name and parsed.what in ("show", "pause", "unpause"):
        raise UsageError(f"which schedule to {parsed.what} is not said", hint="name a workflow")
    if parsed.what == "show":
        place = Place(parsed)
        print_result(show(load(parsed.name, place.pipelines), **place.where))
        return 0
    return _CALLS[parsed.what](parsed)


def _watch(parsed: argparse.Namespace) -> int:
    """Do it with the timer of `watch`: its units stand in the place of a workflow's."""
    if parsed.name or parsed.what in ("pause", "unpause"):
        raise UsageError(
            "--watch is the timer of `watch`, not of a workflow, and is not paused",
            hint="`schedule install --watch` and `schedule remove --watch` start and stop it",
        )
    if parsed.what == "show":
        print_result(show_watch(**Place(parsed).where))
        return 0
    parsed.name = WATCH
    return _CALLS[parsed.what](parsed)
