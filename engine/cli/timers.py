"""`schedule install` and `remove`: the units of this project follow their workflows."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.cli import project
from engine.cli.console import print_result
from engine.cli.unit_place import (
    Made,
    Place,
    foreign,
    not_in_force,
    print_next,
    say_none,
    told_foreign,
)
from engine.cli.writing import writing
from engine.definitions import load
from engine.definitions.loader import file_of
from engine.errors import EngineError, UsageError
from engine.model import Definition
from engine.schedule import systemctl
from engine.schedule.installed import (
    project_of,
    put,
    put_back,
)
from engine.schedule.watch_units import WATCH
from engine.session.environment import this_user
from engine.text import printable


def install(parsed: argparse.Namespace) -> int:
    """Install a workflow's units, or bring all that are installed in step with the files."""
    place = Place(parsed)
    if name := parsed.name:
        made = place.made(name) if name == WATCH else place.made_of(load(name, place.pipelines))
        assert made is not None
        _check_systemd(place, made.cron)
        there = place.installed()
        if _is_in_force(place, made, there.get(name)):
            _say_in_step(place, name, made)
            print_next(made.definition)
        else:
            _put(place, name, made, there.get(name, {}))
        for other in there:
            if other != WATCH and file_of(other, place.pipelines) is None:
                print_result(f"'{printable(other)}' is gone: `schedule install` removes its units")
        return 0
    there = place.installed()
    if not there:
        say_none(place)
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
    elif _is_in_force(place, made, there):
        _say_in_step(place, name, made)
    else:
        _put(place, name, made, there)
    return 0


def _is_in_force(place: Place, made: Made, there: Mapping[str, str] | None) -> bool:
    return made.files == there and not not_in_force(place, made)


def _say_in_step(place: Place, name: str, made: Made) -> None:
    with _store(place) as note:
        note(name, made.definition)
    print_result(f"the units of '{printable(name)}' are in step")


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
                    hint=_may_write(place, error) + "install them again",
                ) from error
            if isinstance(error, EngineError):
                error.message += f"; {left}"
            raise
    done = "" if there == made.files else "changed and " if there else "installed and "
    print_result(f"{done}started: {place.folder / made.timer}")
    print_next(made.definition)


def _may_write(place: Place, error: OSError) -> str:
    """Say what lets the folder of units be written, before the same command again."""
    if isinstance(error, PermissionError) and not place.system:
        return f"make '{place.folder}' yours to write, then "
    return "mend that, then "


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
    if not (found := foreign(place, files, there)):
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
    raise UsageError(told_foreign(found), hint=hint)


def remove(parsed: argparse.Namespace) -> int:
    """Stop and remove a workflow's units, or all of this project's."""
    place = Place(parsed)
    there = place.installed()
    chosen = {parsed.name: there.get(parsed.name)} if parsed.name else there
    if not there or None in chosen.values():
        what = f"no units of '{printable(parsed.name)}'" if parsed.name else "no units"
        print_result(f"{what} in {place.folder} are of this project and home")
        if parsed.name and _forgotten(place, parsed.name):
            print_result(f"forgotten: no slot of '{printable(parsed.name)}' is waited for any more")
        return 0
    _check_systemd(place)
    for name, files in chosen.items():
        _take_away(place, name, files or {})
    return 0


def _forgotten(place: Place, name: str) -> bool:
    """Forget the schedule of a workflow that has no units; whether there was one to forget."""
    from store.database import is_there, path_of

    if not is_there(path_of(place.paths.store_url)):
        return False
    with _store(place) as note:
        return note(name, None)


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
                hint=_may_write(place, error) + "remove them again",
            ) from error
        systemctl.systemctl("daemon-reload", system=place.system)
        note(name, None)
    print_result(f"stopped and removed: the units of '{printable(name)}'")


@contextmanager
def _store(place: Place) -> Iterator[Callable[[str, Definition | None], bool]]:
    """Open the store, which may refuse; gives what notes a workflow's schedule, or forgets it.

    That tells whether there was one to forget.
    """
    from engine.session.schedules.calendars import facts, noted
    from store import slots

    environment = project.environment_of(place.parsed)

    def note(name: str, of: Definition | None) -> bool:
        at_us = environment.now_us
        with database.write() as cursor:
            if of is None:
                return slots.forget(cursor, name)
            slots.note(cursor, name, noted(of), facts(of), at_us)
            return False

    with writing(environment) as database:
        yield note


def _check_systemd(place: Place, cron: str = "") -> None:
    """Refuse what could not work: no systemd, not root, or units that end with the session."""
    if place.system and os.geteuid() != 0:
        raise UsageError("the machine's units are root's to change", hint="use sudo, or --user")
    user, why = this_user(), systemctl.reachable(system=place.system)
    if not place.system and (not why or systemctl.is_booted()) and not systemctl.lingers(user):
        raise UsageError(
            f"units of the user '{user}' would end as '{user}' logs out",
            hint=f"run: loginctl enable-linger {user}",
        )
    if why:
        hint = f"without systemd, put this into a crontab:\n{cron}" if cron else ""
        raise systemctl.NoSystemd(f"systemd does not answer: {why}", hint=hint)
