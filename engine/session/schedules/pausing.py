"""Schedules that are paused: what is said of it, whom it holds, pausing after too many failures."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from engine.alerts.channels import channels
from engine.session.telling import telling_of
from engine.session.zones import clock_time, slot_of
from engine.slots import PAUSED_BY_ITSELF, paused_by
from engine.text import shell_line
from store import pauses

if TYPE_CHECKING:
    from engine.model import Definition
    from engine.session.environment import Environment
    from store.connection import Database

logger = logging.getLogger("engine.run")


def reason(pause: pauses.Pause) -> str:
    """Say why there is no run for a slot within a pause."""
    return paused_by(pause.paused_by, pause.reason)


def told(pause: pauses.Pause, definition: Definition) -> str:
    """Say of a pause who made it, how long it lasts, and how it is ended."""
    until = slot_of(definition, pause.until)
    end = f"until {clock_time(until)}" if until else f"until `schedule unpause {pause.workflow}`"
    return f"{reason(pause)} ({end})"


def mention(database: Database, environment: Environment, definition: Definition) -> None:
    """Say after a run by hand that the schedule is paused: who has mended it may not know."""
    with database.read() as cursor:
        pause = pauses.current(cursor, definition.name, environment.now_us)
    if pause is not None:
        logger.warning("the schedule of %s is %s", definition.name, told(pause, definition))


def after_failures(
    database: Database, environment: Environment, name: str, most: int | None
) -> None:
    """Pause a schedule, and queue an alert of that, if `most` runs in a row have failed."""
    if most is None:
        return
    why = f"{most} scheduled runs in a row failed" if most > 1 else "a scheduled run failed"
    new = pauses.Pause(
        workflow=name,
        paused_at=environment.now_us,
        paused_by=PAUSED_BY_ITSELF,
        until=None,
        reason=why,
        ended_at=None,
    )
    facts = _facts(environment, name, f"is paused: {why}")
    configured = channels(environment.secrets.setting)
    if pauses.pause_if_failing(database, new, most, facts, configured):
        logger.warning("%s; `schedule unpause %s` ends that", facts["headline"], name)


def remind(database: Database, environment: Environment, name: str) -> None:
    """Tell again of a schedule that has paused itself: nobody wanted that.

    As often as incidents are reminded of; without runs these are silent.
    """
    now_us = environment.now_us
    with database.read() as cursor:
        pause = pauses.current(cursor, name, now_us)
    if pause is None or pause.paused_by != PAUSED_BY_ITSELF:
        return
    how = telling_of(environment)
    if how.channels:
        facts = _facts(environment, name, f"is still paused: {pause.reason}")
        pauses.remind(database, pause, facts, how.channels, (now_us, how.quiet_us))


def _facts(environment: Environment, name: str, what: str) -> dict[str, Any]:
    command = shell_line([*environment.command, "schedule", "unpause", name])
    return {
        "headline": f"the schedule of {name} {what}",
        "body": "Nothing is run by the schedule until the pause is ended.",
        "ways": [("to end the pause, once all is mended", command)],
    }
