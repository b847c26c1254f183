"""`schedule pause` and `unpause`: runs from a timer stop, and go on, by a row in the store."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.cli import project
from engine.cli.console import print_result
from engine.cli.writing import writing
from engine.definitions import file_of, load
from engine.errors import UsageError
from engine.moments import microseconds
from engine.text import printable

if TYPE_CHECKING:
    from engine.model import Definition
    from engine.session.environment import Environment

REASON_MAX = 500
YEAR_MAX = 9998  # else not all zones have that time


def pause(parsed: argparse.Namespace) -> int:
    """Pause a workflow's schedule, until a date or until it is ended."""
    from engine.session.schedules import pausing
    from store import pauses

    definition = _named(parsed)
    environment = project.environment_of(parsed)
    now = environment.clock.utc()
    new = pauses.Pause(
        workflow=definition.name,
        paused_at=environment.now_us,
        paused_by=environment.user,
        until=None if parsed.until is None else _until(definition, parsed.until, now),
        reason=printable(environment.secrets.mask(parsed.reason or ""))[:REASON_MAX],
        ended_at=None,
    )
    with writing(environment) as database:
        pauses.pause(database, new)
    print_result(f"'{new.workflow}' is {pausing.told(new, definition)}")
    return 0


def unpause(parsed: argparse.Namespace) -> int:
    """End the pause of a workflow's schedule."""
    from engine.session.schedules import pausing
    from store import pauses

    environment = project.environment_of(parsed)
    name = _paused_name(parsed, environment)
    at_us = environment.now_us
    with writing(environment) as database:
        was = pauses.unpause(database, name, at_us=at_us, by=environment.user)
    if was is None:
        print_result(f"'{name}' is not paused")
        return 0
    reason = printable(environment.secrets.mask(pausing.reason(was)))
    print_result(f"'{name}' is no longer {reason}")
    return 0


def _paused_name(parsed: argparse.Namespace, environment: Environment) -> str:
    """Name the workflow whose pause is to end: one whose file is gone may be paused still."""
    from engine.cli.reading import reading_history
    from store.database import is_there, path_of

    try:
        return _named(parsed).name
    except UsageError:
        if not is_there(path_of(environment.paths.store_url)):
            raise
        now_us = environment.clock.stamp(environment.clock.now())
        with reading_history(environment.paths) as history:
            if parsed.name not in history.pauses(now_us):
                raise
        return str(parsed.name)


def _named(parsed: argparse.Namespace) -> Definition:
    """Load the workflow; a broken one may be paused all the same, then above all."""
    from engine.model import Definition

    folder = project.folder_of(parsed)
    try:
        return load(parsed.name, folder)
    except UsageError:
        if file_of(parsed.name, folder) is None or parsed.until is not None:
            raise
        return Definition(parsed.name, ())


def _until(definition: Definition, text: str, now: datetime) -> int:
    """Read a date, or a date and a time, in the workflow's zone."""
    from engine.session.zones import zone_of_definition

    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"--until {text!r} is no date", hint="write --until 2026-12-24, or '2026-12-24 18:00'"
        ) from None
    if at.year > YEAR_MAX:
        hint = "leave --until out to pause it for good"
        raise UsageError(f"--until {text} is too far ahead", hint=hint)
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone_of_definition(definition))
    if at.year == 1 or at.astimezone(UTC) <= now:  # of that year not all are moments in UTC
        raise UsageError(f"--until {text} is past", hint="give a date to come")
    return microseconds(at.astimezone(UTC))
