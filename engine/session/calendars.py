"""A workflow's schedule as its slots, and as the store notes it."""

from __future__ import annotations

from typing import Any

from engine.model import Definition
from engine.schedule.catchup import Firings
from engine.schedule.firings import firings, zone_of
from engine.schedule.reading import schedule_of


def firings_of(definition: Definition) -> Firings:
    """Give the slots of a workflow's schedule, by its zone or the machine's."""
    schedule = schedule_of(definition)
    zone = zone_of(schedule)
    return lambda after, until: firings(schedule, zone, after, until)


def noted(definition: Definition) -> tuple[str, str]:
    """Give the schedule as text, and its zone: empty for the machine's."""
    schedule = schedule_of(definition)
    return schedule.text, schedule.zone or ""


def facts(definition: Definition) -> dict[str, Any]:
    """Give what is noted beside the schedule, as the slots are judged by it without the file."""
    return {
        "catchup": definition.catchup,
        "pause_after": definition.pause_after,
        "deadline": definition.deadline,
        "max_duration_s": definition.max_duration_s,
    }
