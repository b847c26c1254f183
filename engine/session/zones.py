"""Which zone a workflow, or a run of it, is shown in; and its slots as times of that zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from engine.moments import instant
from engine.zones import zone_named

if TYPE_CHECKING:
    from engine.model import Definition
    from store.history import History


def zone_of_definition(definition: Definition) -> tzinfo | None:
    """Give the zone that a workflow names, if it names one."""
    return zone_named(definition.tz)


def zone_of_run(run: Mapping[str, Any]) -> tzinfo | None:
    """Give the zone that was recorded as a run began; none is the machine's."""
    return zone_named(run["zone"])


def zone_of_workflow(history: History, workflow: str) -> tzinfo | None:
    """Give the zone of a workflow's times that are no run's: slots, pauses, what is to come."""
    return zone_named(history.zone_name(workflow))


def in_zone(definition: Definition, at: datetime, local: tzinfo | None = None) -> datetime:
    """Give a moment as a time in the workflow's zone; `local` is that of one that names none."""
    return at.astimezone(zone_of_definition(definition) or local)


def slot_of(
    definition: Definition, slot: int | None, local: tzinfo | None = None
) -> datetime | None:
    """Give a slot as a time in the workflow's zone."""
    if slot is None:
        return None
    return in_zone(definition, instant(slot), local)


def clock_time(at: datetime) -> str:
    """Give a slot for people: a time with its zone, and its seconds only if it has some."""
    return f"{at:%Y-%m-%d %H:%M:%S %Z}" if at.second else f"{at:%Y-%m-%d %H:%M %Z}"
