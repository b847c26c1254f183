"""Which missed slots are caught up: every rule, through both changes of the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engine.model import Definition
from engine.moments import instant, microseconds
from engine.schedule.catchup import Due, Firings, Rule, decide
from engine.session.deciding.asked import today_of
from engine.session.schedules.calendars import firings_of
from engine.slots import Catchup
from tests.fakes import FakeClock

HOUR = timedelta(hours=1)
ALL, LATEST, NONE = Catchup.ALL, Catchup.LATEST, Catchup.NONE
ONLY_NEWEST = "missed: only the newest is caught up"
NOT_CAUGHT_UP = "missed: it is not caught up (catchup is none)"


def every(step: timedelta) -> Firings:
    """Give a schedule that is due every so often from midnight UTC."""

    def firings(after: datetime, until: datetime) -> Iterator[datetime]:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        at = start + (max(after, start) - start) // step * step
        while at <= until:
            if at > after:
                yield at
            at += step

    return firings


def at(hour: float) -> int:
    """Give a moment of the first of March as a slot."""
    return microseconds(datetime(2026, 3, 1, tzinfo=UTC) + hour * HOUR)


def hours(due: Due) -> tuple[float | None, int, list[tuple[float, str]]]:
    """Read what was decided in hours of that day."""

    def hour(slot: int) -> float:
        return (slot - at(0)) / 3.6e9

    passed = [(hour(slot), reason) for slot, reason in due.passed]
    return None if due.slot is None else hour(due.slot), due.left, passed


@pytest.mark.parametrize(
    ("catchup", "after", "now", "expected"),
    [
        (LATEST, 3, 3.5, (None, 0, [])),
        (LATEST, 3, 4.0, (4, 0, [])),
        (LATEST, 3, 6.9, (6, 0, [(4, ONLY_NEWEST), (5, ONLY_NEWEST)])),
        (ALL, 3, 6.9, (4, 2, [])),
        (NONE, 3, 4.4, (4, 0, [])),
        (NONE, 3, 4.6, (None, 0, [(4, NOT_CAUGHT_UP)])),
        (NONE, 3, 6.4, (6, 0, [(4, NOT_CAUGHT_UP), (5, NOT_CAUGHT_UP)])),
        (NONE, 3, 5.6, (None, 0, [(4, NOT_CAUGHT_UP), (5, NOT_CAUGHT_UP)])),
        (LATEST, None, 6.9, (6, 0, [])),
        (ALL, None, 6.9, (6, 0, [])),
        (NONE, None, 6.9, (6, 0, [])),
        (ALL, 9, 6.9, (None, 0, [])),
    ],
)
def test_the_rules(
    catchup: str,
    after: float | None,
    now: float,
    expected: tuple[float | None, int, list[tuple[float, str]]],
) -> None:
    """Of slots every hour; without one decided on before, only the newest counts."""
    since = None if after is None else at(after)
    assert hours(decide(every(HOUR), since, at(now), Rule(catchup))) == expected


def test_none_waits_an_hour_at_most() -> None:
    """Of a slot a day, one that is due since 59 minutes is run, one since an hour is not."""
    day = every(timedelta(days=1))
    assert hours(decide(day, at(-1), at(0.99), Rule(NONE)))[0] == 0
    assert hours(decide(day, at(-1), at(1.0), Rule(NONE)))[0] is None


def test_so_many_at_most_are_caught_up() -> None:
    """The oldest beyond the cap are passed over, and the rest are run from the oldest on."""
    slot, left, passed = hours(decide(every(HOUR), at(0), at(40), Rule(ALL)))
    why = "missed: of so many only the newest 30 are caught up"
    assert (slot, left) == (11, 29)
    assert passed == [(hour, why) for hour in range(1, 11)]


def test_a_year_of_minutes_is_not_listed() -> None:
    """A thousand slots are listed, and the first says that it stands for those before it."""
    due = decide(every(HOUR / 60), at(-24 * 58), at(10), Rule(LATEST))
    assert due.slot == at(10)
    assert len(due.passed) == 999
    assert due.passed[0][1] == f"{ONLY_NEWEST}; so were those before it, which are not listed"
    assert due.passed[1][1] == ONLY_NEWEST


@pytest.mark.parametrize(
    ("catchup", "expected"),
    [
        (LATEST, (4, 2, [(3, ONLY_NEWEST)])),
        (ALL, (3, 3, [])),
        (NONE, (None, 0, [(3, NOT_CAUGHT_UP), (4, NOT_CAUGHT_UP), (5, "paused"), (6, "paused")])),
    ],
)
def test_paused_slots_are_nobodys(
    catchup: str, expected: tuple[float | None, int, list[tuple[float, str]]]
) -> None:
    """The rule is for the others; what is due later than one that is run is decided after it."""
    rule = Rule(catchup, lambda slot: "paused" if slot >= at(5) else "")
    assert hours(decide(every(HOUR), at(2), at(6.2), rule)) == expected


def local(schedule: str, zone: str, day: str, hours_long: int = 26) -> list[str]:
    """Run all slots of a day and a bit, one after the other; give their times in the zone."""
    definition = Definition("w", (), schedule=schedule, tz=zone)
    firings = firings_of(definition)
    begin = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    now, after = microseconds(begin + hours_long * HOUR), microseconds(begin - HOUR)
    told = []
    while (due := decide(firings, after, now, Rule(ALL))).slot is not None:
        after = due.slot
        day_of = today_of(definition, FakeClock(), slot=after)
        slot = instant(after).astimezone(ZoneInfo(zone))
        assert day_of == slot.date()
        told.append(f"{slot:%d %H:%M %Z}")
    return told


@pytest.mark.parametrize(
    ("schedule", "zone", "day", "expected"),
    [
        ("*-*-* 02:30:00", "Europe/Berlin", "2026-03-29", ["29 03:00 CEST", "30 02:30 CEST"]),
        ("*-*-* 02:30:00", "Europe/Berlin", "2026-10-25", ["25 02:30 CEST", "26 02:30 CET"]),
        ("*-*-* 02:30:00", "America/Chicago", "2026-03-08", ["08 03:00 CDT"]),
        ("*-*-* 01:30:00", "America/Chicago", "2026-11-01", ["01 01:30 CDT"]),
    ],
)
def test_a_change_of_the_clock_loses_and_doubles_no_slot(
    schedule: str, zone: str, day: str, expected: list[str]
) -> None:
    """What it skips is due at its end, what comes twice is due once; `today` is the slot's day."""
    assert local(schedule, zone, day) == expected
