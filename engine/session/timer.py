"""What `run --scheduled` does: a timer's runs, of the slots that are due or of none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from engine.errors import SlotTaken
from engine.model import Definition
from engine.schedule.catchup import Due
from engine.session import alerting
from engine.session.deciding.request import RunRequest
from engine.session.environment import Environment
from engine.session.launch import run_workflow
from engine.session.opening import opened
from engine.session.reconciling import reconcile_all
from engine.session.schedules import pausing, slots
from engine.slots import Catchup
from store import pauses
from store import slots as stored_slots
from store.connection import Database
from store.history import History

logger = logging.getLogger("engine.run")


def run_scheduled(
    definition: Definition, request: RunRequest, environment: Environment
) -> Iterator[dict[str, Any]]:
    """Do what `run --scheduled` does; gives a report of each run.

    A workflow that is not to run, or has nothing due, gives a report without a run that says so.
    Raises as `run_workflow`.
    """
    how = _run_slots if definition.schedule else _run_unless_paused
    return how(definition, request, environment)


def _run_slots(
    definition: Definition, request: RunRequest, environment: Environment
) -> Iterator[dict[str, Any]]:
    """Run what is due by the workflow's schedule.

    Of `catchup="all"` one slot comes after the other until none is due: what becomes due meanwhile,
    too.
    """
    ran = False
    while True:
        due, why = _look(definition, environment)
        if due.slot is None:
            if not ran:
                yield _nothing(definition, why, environment)
            return
        if due.left:
            more = "slots are" if due.left > 1 else "slot is"
            logger.info("%d more %s due after this one", due.left, more)
        try:
            report = run_workflow(definition, replace(request, slot=due.slot), environment)
        except SlotTaken:
            continue  # by another timer, which has just begun its run
        ran = True
        yield report
        if "nothing_to_do" in report:
            _pass_over(
                definition, environment, due.slot, f"nothing to do: {report['nothing_to_do']}"
            )
        if definition.catchup != Catchup.ALL or report.get("status") in ("skipped", "cancelled"):
            return


def _look(definition: Definition, environment: Environment) -> tuple[Due, str]:
    """Decide about the slots in the store; gives what is due, or why nothing is."""
    with opened(environment) as database:
        pausing.after_failures(database, environment, definition.name, definition.pause_after)
        due, why = slots.settle(database, definition, environment.now_us)
        if due.slot is None:
            _in_place_of_a_run(database, definition, environment)
        return due, why


def _run_unless_paused(
    definition: Definition, request: RunRequest, environment: Environment
) -> Iterator[dict[str, Any]]:
    """Run a workflow whose file names no schedule: it has no slots, and may be paused."""
    with opened(environment) as database:
        pausing.after_failures(database, environment, definition.name, definition.pause_after)
        with database.read() as cursor:
            pause = pauses.current(cursor, definition.name, environment.now_us)
        if pause is not None:
            _in_place_of_a_run(database, definition, environment)
    if pause is None:
        yield run_workflow(definition, request, environment)
    else:
        yield _nothing(definition, pausing.told(pause, definition), environment)


def _in_place_of_a_run(
    database: Database, definition: Definition, environment: Environment
) -> None:
    """See to what others have left, as no run will."""
    from engine.session import pruning

    reconcile_all(database, environment, definition=definition)
    pausing.remind(database, environment, definition.name)
    alerting.deliver_due(database, History(database), environment, hint=False)
    pruning.after_run(database, environment, definition.name)


def _nothing(definition: Definition, why: str, environment: Environment) -> dict[str, Any]:
    """Give the report of a timer that starts no run; who gave a reason may not know all secrets."""
    return {
        "workflow": definition.name,
        "run_id": None,
        "dry_run": False,
        "nothing_to_do": environment.secrets.mask(why),
    }


def _pass_over(definition: Definition, environment: Environment, slot: int, reason: str) -> None:
    with opened(environment) as database, database.write() as cursor:
        stored_slots.pass_over(cursor, definition.name, [(slot, reason)], environment.now_us)
