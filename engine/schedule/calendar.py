"""Schedules: what systemd's OnCalendar= is given, and the part of it that cron can say too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.model import Definition

SHORTHANDS = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
    "annually": "*-01-01 00:00:00",
}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
RUN_MIN = 3  # shorter runs of neighbours read better as a list

_TEXT = re.compile(r"[A-Za-z0-9*.,:/~+_ -]+\Z")
_PART = re.compile(r"(\d+)(?:\.\.(\d+))?(?:/(\d+))?\Z")


class CronCannot(Exception):
    """The schedule says something that cron's five fields cannot; the text names what."""


def _how_to_give(definition: Definition) -> str:
    kind = definition.source.suffix if definition.source else ".py"
    if kind == ".json":
        return 'write "schedule": "*-*-* 08:00:00"'
    if kind == ".py":
        return f'write Workflow("{definition.name}", …, schedule="*-*-* 08:00:00")'
    return 'write schedule: "*-*-* 08:00:00"'


def on_calendar(definition: Definition) -> str:
    """Give the workflow's schedule as OnCalendar= takes it, with its time zone at the end.

    Raises `UsageError` for a workflow without a schedule, for one that names two zones, and for
    text no calendar expression holds (a line break would write into the unit).
    """
    what = f"workflow '{definition.name}'"
    if not definition.schedule or not definition.schedule.strip():
        raise UsageError(f"{what} has no schedule", hint=_how_to_give(definition))
    hint = 'write it as systemd does, for example schedule="Mon..Fri *-*-* 08:00:00"'
    if not _TEXT.match(definition.schedule):
        raise UsageError(f"{what}: schedule {definition.schedule!r} is no calendar", hint=hint)
    moments, zone = split_zone(" ".join(definition.schedule.split()))
    wanted = definition.timezone
    if wanted and not _TEXT.match(wanted):
        raise UsageError(
            f"{what}: timezone {wanted!r} is no time zone", hint='give one like "Europe/Berlin"'
        )
    if wanted and zone and wanted != zone:
        raise UsageError(
            f"{what}: its schedule names the zone '{zone}' and timezone= '{wanted}'",
            hint="name the zone in timezone= alone",
        )
    return " ".join(filter(None, (moments, zone or wanted)))


def split_zone(calendar: str) -> tuple[str, str | None]:
    """Part a calendar expression from the time zone at its end, if it has one."""
    moments, _, last = calendar.rpartition(" ")
    return (moments, last) if moments and last[0].isalpha() else (calendar, None)


def cron_fields(moments: str) -> str:
    """Give cron's five fields for a calendar expression without zone, or raise `CronCannot`."""
    words = SHORTHANDS.get(moments.lower(), moments).split()
    days = _weekdays(words.pop(0)) if words[0][0].isalpha() else _every(0, 6)
    date = words.pop(0) if words and ":" not in words[0] else "*-*-*"
    time = words.pop(0) if words else "00:00:00"
    if words:
        raise CronCannot(f"'{' '.join(words)}'")
    hours, minutes = _clock_time(time)
    months, month_days = _date(date)
    if days != _every(0, 6) and month_days != _every(1, 31):
        raise CronCannot("a day of the week and of the month at once (cron takes either)")
    fields = [(minutes, 0, 59), (hours, 0, 23), (month_days, 1, 31), (months, 1, 12), (days, 0, 6)]
    return " ".join(_field(*each) for each in fields)


def _every(low: int, high: int) -> frozenset[int]:
    return frozenset(range(low, high + 1))


def _clock_time(text: str) -> tuple[frozenset[int], frozenset[int]]:
    hours, minutes, *seconds = text.split(":")
    if seconds and seconds[0].strip("0"):
        raise CronCannot(f"the seconds of '{text}'")
    return _numbers(hours, 0, 23), _numbers(minutes, 0, 59)


def _date(text: str) -> tuple[frozenset[int], frozenset[int]]:
    if "~" in text:
        raise CronCannot(f"'{text}' (days counted from the end of the month)")
    if "-" not in text:
        raise CronCannot(f"'{text}'")
    *years, month, day = text.split("-")
    if years and years[-1] != "*":
        raise CronCannot(f"the year of '{text}'")
    return _numbers(month, 1, 12), _numbers(day, 1, 31)


def _numbers(text: str, low: int, high: int) -> frozenset[int]:
    if text == "*":
        return _every(low, high)
    chosen: set[int] = set()
    for part in text.split(","):
        match = _PART.match(part)
        if not match:
            raise CronCannot(f"'{part or text}'")
        first, step = int(match[1]), int(match[3] or 0)
        last = int(match[2]) if match[2] else (high if step else first)
        if not low <= first <= last <= high:
            raise CronCannot(f"'{part}' (not in {low} to {high})")
        chosen.update(range(first, last + 1, step or 1))
    return frozenset(chosen)


def _weekdays(text: str) -> frozenset[int]:
    """Read day names; cron counts from Sunday, 0, systemd's ranges from Monday."""
    chosen: set[int] = set()
    for part in text.lower().split(","):
        ends = [_day(word) for word in re.split(r"\.\.|-", part, maxsplit=1)]
        if ends[0] > ends[-1]:
            raise CronCannot(f"'{text}'")
        chosen.update((day + 1) % 7 for day in range(ends[0], ends[-1] + 1))
    return frozenset(chosen)


def _day(word: str) -> int:
    for number, name in enumerate(DAYS):
        if word in (name, name[:3]):
            return number
    raise CronCannot(f"'{word}'")


def _field(values: frozenset[int], low: int, high: int) -> str:
    if values == _every(low, high):
        return "*"
    ordered = sorted(values)
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 0
    if step > 1 and high > len(DAYS) and ordered == list(range(low, high + 1, step)):
        return f"*/{step}"
    parts: list[str] = []
    while ordered:
        run = 1
        while run < len(ordered) and ordered[run] == ordered[0] + run:
            run += 1
        run = run if run >= RUN_MIN else 1
        parts.append(str(ordered[0]) if run == 1 else f"{ordered[0]}-{ordered[run - 1]}")
        ordered = ordered[run:]
    return ",".join(parts)
