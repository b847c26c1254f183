"""Cron's five fields: read as calendars, and calendars written as such fields."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from engine.schedule.calendar import (
    DAYS,
    Calendar,
    ScheduleRefused,
    calendar_text,
    every,
    runs,
    step_of,
)

WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELDS = 5
HINT = "write minute, hour, day of the month, month and day of the week: 0 8 * * 1-5"

_PART = re.compile(r"(\*|[0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?(?:/([0-9]{1,2}))?\Z")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_SUNDAY_FIRST = [DAYS[-1][:3], *(day[:3] for day in DAYS[:-1])]
_BOUNDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
)


def is_cron(words: list[str]) -> bool:
    """Say whether the words of a schedule, without zone, are meant for cron."""
    if words[:1] and words[0].startswith("@"):
        return not words[0][1:2].isdigit()
    return len(words) >= FIELDS and not any(":" in word for word in words)


def read_cron(words: list[str]) -> tuple[Calendar, ...]:
    """Read five fields, or a word such as `@daily`, as one calendar or two.

    As in cron a day is due that fits the day of the month *or* of the week, if both are limited;
    where one of them begins with `*` it has to fit both.
    """
    if words[0] == "@reboot":
        raise ScheduleRefused("'@reboot' is no time", "start it by a unit of systemd's")
    if words[0].startswith("@"):
        if words[0].lower() not in WORDS or len(words) > 1:
            raise ScheduleRefused(f"'{' '.join(words)}' is none of cron's words", HINT)
        words = WORDS[words[0].lower()].split()
    if len(words) != FIELDS:
        raise ScheduleRefused(f"it has {len(words)} fields, and cron takes five", HINT)
    minutes, hours, days, months, weekdays = (
        _field(word, *bounds) for word, bounds in zip(words, _BOUNDS, strict=True)
    )
    from_monday = frozenset((day - 1) % 7 for day in weekdays)
    any_day, any_weekday = every(1, 31), every(0, 6)
    either = not words[2].startswith("*") and not words[4].startswith("*")
    kinds = [(days, any_weekday), (any_day, from_monday)] if either else [(days, from_monday)]
    return tuple(_made(minutes, hours, months, *kind) for kind in kinds)


def _made(
    minutes: frozenset[int],
    hours: frozenset[int],
    months: frozenset[int],
    days: frozenset[int],
    weekdays: frozenset[int],
) -> Calendar:
    zero = frozenset((0,))
    made = Calendar(
        text="",
        weekdays=weekdays,
        years=None,
        months=months,
        days=days,
        from_end=False,
        hours=hours,
        minutes=minutes,
        seconds=zero,
    )
    return replace(made, text=calendar_text(made))


def _field(text: str, what: str, low: int, high: int) -> frozenset[int]:
    chosen: set[int] = set()
    for part in text.lower().split(","):
        match = _PART.match(part)
        if not match or (match[1] == "*" and match[2]):
            raise ScheduleRefused(f"'{part or text}' is no {what} of cron's", HINT)
        if match[3] and match[1] != "*" and not match[2]:
            raise ScheduleRefused(
                f"'{part}' does not say where it ends", f"write {match[1]}-{high}/{match[3]}"
            )
        first = low if match[1] == "*" else _number(match[1], what)
        last = high if match[1] == "*" else _number(match[2] or match[1], what)
        if what == "day of the week" and match[2] == "sun":
            last = 7
        if not low <= first <= last <= high:
            raise ScheduleRefused(f"'{part}' is no {what}: not in {low} to {high}, upwards", HINT)
        if match[3] and not int(match[3]):
            raise ScheduleRefused(f"'{part}' goes on by steps of 0", HINT)
        chosen.update(range(first, last + 1, int(match[3] or 1)))
    return frozenset(chosen)


def _number(word: str, what: str) -> int:
    if word.isdigit():
        return int(word)
    names = {"month": ["", *_MONTHS], "day of the week": _SUNDAY_FIRST}.get(what, [])
    if word in names:
        return names.index(word)
    raise ScheduleRefused(f"'{word}' is no {what} of cron's", HINT)


def cron_fields(made: Calendar) -> str:
    """Give cron's five fields for a calendar, or raise `ScheduleRefused` naming what they lack."""
    if made.seconds != {0}:
        raise ScheduleRefused(f"the seconds of '{made.text}'")
    if made.years is not None:
        raise ScheduleRefused(f"the year of '{made.text}'")
    if made.from_end:
        raise ScheduleRefused(f"'{made.text}' (days counted from the end of the month)")
    if made.weekdays != every(0, 6) and made.days != every(1, 31):
        raise ScheduleRefused("a day of the week and of the month at once (cron takes either)")
    weekdays = frozenset((day + 1) % 7 for day in made.weekdays)
    fields = (made.minutes, made.hours, made.days, made.months, weekdays)
    bounds = (*_BOUNDS[:-1], ("day of the week", 0, 6))
    return " ".join(
        _written(values, low, high) for values, (_, low, high) in zip(fields, bounds, strict=True)
    )


def hourly_fields(minutes: Iterable[int]) -> str:
    """Give the fields for some minutes of each hour."""
    return f"{_written(frozenset(minutes), 0, 59)} * * * *"


def _written(values: frozenset[int], low: int, high: int) -> str:
    if values == every(low, high):
        return "*"
    ordered = sorted(values)
    step = step_of(ordered, high)
    if step and ordered[0] == low and high > len(DAYS):
        return f"*/{step}"
    return ",".join("-".join(str(end) for end in ends) for ends in runs(ordered))
