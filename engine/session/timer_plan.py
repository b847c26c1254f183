"""A timer's dry run: which slots would be run and which passed over, and the first run's plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from engine.model import Definition
from engine.moments import instant
from engine.schedule.catchup import decide
from engine.secrets import masked
from engine.session.deciding.request import RunRequest
from engine.session.environment import Environment
from engine.session.launch import run_workflow
from engine.session.schedules import pausing, slots
from engine.session.schedules.calendars import firings_of
from engine.slots import Catchup
from store import pauses
from store.database import is_there, open_reader, path_of

if TYPE_CHECKING:
    from engine.session.schedules.slots import Judged


def plan_scheduled(
    definition: Definition, request: RunRequest, environment: Environment
) -> dict[str, Any]:
    """Give the report of a dry run as `run_scheduled` would go about it now; writes nothing.

    Of a workflow with a schedule it has, beside the first run's plan, what would become of each
    slot that is due: in `slots` for programs, in `slots_told` for people.
    """
    how = _plan_slots if definition.schedule else _plan_unless_paused
    return how(definition, request, environment)


def _plan_slots(
    definition: Definition, request: RunRequest, environment: Environment
) -> dict[str, Any]:
    """Plan the first run, and say what would become of each slot that is due."""
    now = environment.now_us
    path = path_of(environment.paths.store_url)
    if is_there(path):
        with closing(open_reader(path)) as database:
            judged = slots.judge(database, definition, now)
            why = slots.why_none(database, definition, judged, now)
    else:
        judged = slots.judge(None, definition, now)
        why = slots.why_none(None, definition, judged, now)
    runs, passed = _all(definition, judged, now)
    first = replace(request, slot=runs[0] if runs else None)
    report = run_workflow(definition, first, environment)
    if not runs:
        none = "of the slots that are due none is to have a run"
        note = none if passed and judged.standing.pause is None else why
        report |= {"plan": [], "steps": [], "note": note}
    elif report["plan"]:
        report["note"] = f"scheduled for {slots.shown(definition, runs[0])}"
    rows = [(slot, "would run", "") for slot in runs]
    rows += [(slot, "passed over", reason) for slot, reason in passed]
    told: dict[str, Any] = {
        "slots": [
            {"slot": f"{instant(slot):%FT%TZ}", "what": what, "why": reason}
            for slot, what, reason in sorted(rows)
        ],
        "slots_told": list(_told(definition, runs, passed)),
        "note": report["note"],
    }
    return {**report, **masked(told, environment.secrets)}  # a pause's reason may hold one


def _plan_unless_paused(
    definition: Definition, request: RunRequest, environment: Environment
) -> dict[str, Any]:
    report = run_workflow(definition, request, environment)
    path, pause = path_of(environment.paths.store_url), None
    if is_there(path):
        with closing(open_reader(path)) as database, database.read() as cursor:
            pause = pauses.current(cursor, definition.name, environment.now_us)
    if pause is None:
        return report
    note = environment.secrets.mask(pausing.told(pause, definition))
    return report | {"plan": [], "steps": [], "note": note}


def _all(
    definition: Definition, judged: Judged, now: int
) -> tuple[list[int], list[tuple[int, str]]]:
    """Give all slots that would be run, one after the other, and those passed over."""
    due, firings = judged.due, firings_of(definition)
    runs: list[int] = []
    passed = list(due.passed)
    while due.slot is not None:
        runs.append(due.slot)
        if definition.catchup != Catchup.ALL:
            break
        due = decide(firings, due.slot, now, judged.rule)
        passed += due.passed
    return runs, passed


def _told(definition: Definition, runs: list[int], passed: list[tuple[int, str]]) -> Iterator[str]:
    for _, group in groupby(passed, key=lambda one: one[1]):
        yield slots.told(definition, list(group), "would be")
    if len(runs) > 1:
        last = slots.shown(definition, runs[-1])
        yield f"{len(runs)} slots would be run, one after the other, the last is {last}; the first:"
