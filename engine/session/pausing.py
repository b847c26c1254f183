"""Schedules that are paused: what is said of it, and pausing after too many failures."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine.alerts.channels import channels
from engine.session.asked import clock_time, slot_of
from store import pauses

if TYPE_CHECKING:
    from engine.model import Definition
    from engine.session.environment import Environment
    from store.connection import Database

BY_ITSELF = "pause_after"  # who paused it, where nobody did

logger = logging.getLogger("engine.run")


def reason(pause: pauses.Pause) -> str:
    """Say why there is no run for a slot within a pause."""
    why = f": {pause.reason}" if pause.reason else ""
    return f"paused by {pause.paused_by}{why}"


def told(pause: pauses.Pause, definition: Definition) -> str:
    """Say of a pause who made it, how long it lasts, and how it is ended."""
    until = slot_of(definition, pause.until)
    end = f"until {clock_time(until)}" if until else f"until `schedule unpause {pause.workflow}`"
    return f"{reason(pause)} ({end})"


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
        paused_by=BY_ITSELF,
        until=None,
        reason=why,
        ended_at=None,
    )
    facts = _facts(name, f"is paused: {why}")
    configured = channels(environment.secrets.setting)
    if pauses.pause_if_failing(database, new, most, facts, configured):
        logger.warning("%s; `schedule unpause %s` ends that", facts["headline"], name)


def remind(database: Database, environment: Environment, name: str) -> None:
    """Tell again of a schedule that has paused itself: nobody wanted that.

    As often as incidents are reminded of; without runs these are silent.
    """
    from engine.session.alerting import telling

    now_us = environment.clock.stamp(environment.clock.now())
    with database.read() as cursor:
        pause = pauses.current(cursor, name, now_us)
    if pause is None or pause.paused_by != BY_ITSELF:
        return
    told = telling(environment)
    if told.channels:
        facts = _facts(name, f"is still paused: {pause.reason}")
        pauses.remind(database, pause, facts, told.channels, (now_us, told.remind_after_us))


def _facts(name: str, what: str) -> dict[str, str]:
    return {
        "headline": f"the schedule of {name} {what}",
        "body": f"No slot gets a run until `schedule unpause {name}`.",
    }
