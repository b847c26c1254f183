"""A workflow's schedule as its slots, and as the store notes it."""

from __future__ import annotations

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
