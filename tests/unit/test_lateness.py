"""What is late, told once while it still runs; deadlines through changes of the clock."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from engine.events import TellLate
from engine.lateness import Lateness, Limit, Moment, Whose, usual_limits
from engine.schedule.deadline import deadline_of
from engine.usual import LATE_FROM, late_after_s, spread

WHOSE = Whose("flow", 7, ["a", "b"])


def test_an_attempt_is_told_of_once_for_each_limit() -> None:
    """While it runs: not before its limit, not again after it; a retry is another attempt."""
    limits = {1: (Limit(20.0, "usually 4.0s"), Limit(60.0, "its max_duration is 1m 00s"))}
    late = Lateness(WHOSE, limits)
    assert late.due(100.0, [(0, 1, 0.0), (1, 1, 100.0)]) == []
    assert late.next_at == 120.0
    (told,) = late.due(120.0, [(1, 1, 100.0)])
    assert told == TellLate(
        *(1, 1, 120.0),
        "flow: b is late: it has run for 20.0s, usually 4.0s",
        "Run 7, attempt 1 of b. It runs on: this stops nothing.",
    )
    assert late.next_at == 140.0  # something else may have begun at 120
    assert late.due(130.0, [(1, 1, 100.0)]) == []
    assert late.due(140.0, [(1, 1, 100.0)]) == []
    (told,) = late.due(160.0, [(1, 1, 100.0)])
    assert told.headline == "flow: b is late: it has run for 1m 00s, its max_duration is 1m 00s"
    assert [each.number for each in late.due(200.0, [(1, 2, 170.0)])] == [2]


def test_what_begins_between_two_looks_is_not_overlooked() -> None:
    """Of a claim that waits for a worker it is not known when it begins: it is looked again."""
    late = Lateness(WHOSE, {0: (Limit(10.0, "usually 1.0s"),)})
    assert late.due(0.0, [(0, 1, None)]) == []
    assert late.next_at == 5.0
    assert late.due(5.0, [(0, 1, 3.0)]) == []
    assert late.next_at == 13.0
    assert len(late.due(13.0, [(0, 1, 3.0)])) == 1


def test_a_run_is_told_of_once_for_each_moment() -> None:
    """With no limit of a step nothing is looked at but those."""
    moments = [Moment(50.0, "its deadline was 09:30 CET"), Moment(20.0, "it has run for 20s")]
    late = Lateness(WHOSE, {}, moments)
    assert late.due(0.0, [(0, 1, 0.0)]) == []
    assert late.next_at == 20.0
    (told,) = late.due(20.0, [])
    assert (told.step, told.headline) == (None, "flow is late: it has run for 20s")
    assert late.next_at == 50.0
    assert [each.headline for each in late.due(60.0, [])] == [
        "flow is late: its deadline was 09:30 CET"
    ]
    assert late.next_at == math.inf


@pytest.mark.parametrize(
    ("took", "after_s"),
    [
        ([4.0] * (LATE_FROM - 1), None),  # too little is known
        ([4.0] * LATE_FROM, 14.0),  # of what is short some seconds are not worth a message
        ([100.0] * 10, 200.0),
        ([100.0] * 7 + [900.0] * 3, 900.0),  # it often takes so long
    ],
)
def test_what_is_slower_than_usual(took: list[float], after_s: float | None) -> None:
    """Twice the median, beyond most of the times, and ten seconds more at least."""
    known = spread(took)
    assert known is not None
    assert late_after_s(known) == after_s
    limits = usual_limits(["new", "old"], {"old": known})
    assert [(step, *map(float, [limit[0].after_s])) for step, limit in limits.items()] == (
        [] if after_s is None else [(1, after_s)]
    )


@pytest.mark.parametrize(
    ("deadline", "slot", "expected"),
    [
        ("09:30", "2026-01-10T07:00", "2026-01-10T08:30"),
        ("09:30", "2026-07-10T06:00", "2026-07-10T07:30"),
        ("06:00", "2026-01-10T22:00", "2026-01-11T05:00"),  # the next day's
        ("02:30", "2026-03-28T23:00", "2026-03-29T01:30"),  # skipped: at 03:30
        ("02:30", "2026-10-24T22:00", "2026-10-25T00:30"),  # twice: the first
        (5400.0, "2026-03-29T00:30", "2026-03-29T02:00"),
    ],
)
def test_a_deadline_is_after_its_slot(deadline: float | str, slot: str, expected: str) -> None:
    """A time of day in the zone, or so long after it; Europe/Berlin, both changes of the clock."""
    at = datetime.fromisoformat(slot).replace(tzinfo=UTC)
    found = deadline_of(deadline, at, ZoneInfo("Europe/Berlin"))
    assert f"{found:%Y-%m-%dT%H:%M}" == expected
