"""Slots: the instants at which a schedule says that a run is due, through changes of the clock.

What a change skips is due at its end, unless it comes every hour anyway; what occurs twice is due
once, the first time, unless it repeats within the hour or by the hour: that keeps its intervals.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import groupby
from typing import TYPE_CHECKING

from engine.schedule.calendar import FIRST_YEAR, Calendar, dates_of
from engine.schedule.reading import Schedule, schedule_of
from engine.schedule.zones import checked_zone, machine_zone, timers_zone

if TYPE_CHECKING:
    from engine.model import Definition

DAY = timedelta(days=1)
HOURS_A_DAY = 24
DAY_S = 86_400
HOUR_S = 3_600
# How far back the newest slot is looked for, step by step: each finds it at a bounded cost.
_BACK = tuple(timedelta(hours=hours) for hours in (1, 24, 192, 768, 9600, 96_000, 960_000))
_START = datetime(FIRST_YEAR, 1, 2, tzinfo=UTC)


def firings(
    schedule: Schedule, zone: tzinfo, after: datetime, until: datetime | None = None
) -> Iterator[datetime]:
    """Give the slots later than `after`, up to `until` (included), in order, each once; UTC."""
    last = None
    each = [_slots(calendar, zone, after) for calendar in schedule.calendars]
    for slot in heapq.merge(*each):
        if until is not None and slot > until:
            return
        if slot != last:
            last = slot
            yield slot


def newest(schedule: Schedule, zone: tzinfo, until: datetime) -> datetime | None:
    """Give the newest slot that is not later than `until`."""
    for back in _BACK:
        after = max(until - back, _START) if until - _START > back else _START
        found = None
        for found in firings(schedule, zone, after, until):  # noqa: B007 - the last one is asked
            pass
        if found is not None or after == _START:
            return found
    return None


def next_firing(definition: Definition, now: datetime) -> datetime | None:
    """Give the first slot of a workflow after `now`, in UTC; None without a schedule."""
    if definition.schedule is None:
        return None
    schedule = schedule_of(definition)
    return next(firings(schedule, zone_of(schedule), now), None)


def zone_of(schedule: Schedule) -> tzinfo:
    """Give the zone in which a schedule is read: its own, else the machine's."""
    return checked_zone(schedule.zone) if schedule.zone else machine_zone()


def timers_zone_of(schedule: Schedule) -> tzinfo:
    """As `zone_of`, for a timer of systemd's: its own, else the machine's whatever TZ says."""
    return checked_zone(schedule.zone) if schedule.zone else timers_zone()


def _slots(calendar: Calendar, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    waiting: list[datetime] = []
    for day in dates_of(calendar, after.astimezone(zone).date() - DAY):
        begin, end = midnight(day, zone), midnight(day + DAY, zone)
        while waiting and waiting[0] < begin:
            yield heapq.heappop(waiting)
        if not waiting and not _changes(day, begin, end, zone):
            floor = int((after - begin).total_seconds()) if after >= begin else -1
            for second in seconds_of(calendar, floor):
                yield begin + timedelta(seconds=second)
            continue
        # Where a change crosses midnight, this day's last slots come after the next one's first.
        for slots, before in _through_change(calendar, day, zone, after):
            for slot in slots:
                heapq.heappush(waiting, slot)
            while waiting and waiting[0] < before:
                yield heapq.heappop(waiting)
        while waiting and waiting[0] < end:
            yield heapq.heappop(waiting)
    while waiting:
        yield heapq.heappop(waiting)


def midnight(day: date, zone: tzinfo) -> datetime:
    """Give the instant at which a day begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _changes(day: date, begin: datetime, end: datetime, zone: tzinfo) -> bool:
    """Say whether the clock is changed on a day, or at either end of it."""
    if (end - begin).total_seconds() != DAY_S:
        return True
    return any(
        datetime.combine(each, time(fold=1), zone).astimezone(UTC) != at
        for each, at in ((day, begin), (day + DAY, end))
    )


def seconds_of(calendar: Calendar, after: int = -1) -> Iterator[int]:
    """Give a day's moments later than `after`, as seconds from midnight by the clock, in order."""
    minutes, seconds = sorted(calendar.minutes), sorted(calendar.seconds)
    for hour in sorted(calendar.hours):
        if (hour + 1) * 3600 <= after:
            continue
        for minute in minutes:
            at = hour * 3600 + minute * 60
            if at + 60 > after:
                yield from (at + second for second in seconds if at + second > after)


def repeats(calendar: Calendar) -> bool:
    """Say whether a calendar repeats by the hour or within it, and so keeps real intervals."""
    return by_the_hour(calendar) or len(calendar.minutes) * len(calendar.seconds) > 1


def by_the_hour(calendar: Calendar) -> bool:
    """Say whether a calendar has moments in every hour of its days."""
    return len(calendar.hours) == HOURS_A_DAY


def _through_change(
    calendar: Calendar, day: date, zone: tzinfo, after: datetime
) -> Iterator[tuple[set[datetime], datetime]]:
    """Give a day's slots later than `after`, hour by hour of the clock.

    With each hour's comes the moment before which no later hour has any.
    """
    begin = datetime.combine(day, time())
    offsets = [offset(midnight(day + DAY * each, zone), zone) for each in range(-1, 3)]
    floor = after.replace(tzinfo=None) + min(offsets) - begin
    seconds = seconds_of(calendar, floor // timedelta(seconds=1))
    for hour, of_hour in groupby(seconds, lambda second: second // HOUR_S):
        walls = [begin + timedelta(seconds=second) for second in of_hour]
        next_hour = begin + timedelta(hours=hour + 1) - max(offsets)
        found = _at_walls(calendar, walls, zone)
        yield {slot for slot in found if slot > after}, next_hour.replace(tzinfo=UTC)


def offset(at: datetime, zone: tzinfo) -> timedelta:
    """Give by how much the clock of a zone is ahead of UTC."""
    return at.astimezone(zone).utcoffset() or timedelta()


def _at_walls(calendar: Calendar, walls: list[datetime], zone: tzinfo) -> Iterator[datetime]:
    """Give the instants that times by the clock stand for: one, two, or the end of a gap."""
    gap_end = None
    for wall in walls:
        first = wall.replace(tzinfo=zone).astimezone(UTC)
        again = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
        if first <= again:
            yield first
            if repeats(calendar):
                yield again
            continue
        if gap_end is None or not again < gap_end <= first:
            gap_end = change_between(again, first, zone)
        if due_at_gaps_end(calendar, gap_end, zone):
            yield gap_end


def due_at_gaps_end(calendar: Calendar, end: datetime, zone: tzinfo) -> bool:
    """Say whether what a gap skips is due at its `end`: not if it repeats, and goes on there."""
    return not repeats(calendar) or end.astimezone(zone).hour not in calendar.hours


def change_between(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """Give the first instant, to the second, at which `zone` has the offset it has at `high`."""
    offset = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds() / 2))
        if middle.astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high
