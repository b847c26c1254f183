"""`schedule install`, `remove` and `verify`: the units of this project, and their workflows."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

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
from engine.schedule.installed import (
    added_to,
    difference,
    folder_of_units,
    installed,
    project_of,
    put,
    put_back,
)
from engine.schedule.reading import schedule_of
from engine.schedule.units import Installation, cron_line, units
from engine.schedule.verify import NOT_VERIFIED, verify
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


def install(parsed: argparse.Namespace) -> int:
    """Install a workflow's units, or bring all that are installed in step with the files."""
    place = Place(parsed)
    if name := parsed.name:
        made = place.made(name) if name == WATCH else place.made_of(load(name, place.pipelines))
        assert made is not None
        _check_systemd(place, made.cron)
        there = place.installed()
        _put(place, name, made, there.get(name, {}))
        for other in there:
            if other != WATCH and file_of(other, place.pipelines) is None:
                print_result(f"'{printable(other)}' is gone: `schedule install` removes its units")
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
        made = place.made(name)
    except UsageError as error:
        told = f"'{name}' is broken, and its units stay as they are: {error.message}"
        print_result(printable(told.splitlines()[0]))
        return 1
    if made is None:
        _take_away(place, name, there)
    elif made.files == there and not _not_in_force(place, made):
        with _store(place) as note:
            note(name, made.definition)
        print_result(f"the units of '{printable(name)}' are in step")
    else:
        _put(place, name, made, there)
    return 0


def _put(place: Place, name: str, made: Made, there: Mapping[str, str]) -> None:
    """Install units, or leave those that were there; the store is asked before anything else."""
    _refuse_foreign(place, made.files, there)
    with _store(place) as note:
        try:
            put(place.folder, made.files, there)
            systemctl.systemctl("daemon-reload", system=place.system)
            systemctl.systemctl("enable", "--now", "--", made.timer, system=place.system)
            note(name, made.definition)
        except BaseException as error:
            left = _undone(place, name, made, there)
            if isinstance(error, OSError):
                raise EngineError(
                    f"the units of '{name}' cannot be written to '{place.folder}':"
                    f" {error.strerror}; {left}",
                    hint="install them as root, or with --user"
                    if isinstance(error, PermissionError)
                    else "mend that, then install them again",
                ) from error
            if isinstance(error, EngineError):
                error.message += f"; {left}"
            raise
    what = "changed and started" if there else "installed and started"
    print_result(f"{what}: {place.folder / made.timer}")
    _print_next(made.definition)


def _undone(place: Place, name: str, made: Made, there: Mapping[str, str]) -> str:
    """Take back an installation that failed; says how things are then."""
    with suppress(systemctl.SystemdFailed):
        if not there:
            systemctl.systemctl("disable", "--now", "--", made.timer, system=place.system)
    back = put_back(place.folder, made.files, there)
    with suppress(systemctl.SystemdFailed):
        systemctl.systemctl("daemon-reload", system=place.system)
    if not back:
        return f"some of its units are new now, others not: `schedule install {name}` mends that"
    return "its units are as they were" if there else "nothing is installed"


def _refuse_foreign(place: Place, files: Mapping[str, str], there: Mapping[str, str]) -> None:
    if not (found := _foreign(place, files, there)):
        return
    whose = project_of(found)
    if whose and Path(whose).is_dir():
        hint = "rename one of the two workflows: units are named by them"
    else:
        user = "" if place.system else "--user "
        timer = next(shlex.quote(file) for file in files if file.endswith(".timer"))
        each = " ".join(shlex.quote(str(place.folder / file)) for file in files)
        stop = f"systemctl {user}disable --now {timer}; rm -f {each}"
        hint = f"if nothing needs it, as after a project was moved:\n{stop}"
    raise UsageError(_told_foreign(found), hint=hint)


def _foreign(place: Place, files: Mapping[str, str], there: Mapping[str, str]) -> Path | None:
    """Give a file that has the name of one of ours and is none."""
    found = (place.folder / file for file in files if file not in there)
    return next((path for path in found if os.path.lexists(path)), None)


def _told_foreign(found: Path) -> str:
    whose = project_of(found)
    of = f"; it is that of {whose}" if whose else ""
    return f"'{found}' is there, and is not of this project and home{of}"


def remove(parsed: argparse.Namespace) -> int:
    """Stop and remove a workflow's units, or all of this project's."""
    place = Place(parsed)
    there = place.installed()
    chosen = {parsed.name: there.get(parsed.name)} if parsed.name else there
    if not there or None in chosen.values():
        what = f"no units of '{printable(parsed.name)}'" if parsed.name else "no units"
        print_result(f"{what} in {place.folder} are of this project and home")
        return 0
    _check_systemd(place)
    for name, files in chosen.items():
        _take_away(place, name, files or {})
    return 0


