"""`schedule verify`: whether the units are those of their workflows, and when they are next due."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from engine.cli import project
from engine.cli.console import print_result
from engine.cli.unit_place import (
    Place,
    foreign,
    not_in_force,
    print_next,
    say_none,
    told_foreign,
)
from engine.clock import SystemClock
from engine.definitions import load
from engine.errors import UsageError
from engine.model import Definition
from engine.moments import microseconds
from engine.schedule.installed import (
    added_to,
    difference,
)
from engine.schedule.verify import NOT_VERIFIED, verify
from engine.schedule.watch_units import WATCH
from engine.text import printable


def verify_units(parsed: argparse.Namespace) -> int:
    """Hold units against systemd and against those installed; 1 if something is wrong."""
    place = Place(parsed)
    there = place.installed()
    names = [parsed.name] if parsed.name else list(there)
    if not names:
        say_none(place)
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
        _print_pause(place, name)
    return 1 if problems else 0


def _problems(place: Place, name: str, there: Mapping[str, str] | None) -> Iterator[str]:
    """Give what is wrong with a workflow's units; what is right is said."""
    if there or name == WATCH:
        made = place.made(name)
    else:
        made = place.made_of(load(name, place.pipelines))
    if made is None:
        told = f"the units of '{printable(name)}' are installed, and it has no schedule any more"
        yield f"{told}: `schedule install` removes them"
        yield difference(there or {}, {})
        return
    found = verify(made.files)
    found += [
        f"'{printable(str(file))}' changes the unit beside it"
        for file in added_to(place.folder, there or ())
    ]
    yield from found
    if there is not None and there != made.files:
        mends = "`schedule install` brings them in step"
        yield f"the units of '{printable(name)}' are not {made.whose}: {mends}"
        yield difference(there, made.files)
    elif there is not None and (why := not_in_force(place, made)):
        yield why
    elif there is None and (other := foreign(place, made.files, {})):
        yield told_foreign(other)
    elif not found:
        state = "" if there else "; they are not installed"
        print_result(f"the units of '{printable(name)}' are right{state}")
    print_next(made.definition)


def _print_pause(place: Place, name: str) -> None:
    """Say of a paused schedule that it is: no slot of it gets a run."""
    from store.database import is_there, path_of

    if not is_there(path_of(place.paths.store_url)):
        return
    from engine.cli.reading import reading_history
    from engine.session.schedules import pausing

    with reading_history(place.paths) as history:
        pause = history.pauses(microseconds(SystemClock().utc())).get(name)
        tz = history.zone_name(name) or None
    if pause is not None:
        told = pausing.told(pause, Definition(name, (), tz=tz))
        mask = project.secrets_of(place.paths).mask
        print_result(printable(mask(f"'{name}' is {told}")))
