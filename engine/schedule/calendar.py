"""Calendars: what systemd's OnCalendar= says, as sets of numbers; read from text and written."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import date

from engine.records import record

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
FIRST_YEAR, LAST_YEAR = 1970, 2199  # systemd's own limits
HINT = "write it as systemd does: *-*-* 08:00:00, Mon..Fri *-*-* 08:00, hourly, daily, weekly"
DAYS_MAX = 31  # of a month
RUN_MIN = 3  # shorter runs of neighbours read better as a list

_PART = re.compile(r"([0-9]{1,4})(?:\.\.([0-9]{1,4}))?(?:/([0-9]{1,4}))?\Z")
_TIME = re.compile(r"[^:]+:[^:]+(?::[^:]+)?\Z")


class ScheduleRefused(Exception):
    """A schedule that cannot be taken, or not be said in another form: the reason, and a hint."""

    def __init__(self, reason: str, hint: str = HINT) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


def every(low: int, high: int) -> frozenset[int]:
    """Give all numbers from `low` to `high`, both included."""
    return frozenset(range(low, high + 1))


@record
class Calendar:
    """Moments by the clock on the wall, of one zone: each set holds what a moment's part may be.

    Weekdays count from Monday, 0. With `from_end` the days count from the month's end, 1 being its
    last day. `years` None is every year.
    """

    text: str  # as OnCalendar= takes it, without zone
    weekdays: frozenset[int]
    years: frozenset[int] | None
    months: frozenset[int]
    days: frozenset[int]
    from_end: bool
    hours: frozenset[int]
    minutes: frozenset[int]
    seconds: frozenset[int]


def read_calendar(text: str) -> Calendar:
    """Read a calendar expression without zone; raises `ScheduleRefused` naming what is wrong."""
    words = SHORTHANDS.get(text.lower(), text).split()
    if not words:
        raise ScheduleRefused("it is empty")
    if words[0].startswith("@"):
        raise ScheduleRefused(f"'{words[0]}' is one instant, not a calendar")
    weekdays = _weekdays(words.pop(0)) if words[0][0].isalpha() else every(0, 6)
    day = words.pop(0) if words and ":" not in words[0] else "*-*-*"
    time = words.pop(0) if words else "00:00:00"
    if words:
        raise ScheduleRefused(f"'{' '.join(words)}' comes after the time")
    years, months, days, from_end = _date(day)
    hours, minutes, seconds = _clock_time(time)
    return Calendar(text, weekdays, years, months, days, from_end, hours, minutes, seconds)


def first_date(calendar: Calendar) -> date | None:
    """Give the first day that a calendar names, from 2000 on and then before; None: none ever."""
    new = next(dates_of(calendar, date(2000, 1, 1)), None)
    return new or next(dates_of(calendar, date(FIRST_YEAR, 1, 1)), None)


def dates_of(calendar: Calendar, start: date) -> Iterator[date]:
    """Give the days that a calendar names, from `start` on, in order."""
    months, days = sorted(calendar.months), sorted(calendar.days)
    for year in range(start.year, LAST_YEAR + 1):
        if calendar.years is not None and year not in calendar.years:
            continue
        for month in months:
            if (year, month) < (start.year, start.month):
                continue
            length = monthrange(year, month)[1]
            numbers = sorted(length + 1 - day for day in days) if calendar.from_end else days
            for number in numbers:
                if 1 <= number <= length:
                    day = date(year, month, number)
                    if day >= start and day.weekday() in calendar.weekdays:
                        yield day


def _clock_time(text: str) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    if not _TIME.match(text):
        raise ScheduleRefused(f"'{text}' is no time of day", "write HH:MM or HH:MM:SS")
    hours, minutes, *seconds = text.split(":")
    second = seconds[0] if seconds else "0"
    if "." in second.replace("..", ""):
        raise ScheduleRefused(f"'{text}' has parts of a second", "give whole seconds")
    return (
        _numbers(hours, 0, 23, "hour"),
        _numbers(minutes, 0, 59, "minute"),
        _numbers(second, 0, 59, "second"),
    )


def _date(text: str) -> tuple[frozenset[int] | None, frozenset[int], frozenset[int], bool]:
    from_end = "~" in text
    head, _, day = text.rpartition("~" if from_end else "-")
    *years, month = head.split("-")
    if not head or len(years) > 1:
        raise ScheduleRefused(f"'{text}' is no date, time or day of the week")
    days = _numbers(day, 1, 31, "day", down=from_end)
    return _years(years[0] if years else "*"), _numbers(month, 1, 12, "month"), days, from_end


def _years(text: str) -> frozenset[int] | None:
    if text == "*":
        return None
    long = re.sub(r"(?<![0-9/])[0-9]{1,2}(?![0-9])", _full_year, text)
    return _numbers(long, FIRST_YEAR, LAST_YEAR, "year")


def _full_year(match: re.Match[str]) -> str:
    year = int(match[0])
    return str(year + (2000 if year < 70 else 1900))


def _numbers(text: str, low: int, high: int, what: str, *, down: bool = False) -> frozenset[int]:
    """Read a list of numbers, ranges and steps; `down`: steps go from the last to the first."""
    if text == "*":
        return every(low, high)
    chosen: set[int] = set()
    farthest: list[int] = []
    for part in text.split(","):
        match = _PART.match(part)
        if not match:
            raise ScheduleRefused(f"'{part or text}' is no {what}")
        first, step = int(match[1]), int(match[3] or 0)
        last = int(match[2]) if match[2] else first
        if not low <= first <= last <= high:
            raise ScheduleRefused(f"'{part}' is not in {low} to {high}")
        if what == "second" and match[2] == match[1] and not step:
            raise ScheduleRefused(f"'{part}' is a range of one second, which systemd does not take")
        room = high - low if match[2] else first - low if down else high - first
        if match[3] and not 0 < step <= room:
            raise ScheduleRefused(f"'{part}' has no room for steps of {step}")
        if down and step and not match[2]:
            part_numbers = range(first, low - 1, -step)
        else:
            end = last if match[2] or not step else high
            part_numbers = range(first, end + 1, step or 1)
        chosen.update(part_numbers)
        farthest.append(max(part_numbers))
    if down:
        _check_from_end(text, farthest)
    return frozenset(chosen)


def _check_from_end(text: str, farthest: list[int]) -> None:
    """Refuse what systemd does: February has 28 days, and each further number makes it three less.

    The latter is a slip of systemd's (252), which takes the three off again for each of a list.
    """
    for further, day in enumerate(sorted(farthest)):
        if day > 28 - 3 * further:
            raise ScheduleRefused(f"'~{text}' is farther from the month's end than systemd takes")


def _weekdays(text: str) -> frozenset[int]:
    chosen: set[int] = set()
    for part in text.removesuffix(",").split(","):
        ends = [weekday(word) for word in re.split(r"\.\.|-", part, maxsplit=1)]
        if ends[0] > ends[-1]:
            raise ScheduleRefused(
                f"'{part}' goes past Sunday", f"write {_around(ends[0], ends[-1])}"
            )
        chosen.update(range(ends[0], ends[-1] + 1))
    return frozenset(chosen)


def weekday(word: str) -> int:
    """Give the number of a day's English name, long or short; Monday is 0."""
    for number, name in enumerate(DAYS):
        if word.lower() in (name, name[:3]):
            return number
    raise ScheduleRefused(f"'{word}' is no date, time or day of the week")


