"""Where the units of this project are, what they are to be, and what is said of them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from engine.cli import project
from engine.cli.console import print_result, shown
from engine.clock import SystemClock
from engine.definitions import find_all, load
from engine.definitions.loader import file_of
from engine.model import Definition
from engine.schedule import systemctl
from engine.schedule.firings import firings, timers_zone_of
from engine.schedule.installed import (
    folder_of_units,
    installed,
    project_of,
)
from engine.schedule.reading import schedule_of
from engine.schedule.unit_parts import Installation
from engine.schedule.units import cron_line, units
from engine.schedule.watch_units import WATCH, watch_cron_line, watch_units
from engine.session.environment import this_user
from engine.text import printable

NEXT_SHOWN = 3


class Place:
    """Where this project's units are, and what they say of it."""

    def __init__(self, parsed: argparse.Namespace) -> None:
        self.parsed = parsed
        self.system = parsed.system or (not parsed.user and os.geteuid() == 0)
        self.paths = project.paths_of(parsed)
        self.pipelines = project.folder_of(parsed)
        self.folder = folder_of_units(os.environ, system=self.system)
        self.where: Installation = {
            "command": project.program_words(),
            "root": self.paths.root,
            "home": self.paths.home,
            "store_url": self.paths.store_url
            if parsed.store or os.environ.get("ENGINE_STORE")
            else None,
            "user": this_user() if self.system else None,
            "system": self.system,
        }
        if parsed.pipelines or os.environ.get("ENGINE_PIPELINES"):
            self.where["pipelines"] = self.pipelines

    def installed(self) -> dict[str, dict[str, str]]:
        """Give the installed unit files by workflow."""
        return installed(self.folder, self.paths.root, self.paths.home)

    def wanted(self, name: str) -> Definition | None:
        """Give a workflow that is to have units; none if it is gone or has no schedule."""
        if file_of(name, self.pipelines) is None:
            return None
        definition = load(name, self.pipelines)
        return definition if definition.schedule else None

    def made(self, name: str) -> Made | None:
        """Give what is to be installed of a workflow, or of the watch; none as `wanted`."""
        if name == WATCH:
            return Made(watch_units(**self.where), watch_cron_line(**self.where))
        definition = self.wanted(name)
        return None if definition is None else self.made_of(definition)

    def made_of(self, definition: Definition) -> Made:
        """Give what is to be installed of a workflow that must have a schedule."""
        files = units(definition, **self.where)
        return Made(files, cron_line(definition, **self.where), definition)


class Made(NamedTuple):
    """Unit files by name, what does the same without systemd, and the workflow if they run one."""

    files: Mapping[str, str]
    cron: str
    definition: Definition | None = None

    @property
    def timer(self) -> str:
        """Name the timer."""
        return next(name for name in self.files if name.endswith(".timer"))

    @property
    def whose(self) -> str:
        """Say what they are held against."""
        return "those of its file" if self.definition is not None else "as they would be made now"


def foreign(place: Place, files: Mapping[str, str], there: Mapping[str, str]) -> Path | None:
    """Give a file that has the name of one of ours and is none."""
    found = (place.folder / file for file in files if file not in there)
    return next((path for path in found if os.path.lexists(path)), None)


def told_foreign(found: Path) -> str:
    """Say whose a file is that stands in our way."""
    whose = project_of(found)
    of = f"; it is that of {whose}" if whose else ""
    return f"'{found}' is there, and is not of this project and home{of}"


def not_in_force(place: Place, made: Made) -> str:
    """Say why systemd does not go by units that are right; nothing if it does."""
    if not systemctl.is_enabled(made.timer, system=place.system):
        return f"'{made.timer}' is not enabled, or not started: `schedule install` does both"
    if systemctl.needs_reload(list(made.files), system=place.system):
        return f"systemd goes by '{made.timer}' as it was before: `schedule install` tells it"
    return ""


def say_none(place: Place) -> None:
    """Say that nothing of ours is installed, and what could be."""
    print_result(f"no units in {place.folder} are of this project and home")
    for found in find_all(place.pipelines):
        if found.definition and found.definition.schedule:
            print_result(f"'{printable(found.name)}' has a schedule: name it to install it")


def print_next(definition: Definition | None) -> None:
    """Print the next slots of a workflow, if units run one."""
    if definition is None:
        return
    schedule = schedule_of(definition)
    zone = timers_zone_of(schedule)
    slots = list(islice(firings(schedule, zone, SystemClock().utc()), NEXT_SHOWN))
    for slot in slots:
        print_result(f"next: {slot.astimezone(zone):%a %Y-%m-%d %H:%M:%S %Z} ({slot:%F %TZ})")
    if not slots:
        sys.stderr.write(shown("the schedule has no time that is still to come\n"))
