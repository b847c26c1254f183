"""The real clock against a wall clock that is set, and a machine that sleeps."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from engine.clock import SystemClock


@pytest.mark.parametrize("set_by_s", [-3_600.0, 86_400.0])
def test_a_wall_clock_that_is_set_moves_no_recorded_time(
    set_by_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durations and order come from the monotonic clock; the wall is looked at once."""
    machine = SimpleNamespace(wall=1_321_228_800.0, up=100.0)
    monkeypatch.setattr(
        "engine.clock.time",
        SimpleNamespace(time=lambda: machine.wall, monotonic=lambda: machine.up),
    )
    clock = SystemClock()
    before, stamp, told = clock.now(), clock.stamp(clock.now()), clock.utc()
    machine.wall += set_by_s + 2.0
    machine.up += 2.0
    assert clock.now() - before == 2.0
    assert clock.stamp(clock.now()) - stamp == 2_000_000
    assert clock.utc() - told == timedelta(seconds=2)
    assert clock.instant(stamp) == pytest.approx(before)


def test_time_asleep_counts_for_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspended machine's monotonic clock stands still, and limits are read from that alone."""
    machine = SimpleNamespace(wall=0.0, up=100.0)
    monkeypatch.setattr(
        "engine.clock.time",
        SimpleNamespace(time=lambda: machine.wall, monotonic=lambda: machine.up),
    )
    clock = SystemClock()
    before = clock.now()
    machine.wall += 600.0
    assert clock.now() == before