def _around(first: int, last: int) -> str:
    days = frozenset(range(last + 1)) | every(first, 6)
    return weekdays_text(days)


def weekdays_text(days: frozenset[int]) -> str:
    """Write days of the week as OnCalendar= takes them: `Mon..Fri`."""
    names = [day[:3].capitalize() for day in DAYS]
    return ",".join("..".join(names[end] for end in ends) for ends in runs(sorted(days)))


def runs(ordered: list[int]) -> Iterable[tuple[int, ...]]:
    """Part numbers into runs of neighbours, as (first, last), and single ones, as (number,)."""
    while ordered:
        run = 1
        while run < len(ordered) and ordered[run] == ordered[0] + run:
            run += 1
        run = run if run >= RUN_MIN else 1
        yield (ordered[0],) if run == 1 else (ordered[0], ordered[run - 1])
        ordered = ordered[run:]


def step_of(ordered: list[int], high: int) -> int:
    """Give the step by which the numbers go on up to `high`, 0 if they do not."""
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 0
    return step if step > 1 and ordered == list(range(ordered[0], high + 1, step)) else 0


def timer_text(calendar: Calendar) -> str:
    """Give the text as a timer has to say it: steps say where they end.

    Measured (systemd 252): after 23:56 `*:0/7` goes on at 00:07, `*:0..59/7` at midnight; so it is
    with hours at the end of a month, and with days and months at that of a year.
    """
    return " ".join(map(_ended, calendar.text.split()))


def _ended(word: str) -> str:
    """End the steps in a date or a time; those of days that count from the month's end go down."""
    if ":" in word:
        return ":".join(map(_steps_ended, word.split(":"), (23, 59, 59)))
    head, tilde, from_end = word.partition("~")
    if tilde or ("-" in word and not word[0].isalpha()):
        fields = head.split("-")
        lasts = (12,) if tilde else (12, DAYS_MAX)
        named = len(fields) - len(lasts)  # a year
        fields[named:] = map(_steps_ended, fields[named:], lasts)
        return "-".join(fields) + tilde + from_end
    return word


def _steps_ended(field: str, last: int) -> str:
    parts = []
    for part in field.split(","):
        first, _, step = part.partition("/")
        endless = step and first.isdigit()
        if endless and last != DAYS_MAX and (last + 1 - int(first)) % int(step) == 0:
            endless = False  # it comes out even, as hours and years do whose length is always so
        parts.append(f"{first}..{last}/{step}" if endless else part)
    return ",".join(parts)


def calendar_text(made: Calendar) -> str:
    """Write a calendar of every year, its days counted from the 1st, as OnCalendar= takes it."""
    days = "" if made.weekdays == every(0, 6) else weekdays_text(made.weekdays) + " "
    months, month_days = _written(made.months, 1, 12), _written(made.days, 1, 31)
    clock = (_written(made.hours, 0, 23), _written(made.minutes, 0, 59))
    seconds = _written(made.seconds, 0, 59)
    return f"{days}*-{months}-{month_days} {':'.join(clock)}:{seconds}"


def _written(values: frozenset[int], low: int, high: int) -> str:
    if values == every(low, high):
        return "*"
    ordered = sorted(values)
    if (step := step_of(ordered, high)) and len(ordered) >= RUN_MIN:
        return f"{ordered[0]:02}/{step}"
    return ",".join("..".join(f"{end:02}" for end in ends) for ends in runs(ordered))
