"""Garbage is looked for seldom while runs last, and as the program wishes before and after."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from engine.garbage import SELDOM, _Collector

MINE = (699, 9, 11)


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    """Let a program have thresholds of its own, and get back those of the tests."""
    before = gc.get_threshold()
    gc.set_threshold(*MINE)
    yield
    gc.set_threshold(*before)
    gc.enable()


class Ring:
    """Holds itself, so that only a collection lets go of it."""

    def __init__(self) -> None:
        """Close the ring."""
        self.itself = self


def test_seldom_while_a_run_lasts() -> None:
    """And as before when it has ended, however it ended."""
    collector = _Collector()
    with pytest.raises(ZeroDivisionError), collector.seldom_collected():
        assert gc.get_threshold() == SELDOM
        _ = 1 / 0
    assert gc.get_threshold() == MINE


def test_the_last_of_runs_at_once_gives_the_thresholds_back() -> None:
    """Whichever began first."""
    collector = _Collector()
    first, second = collector.seldom_collected(), collector.seldom_collected()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold() == SELDOM
    second.__exit__(None, None, None)
    assert gc.get_threshold() == MINE


def test_what_runs_leave_in_rings_is_collected() -> None:
    """While one lasts, too, once there is much of it."""
    collector = _Collector()
    with collector.seldom_collected():
        left = weakref.ref(Ring())
        for _ in range(3):
            kept = [[number] for number in range(SELDOM[0])]
        assert len(kept) == SELDOM[0]
        assert left() is None


def test_a_program_that_collects_nothing_keeps_to_that() -> None:
    """Its wish counts."""
    gc.disable()
    with _Collector().seldom_collected():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_only_a_command_freezes_its_modules() -> None:
    """A program that calls `run` has modules of its own."""
    collector = _Collector()
    collector.load_for_good("json")
    assert gc.get_freeze_count() == 0
    collector.of_a_command()
    collector.load_for_good("json")
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
