"""When else a timer has to wake us: systemd passes over slots at the changes of the clock.

Measured (systemd 252): a time in the skipped hour is not fired that day, and of what repeats only
the first pass through the repeated hour; where a day begins in a gap, its search for the next time
may fail, and ends for good. Waking us too often does no harm: no slot is due then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from engine.records import record
from engine.schedule.calendar import DAYS, Calendar, runs
from engine.schedule.firings import (
    change_between,
    due_at_gaps_end,
    repeats,
    seconds_of,
    timers_zone_of,
)
from engine.schedule.reading import Schedule

# All ways in which a rule such as "the last Sunday" falls on dates; fixed, so that the same
# schedule always gives the same unit.
YEARS = range(2026, 2054)
SCAN = timedelta(days=7)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
PASSED_OVER = 2 * HOUR  # after a gap that is not usual


@record
class _Change:
    """A change of the clock: the instant, in UTC, and by how much the clock is set."""

    at: datetime
    by: timedelta


def wakeups(schedule: Schedule) -> list[str]:
    """Give the calendars, in UTC, at which a timer of the schedule has to fire beside its own."""
    zone = timers_zone_of(schedule)
    changes = list(_changes(zone))
    moments: dict[datetime, None] = {}
    for calendar in schedule.calendars:
        for change in changes:
            moments.update(dict.fromkeys(_missed(calendar, change, zone)))
    return _grouped(moments)


def _changes(zone: tzinfo) -> Iterator[_Change]:
    low = datetime(YEARS.start, 1, 1, tzinfo=UTC)
    before = low.astimezone(zone).utcoffset() or timedelta()
    while low.year < YEARS.stop:
        high = low + SCAN
        now = high.astimezone(zone).utcoffset() or timedelta()
        if now != before:
            yield _Change(change_between(low, high, zone), now - before)
        low, before = high, now


def _missed(calendar: Calendar, change: _Change, zone: tzinfo) -> Iterator[datetime]:
    """Give the instants around a change that systemd passes over and we do not.

    The calendar's days are not asked for: being woken for nothing does no harm.
    """
    wall = change.at.astimezone(zone).replace(tzinfo=None, fold=0)
    if change.by > timedelta():
        in_gap = any(_within(calendar, wall - change.by, wall))
        if _at_midnight(wall, change.by) or (in_gap and due_at_gaps_end(calendar, change.at, zone)):
            yield change.at
        if not _is_usual(change, zone):
            for moment in _within(calendar, wall, wall + PASSED_OVER):
                yield change.at + (moment - wall)
    elif repeats(calendar):
        for moment in _within(calendar, wall, wall - change.by):
            yield change.at + (moment - wall)


def _at_midnight(wall: datetime, by: timedelta) -> bool:
    """Say whether a gap that ends at `wall` has the beginning of a day: systemd stops at that."""
    return wall.date() != (wall - by - timedelta.resolution).date()


def _is_usual(change: _Change, zone: tzinfo) -> bool:
    """Say whether a gap is one after which systemd goes on at once, as it does not at others.

    Those end within an hour (Chatham), are of two (Troll), or into what is no summer time
    (Casablanca).
    """
    after = change.at.astimezone(zone)
    return change.by == HOUR and not after.minute and bool(after.dst())


def _within(calendar: Calendar, low: datetime, high: datetime) -> Iterator[datetime]:
    begin = low.replace(hour=0, minute=0, second=0)
    for day in (begin, begin + DAY):
        floor = int((low - day).total_seconds()) - 1
        for second in seconds_of(calendar, floor):
            moment = day + timedelta(seconds=second)
            if moment >= high:
                return
            yield moment


def _grouped(moments: dict[datetime, None]) -> list[str]:
    """Write instants as calendars: what is the same rule in all years is one line."""
    by_date: dict[tuple[int, int, int, tuple[int, ...]], set[int]] = {}
    hours: dict[tuple[datetime, int], set[int]] = {}
    for at in moments:
        day = at.replace(hour=0, minute=0, second=0)
        hours.setdefault((day, at.hour), set()).add(at.minute * 60 + at.second)
    for (day, hour), seconds in hours.items():
        key = (day.month, day.weekday(), hour, tuple(sorted(seconds)))
        by_date.setdefault(key, set()).add(day.day)
    return [
        f"{DAYS[weekday][:3].capitalize()} *-{month:02}-{_list(days)} {_clock(hour, seconds)} UTC"
        for (month, weekday, hour, seconds), days in sorted(by_date.items())
    ]


def _clock(hour: int, seconds: tuple[int, ...]) -> str:
    minutes = sorted({second // 60 for second in seconds})
    each = sorted({second % 60 for second in seconds})
    return f"{hour:02}:{_list(minutes)}:{_list(each)}"


def _list(numbers: Iterable[int]) -> str:
    return ",".join("..".join(f"{end:02}" for end in ends) for ends in runs(sorted(numbers)))
