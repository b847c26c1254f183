"""What is wrong with the schedules and runs of a store, as of now: for a person, or a monitor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.model import Definition
from engine.moments import instant, microseconds
from engine.session import own_limits
from engine.session.limits import Begun, moments_of
from engine.session.own_limits import OwnLimits
from engine.session.schedules import missing
from engine.session.schedules.calendars import as_noted
from engine.slots import PAUSED_BY_ITSELF, paused_by
from engine.text import human_duration, shell_line
from engine.usual import late_after_s

if TYPE_CHECKING:
    from engine.ports import Clock
    from engine.session.environment import Environment
    from store.connection import Database
    from store.history import History
    from store.pauses import Pause

STEPS_LOOKED_AT = 200  # of a run that is on: those that run come first


def look(database: Database, history: History, environment: Environment) -> dict[str, Any]:
    """Give what is missing, late, dead, paused by itself, undelivered; `ok` if nothing is.

    Changes nothing. A pause that a person made is meant, and not told of.

    Alerts are counted, also those given up within a day; each other is a list of
    what was found, with a `text` for people.
    """
    clock = environment.clock
    found: dict[str, Any] = {
        "missing": [_missing(one) for one in missing.look(database, environment)],
        "late": [],
        "dead": [],
        "paused": [],
        "undelivered": history.undelivered(),
        "given_up": len(history.given_up(clock.stamp(clock.now()))),
    }
    for name, pause in sorted(history.pauses(clock.stamp(clock.now())).items()):
        if pause.paused_by == PAUSED_BY_ITSELF:
            found["paused"].append(_paused(name, pause))
    noted = history.noted()
    for run in history.begun():
        if run.get("dead"):
            found["dead"].append(_dead(run))
        elif run["backfill"] is None:
            limits = own_limits.of_text(history.limits(run["run_id"]))
            known = _known(run["workflow"], noted, limits)
            found["late"] += _late_run(run, known, history, clock)
            found["late"] += _late_steps(history, run, limits, clock.utc())
    mask = environment.secrets.mask
    for kind in ("missing", "late", "dead", "paused"):
        for one in found[kind]:
            one["text"] = mask(one["text"])
    return {"ok": not any(found.values()), **found}


def _missing(one: missing.Missing) -> dict[str, Any]:
    return {
        "workflow": one.workflow,
        "slot": f"{instant(one.first):%FT%TZ}",
        "until": f"{instant(one.last):%FT%TZ}",
        "slots": one.count,
        "text": missing.sentence(one),
    }


def _dead(run: dict[str, Any]) -> dict[str, Any]:
    name, number = run["workflow"], run["run_id"]
    text = f"run {number} of {name} is not on: {run['note']}"
    return {"run_id": number, "workflow": name, "text": text}


def _paused(name: str, pause: Pause) -> dict[str, Any]:
    text = f"the schedule of {name} is {paused_by(pause.paused_by, pause.reason)}"
    since = f"{instant(pause.paused_at):%FT%TZ}"
    ends = shell_line(["schedule", "unpause", name])
    return {"workflow": name, "since": since, "text": f"{text}; `{ends}` ends that"}


def _known(
    name: str, noted: Mapping[str, tuple[str, str, Mapping[str, Any]]], limits: OwnLimits
) -> Definition:
    """Give what is known of a workflow without its file: its schedule, and the limits of a run."""
    if name in noted:
        calendar, zone, facts = noted[name]
        known = as_noted(name, (calendar, zone), facts)
    else:
        known = Definition(name, ())
    return replace(known, max_duration_s=limits.max_duration_s)


def _late_run(
    run: dict[str, Any], known: Definition, history: History, clock: Clock
) -> Iterator[dict[str, Any]]:
    """Give the limits of a run that have passed."""
    number, name = run["run_id"], run["workflow"]
    is_held = run["slot"] is not None and run["started_by"] == "timer"
    slot = _microseconds(run["slot"]) if is_held else None
    begun = Begun(number, clock.instant(_microseconds(run["started_at"])), slot)
    try:
        moments = moments_of(known, begun, history, clock)
    except UsageError:  # noted by a version that knew more, or this machine lost the zone
        moments = moments_of(replace(known, deadline=None), begun, history, clock)
    for moment in moments:
        if moment.at <= clock.now():
            text = f"run {number} of {name}: {moment.said}"
            yield {"run_id": number, "workflow": name, "step": None, "text": text}


def _microseconds(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))


def _late_steps(
    history: History, run: dict[str, Any], limits: OwnLimits, now: datetime
) -> Iterator[dict[str, Any]]:
    """Give the attempts that are slower than usual, or on for longer than their step may be."""
    number, name = run["run_id"], run["workflow"]
    spreads = history.spreads(name, number)
    for step in history.page(number, STEPS_LOOKED_AT).steps:
        if step.status != "running" or step.started_at is None:
            continue
        took_s = (now - datetime.fromisoformat(step.started_at)).total_seconds()
        told = {"run_id": number, "workflow": name, "step": step.step}
        told["running_s"] = round(took_s, 3)
        text = f"{step.step} of run {number} of {name} has run for {human_duration(took_s)}"
        usual, most = spreads.get(step.step), limits.of_step(step.position)
        after_s = None if usual is None else late_after_s(usual)
        if usual is not None and after_s is not None and took_s > after_s:
            usually = human_duration(usual.usual_s)
            yield told | {"usual_s": usual.usual_s, "text": f"{text}, usually {usually}"}
        if most is not None and took_s > most:
            its = f"its max_duration is {human_duration(most)}"
            yield told | {"max_duration_s": most, "text": f"{text}, {its}"}
