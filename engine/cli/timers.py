"""`schedule install`, `remove` and `verify`: the units of this project, and their workflows."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import islice

from engine.cli import project
from engine.cli.console import print_result, shown
from engine.cli.writing import writing
from engine.clock import SystemClock
from engine.definitions import find_all, load
from engine.definitions.loader import file_of
from engine.errors import EngineError, UsageError
from engine.model import Definition
from engine.schedule import systemctl
from engine.schedule.firings import firings, zone_of
from engine.schedule.installed import difference, folder_of_units, installed, write
from engine.schedule.reading import schedule_of
from engine.schedule.units import Installation, cron_line, unit_stem, units
from engine.schedule.verify import NOT_VERIFIED, verify
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
            "user": getpass.getuser() if self.system else None,
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


def install(parsed: argparse.Namespace) -> int:
    """Install a workflow's units, or bring all that are installed in step with the files."""
    place = Place(parsed)
    if parsed.name:
        definition = load(parsed.name, place.pipelines)
        files = units(definition, **place.where)
        _check_systemd(place, definition)
        _put(place, definition, files, place.installed().get(parsed.name, {}))
        return 0
    there = place.installed()
    if not there:
        _say_none(place)
        return 0
    _check_systemd(place)
    code = 0
    for name, files in there.items():
        code = max(code, _step(place, name, files))
    return code


def _step(place: Place, name: str, there: Mapping[str, str]) -> int:
    """Bring one workflow's units in step; one that cannot be loaded keeps what it has."""
    try:
        definition = place.wanted(name)
        files = units(definition, **place.where) if definition else {}
    except UsageError as error:
        told = f"'{name}' is broken, and its units stay as they are: {error.message}"
        print_result(printable(told.splitlines()[0]))
        return 1
    if definition is None:
        _take_away(place, name, there)
    elif files == there and systemctl.is_enabled(f"{unit_stem(name)}.timer", system=place.system):
        print_result(f"the units of '{printable(name)}' are in step")
    else:
        _put(place, definition, files, there)
    return 0


def _put(
    place: Place, definition: Definition, files: Mapping[str, str], there: Mapping[str, str]
) -> None:
    name, timer = definition.name, f"{unit_stem(definition.name)}.timer"
    _refuse_foreign(place, files, there)
    try:
        for file, text in files.items():
            if there.get(file) != text:
                write(place.folder, file, text)
    except OSError as error:
        raise EngineError(
            f"the units of '{name}' cannot be written to '{place.folder}': {error.strerror}",
            hint="install them as root, or with --user",
        ) from error
    systemctl.systemctl("daemon-reload", system=place.system)
    systemctl.systemctl("enable", "--now", "--", timer, system=place.system)
    _note(place, definition)
    what = "changed and started" if there else "installed and started"
    print_result(f"{what}: {place.folder / timer}")
    _print_next(definition)


def _refuse_foreign(place: Place, files: Mapping[str, str], there: Mapping[str, str]) -> None:
    for file in files:
        if file not in there and (place.folder / file).exists():
            raise UsageError(
                f"'{place.folder / file}' is there, and is not of this project and home",
                hint="remove it by hand if nothing needs it, or rename the workflow",
            )


def remove(parsed: argparse.Namespace) -> int:
    """Stop and remove a workflow's units, or all of this project's."""
    place = Place(parsed)
    there = place.installed()
    chosen = {parsed.name: there.get(parsed.name)} if parsed.name else there
    if not there or None in chosen.values():
        what = f"no units of '{printable(parsed.name)}'" if parsed.name else "no units"
        print_result(f"{what} in {place.folder} are of this project and home")
        if parsed.name and _note(place, parsed.name):
            print_result(f"forgotten: no slot of '{printable(parsed.name)}' is waited for any more")
        return 0
    _check_systemd(place)
    for name, files in chosen.items():
        _take_away(place, name, files or {})
    return 0


def _take_away(place: Place, name: str, files: Mapping[str, str]) -> None:
    timers = [file for file in files if file.endswith(".timer")]
    if timers:
        systemctl.systemctl("disable", "--now", "--", *timers, system=place.system)
    for file in files:
        (place.folder / file).unlink(missing_ok=True)
    systemctl.systemctl("daemon-reload", system=place.system)
    _note(place, name)
    print_result(f"stopped and removed: the units of '{printable(name)}'")