def _take_away(place: Place, name: str, files: Mapping[str, str]) -> None:
    timers = [file for file in files if file.endswith(".timer")]
    with _store(place) as note:
        if timers:
            systemctl.systemctl("disable", "--now", "--", *timers, system=place.system)
        try:
            for file in files:
                (place.folder / file).unlink(missing_ok=True)
        except OSError as error:
            raise EngineError(
                f"the units of '{name}' are stopped, and cannot be removed from '{place.folder}':"
                f" {error.strerror}",
                hint="remove them as root, or with --user",
            ) from error
        systemctl.systemctl("daemon-reload", system=place.system)
        note(name, None)
    print_result(f"stopped and removed: the units of '{printable(name)}'")


@contextmanager
def _store(place: Place) -> Iterator[Callable[[str, Definition | None], None]]:
    """Open the store, which may refuse; gives what notes a workflow's schedule, or forgets it."""
    from engine.session.calendars import facts, noted
    from store import slots

    environment = project.environment_of(place.parsed)

    def note(name: str, of: Definition | None) -> None:
        at_us = environment.clock.stamp(environment.clock.now())
        with database.write() as cursor:
            if of is None:
                slots.forget(cursor, name)
            else:
                slots.note(cursor, name, noted(of), facts(of), at_us)

    with writing(environment) as database:
        yield note


def _check_systemd(place: Place, cron: str = "") -> None:
    """Refuse what could not work: no systemd, not root, or units that end with the session."""
    if place.system and os.geteuid() != 0:
        raise UsageError("the machine's units are root's to change", hint="use sudo, or --user")
    if why := systemctl.reachable(system=place.system):
        hint = f"without systemd, put this into a crontab:\n{cron}" if cron else ""
        raise systemctl.NoSystemd(f"systemd does not answer: {why}", hint=hint)
    user = this_user()
    if not place.system and not systemctl.lingers(user):
        raise UsageError(
            f"units of the user '{user}' would end as '{user}' logs out",
            hint=f"run: loginctl enable-linger {user}",
        )


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
        try:
            for problem in _problems(place, name, there.get(name)):
                problems += problem != NOT_VERIFIED
                print_result(problem)
        except UsageError as error:
            if parsed.name:
                raise
            problems += 1  # of the others it can be told
            print_result(printable(f"'{name}' is broken: {error.message}".splitlines()[0]))
    return 1 if problems else 0


def _problems(place: Place, name: str, there: Mapping[str, str] | None) -> Iterator[str]:
    """Give what is wrong with a workflow's units; what is right is said."""
    if there or name == WATCH:
        made = place.made(name)
    else:
        made = place.made_of(load(name, place.pipelines))
    if made is None:
        yield f"the units of '{printable(name)}' are installed, and it has no schedule any more"
        yield difference(there or {}, {})
        return
    found = verify(made.files)
    found += [
        f"'{printable(str(file))}' changes the unit beside it"
        for file in added_to(place.folder, there or ())
    ]
    yield from found
    if there is not None and there != made.files:
        yield f"the units of '{printable(name)}' are not {made.whose}"
        yield difference(there, made.files)
    elif there is not None and (why := _not_in_force(place, made)):
        yield why
    elif there is None and (other := _foreign(place, made.files, {})):
        yield _told_foreign(other)
    elif not found:
        state = "" if there else "; they are not installed"
        print_result(f"the units of '{printable(name)}' are right{state}")
    _print_next(made.definition)


def _not_in_force(place: Place, made: Made) -> str:
    """Say why systemd does not go by units that are right; nothing if it does."""
    if not systemctl.is_enabled(made.timer, system=place.system):
        return f"'{made.timer}' is not enabled, or not started: `schedule install` does both"
    if systemctl.needs_reload(list(made.files), system=place.system):
        return f"systemd goes by '{made.timer}' as it was before: `schedule install` tells it"
    return ""


def _print_next(definition: Definition | None) -> None:
    if definition is None:
        return
    schedule = schedule_of(definition)
    zone = zone_of(schedule)
    slots = list(islice(firings(schedule, zone, SystemClock().utc()), NEXT_SHOWN))
    for slot in slots:
        print_result(f"next: {slot.astimezone(zone):%a %Y-%m-%d %H:%M:%S %Z} ({slot:%F %TZ})")
    if not slots:
        sys.stderr.write(shown("the schedule has no time that is still to come\n"))
