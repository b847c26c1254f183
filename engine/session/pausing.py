"""Schedules that are paused: what is said of it, whom it holds, pausing after too many failures."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import TYPE_CHECKING, Any

from engine.alerts.channels import channels
from engine.session import alerting
from engine.session.launch import run_workflow
from engine.session.opening import opened
from engine.session.reconciling import reconcile_all
from engine.session.telling import telling_of
from engine.session.zones import clock_time, slot_of
from engine.slots import PAUSED_BY_ITSELF, paused_by
from engine.text import shell_line
from store import pauses
from store.database import is_there, open_reader, path_of
from store.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model import Definition
    from engine.session.environment import Environment
    from engine.session.request import RunRequest
    from store.connection import Database

logger = logging.getLogger("engine.run")


def run_unless_paused(
    definition: Definition, request: RunRequest, environment: Environment
) -> Iterator[dict[str, Any]]:
    """Do what `run --scheduled` does for a workflow whose file names no schedule: it has no slots.

    Gives the run's report, or one without a run that says who paused it.
    """
    with opened(environment) as database:
        after_failures(database, environment, definition.name, definition.pause_after)
        with database.read() as cursor:
            pause = pauses.current(cursor, definition.name, environment.now_us)
        if pause is not None:
            reconcile_all(database, environment, definition=definition)
            alerting.deliver_due(database, History(database), environment, hint=False)
    if pause is None:
        yield run_workflow(definition, request, environment)
    else:
        yield nothing_to_do(definition, told(pause, definition), environment)


def plan_unless_paused(
    definition: Definition, request: RunRequest, environment: Environment
) -> dict[str, Any]:
    """Give the report of a dry run as `run_unless_paused` would go about it now; writes nothing."""
    report = run_workflow(definition, request, environment)
    path, clock = path_of(environment.paths.store_url), environment.clock
    pause = None
    if is_there(path):
        with closing(open_reader(path)) as database, database.read() as cursor:
            pause = pauses.current(cursor, definition.name, clock.stamp(clock.now()))
    if pause is None:
        return report
    note = environment.secrets.mask(told(pause, definition))
    return report | {"plan": [], "steps": [], "note": note}


def nothing_to_do(definition: Definition, why: str, environment: Environment) -> dict[str, Any]:
    """Give the report of a timer that starts no run; who gave a reason may not know all secrets."""
    return {
        "workflow": definition.name,
        "run_id": None,
        "dry_run": False,
        "nothing_to_do": environment.secrets.mask(why),
    }


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
