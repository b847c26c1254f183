"""A workflow's schedule as its slots, and as the store notes it."""

from __future__ import annotations

from collections.abc import Mapping
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


FACTS = ("catchup", "pause_after", "deadline", "ping")


def facts(definition: Definition) -> dict[str, Any]:
    """Give what is noted beside the schedule, as the slots are judged by it without the file."""
    return {fact: getattr(definition, fact) for fact in FACTS}


def as_noted(name: str, schedule: tuple[str, str], facts: Mapping[str, Any]) -> Definition:
    """Give a workflow by its schedule and the facts beside it, as far as they were noted."""
    calendar, zone = schedule
    known = {fact: facts[fact] for fact in FACTS if fact in facts}
    return Definition(name, (), schedule=calendar, tz=zone or None, **known)