def _note(place: Place, of: Definition | str) -> bool:
    """Note in the store a schedule that is installed; forget, by its name, one that is removed.

    Gives whether there was one to forget.
    """
    from engine.session.calendars import facts, noted
    from store import slots
    from store.database import is_there, path_of

    if isinstance(of, str) and not is_there(path_of(place.paths.store_url)):
        return False
    environment = project.environment_of(place.parsed)
    at_us = environment.clock.stamp(environment.clock.now())
    with writing(environment) as database, database.write() as cursor:
        if isinstance(of, str):
            return slots.forget(cursor, of)
        slots.note(cursor, of.name, noted(of), facts(of), at_us)
        return False


def _check_systemd(place: Place, definition: Definition | None = None) -> None:
    """Refuse what could not work: no systemd, not root, or units that end with the session."""
    if place.system and os.geteuid() != 0:
        raise UsageError("the machine's units are root's to change", hint="use sudo, or --user")
    user, why = getpass.getuser(), systemctl.reachable(system=place.system)
    if not place.system and (not why or systemctl.is_booted()) and not systemctl.lingers(user):
        raise UsageError(
            f"units of the user '{user}' would end as '{user}' logs out",
            hint=f"run: loginctl enable-linger {user}",
        )
    if why:
        line = cron_line(definition, **place.where) if definition else ""
        hint = f"without systemd, put this into a crontab: {line}" if line else ""
        raise systemctl.NoSystemd(f"systemd does not answer: {why}", hint=hint)


def _say_none(place: Place) -> None:
    print_result(f"no units in {place.folder} are of this project and home")
    for found in find_all(place.pipelines):
        if found.definition and found.definition.schedule:
            print_result(f"'{printable(found.name)}' has a schedule: name it to install it")


def verify_units(parsed: argparse.Namespace) -> int:
    """Hold units against systemd and against those installed; 1 if something is wrong."""
    place = Place(parsed)
    there = place.installed()
    names = [parsed.name] if parsed.name else list(there)
    if not names:
        _say_none(place)
        return 0
    problems = 0
    for name in names:
        for problem in _problems(place, name, there.get(name)):
            problems += problem != NOT_VERIFIED
            print_result(problem)
        _print_pause(place, name)
    return 1 if problems else 0


def _problems(place: Place, name: str, there: Mapping[str, str] | None) -> Iterator[str]:
    """Give what is wrong with a workflow's units; what is right is said."""
    definition = place.wanted(name) if there else load(name, place.pipelines)
    if definition is None:
        yield f"the units of '{printable(name)}' are installed, and it has no schedule any more"
        yield difference(there or {}, {})
        return
    files = units(definition, **place.where)
    found = verify(files)
    yield from found
    if there is not None and there != files:
        yield f"the units of '{printable(name)}' are not those of its file"
        yield difference(there, files)
    elif there is not None and not systemctl.is_enabled(
        timer := f"{unit_stem(name)}.timer", system=place.system
    ):
        yield f"'{timer}' is not enabled, or not started: `schedule install` does both"
    elif not found:
        state = "" if there else "; they are not installed"
        print_result(f"the units of '{printable(name)}' are right{state}")
    _print_next(definition)


def _print_pause(place: Place, name: str) -> None:
    """Say of a paused schedule that it is: no slot of it gets a run."""
    from store.database import is_there, path_of

    if not is_there(path_of(place.paths.store_url)):
        return
    from engine.cli.reading import reading_history
    from engine.session import pausing

    clock = SystemClock()
    with reading_history(place.paths) as history:
        pause = history.pauses(clock.stamp(clock.now())).get(name)
    if pause is not None:
        definition = place.wanted(name) or Definition(name, ())
        print_result(printable(f"'{name}' is {pausing.told(pause, definition)}"))


def _print_next(definition: Definition) -> None:
    schedule = schedule_of(definition)
    zone = zone_of(schedule)
    slots = list(islice(firings(schedule, zone, SystemClock().utc()), NEXT_SHOWN))
    for slot in slots:
        print_result(f"next: {slot.astimezone(zone):%a %Y-%m-%d %H:%M:%S %Z} ({slot:%F %TZ})")
    if not slots:
        sys.stderr.write(shown("the schedule has no time that is still to come\n"))
