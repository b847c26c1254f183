"""A workflow's schedule as text: OnCalendar= or cron, each with an optional zone, read as one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.records import record
from engine.schedule.calendar import DAYS, Calendar, ScheduleRefused, first_date, read_calendar
from engine.schedule.cron import HINT, WORDS, cron_fields, is_cron, read_cron
from engine.schedule.zones import checked_zone

if TYPE_CHECKING:
    from engine.model import Definition

_TEXT = re.compile(r"[A-Za-z0-9*.,:/~+_@= -]+\Z")
_ZONE_FIRST = re.compile(r"(?:CRON_)?TZ=(\S+) +", re.ASCII)
_DAY_WORD = re.compile(
    r"(?:(?:" + "|".join(f"{day[:3]}(?:{day[3:]})?" for day in DAYS) + r")(?:\.\.|,|-|\Z))+\Z",
    re.IGNORECASE,
)


@record
class Schedule:
    """When a workflow is due: at each moment of any of its calendars, in a zone.

    `zone` None is the machine's.
    """

    text: str
    calendars: tuple[Calendar, ...]
    zone: str | None


def read_schedule(text: str, zone: str | None = None) -> Schedule:
    """Read a schedule of either form; `zone` is what the workflow names beside it.

    Raises `ScheduleRefused` for what cannot be read, names two zones, or is never due; its hint is
    what was meant, where that is plain.
    """
    try:
        return _read(text, zone)
    except ScheduleRefused:
        if found := _meant(text):
            reason = "it is neither systemd's way to say that nor cron's"
            raise ScheduleRefused(reason, f'write "{found}"') from None
        raise


def _meant(text: str) -> str:
    """Give what a text was plainly meant to say; nothing if it says something as it is."""
    from engine.schedule.meant import meant

    try:
        _read(text, None)
    except ScheduleRefused:
        return meant(text)
    return ""


def _read(text: str, zone: str | None) -> Schedule:
    if not _TEXT.match(text):
        if "?" in text:
            raise ScheduleRefused("it holds a '?'", "write * in its place")
        raise ScheduleRefused("it holds what no schedule holds")
    words, named = _split_zone(text)
    if not words:
        raise ScheduleRefused("it is empty")
    if named and zone and named != zone:
        raise ScheduleRefused(
            f"it names the zone '{named}', and tz= '{zone}'", "name the zone in tz= alone"
        )
    if named or zone:
        checked_zone(named or zone or "")
    calendars = read_cron(words) if is_cron(words) else (_calendar(words),)
    if not any(first_date(calendar) for calendar in calendars):
        raise ScheduleRefused("it is never due: no such day comes", "name a day that comes")
    return Schedule(" ".join(words), calendars, named or zone)


def cron_of(schedule: Schedule) -> tuple[str, ...]:
    """Give the schedule as cron's fields, one line or two; raises `ScheduleRefused`."""
    words = schedule.text.split()
    if is_cron(words):
        return (WORDS.get(words[0].lower(), schedule.text),)
    return tuple(cron_fields(calendar) for calendar in schedule.calendars)


def _calendar(words: list[str]) -> Calendar:
    text = " ".join(words)
    try:
        return read_calendar(text)
    except ScheduleRefused as refused:
        if len(words) == 4 and ":" not in text:
            raise ScheduleRefused("it has 4 fields, and cron takes five", HINT) from refused
        raise


def _split_zone(text: str) -> tuple[list[str], str | None]:
    first = _ZONE_FIRST.match(text.lstrip())
    if first:
        return text.lstrip()[first.end() :].split(), first[1]
    words = text.split()
    last = words[-1] if len(words) > 1 else ""
    if not last[:1].isalpha() or _DAY_WORD.match(last) or (is_cron(words) and len(words) == 5):
        return words, None
    return words[:-1], last


def schedule_of(definition: Definition) -> Schedule:
    """Give the schedule that a workflow must have; raises `UsageError` if it has none."""
    what = f"workflow '{definition.name}'"
    if not definition.schedule or not definition.schedule.strip():
        raise UsageError(f"{what} has no schedule", hint=_how_to_give(definition))
    try:
        return read_schedule(definition.schedule, definition.tz)
    except ScheduleRefused as refused:
        raise UsageError(
            f"{what}: schedule {definition.schedule!r}: {refused.reason}", hint=refused.hint
        ) from refused


def _how_to_give(definition: Definition) -> str:
    kind = definition.source.suffix if definition.source else ".py"
    if kind == ".json":
        return 'write "schedule": "*-*-* 08:00:00"'
    if kind == ".py":
        return f'write Workflow("{definition.name}", …, schedule="*-*-* 08:00:00")'
    return 'write schedule: "*-*-* 08:00:00"'
