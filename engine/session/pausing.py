"""Schedules that are paused: what is said of it, and pausing after too many failures."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine.alerts.channels import channels
from engine.session.asked import clock_time, slot_of
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


def remind(database: Database, environment: Environment, definition: Definition) -> None:
    """Say after a run by hand that the schedule is paused: who has mended it may not know."""
    with database.read() as cursor:
        now_us = environment.clock.stamp(environment.clock.now())
        pause = pauses.current(cursor, definition.name, now_us)
    if pause is not None:
        logger.warning("the schedule of %s is %s", definition.name, told(pause, definition))


def after_failures(
    database: Database, environment: Environment, name: str, most: int | None
) -> None:
    """Pause a schedule, and queue an alert of that, if `most` runs in a row have failed."""
    if most is None:
        return
    clock = environment.clock
    why = f"{most} scheduled run{'s' if most > 1 else ''} in a row failed"
    new = pauses.Pause(
        workflow=name,
        paused_at=clock.stamp(clock.now()),
        paused_by=PAUSED_BY_ITSELF,
        until=None,
        reason=why,
        ended_at=None,
    )
    headline = f"the schedule of {name} is paused: {why}"
    command = shell_line([*environment.command, "schedule", "unpause", name])
    body = "No slot gets a run until that is ended."
    facts = {
        "headline": headline,
        "body": body,
        "ways": [("to end it, once all is mended", command)],
    }
    configured = channels(environment.secrets.setting)
    if pauses.pause_if_failing(database, new, most, facts, configured):
        logger.warning("%s; `schedule unpause %s` ends that", headline, name)
