"""What is there when a run begins is left alone by collections until its end."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from engine.garbage import MANY_STEPS, _Collector, as_well, left_alone, no_collections


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    assert gc.get_freeze_count() == 0
    yield
    gc.unfreeze()


class Ring:
    """Garbage, once nobody has it: it holds itself."""

    def __init__(self) -> None:
        """Close the ring."""
        self.itself = self


def test_runs_at_once_share_it() -> None:
    """All is collected again when the last of them has ended."""
    with left_alone():
        with left_alone():
            assert gc.get_freeze_count() > 1000
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0


def test_what_a_run_makes_is_collected() -> None:
    """Only what was there before is kept, until the end."""
    before = Ring()
    seen = weakref.ref(before)
    with left_alone():
        made = Ring()
        seen_made = weakref.ref(made)
        del before, made
        gc.collect()
        assert seen_made() is None
        assert seen() is not None
    gc.collect()
    assert seen() is None


def test_what_a_program_has_frozen_stays_so() -> None:
    """Thawing ours would thaw it."""
    gc.freeze()
    with left_alone():
        made = [[number] for number in range(10_000)]
        before = gc.get_freeze_count()
        as_well()
        assert gc.get_freeze_count() <= before
    assert gc.get_freeze_count() > 1000
    assert len(made) == 10_000


def test_a_run_that_fails_thaws_too() -> None:
    """Whatever ends it."""
    with pytest.raises(KeyboardInterrupt), left_alone():
        raise KeyboardInterrupt
    assert gc.get_freeze_count() == 0


def test_the_modules_of_a_command_stay_frozen_for_a_few_steps() -> None:
    """A run of many steps is worth it to leave those alone, too, and thaws all at its end."""
    collector = _Collector()
    collector.of_a_command()
    collector.load_for_good("colorsys")
    assert "colorsys" in sys.modules
    modules = gc.get_freeze_count()
    made = [Ring() for _ in range(100)]
    with collector.left_alone(MANY_STEPS - 1):
        assert gc.get_freeze_count() == modules
    assert gc.get_freeze_count() == modules
    with collector.left_alone(MANY_STEPS):
        assert gc.get_freeze_count() >= modules + len(made)
    assert gc.get_freeze_count() == 0


def test_only_a_command_freezes_for_good() -> None:
    """A program that calls one has a collector of its own."""
    _Collector().load_for_good()
    assert gc.get_freeze_count() == 0


def test_what_is_made_before_the_first_step_is_left_alone_as_well() -> None:
    """It is wanted to the end of the run; outside of one nothing is kept."""
    as_well()
    assert gc.get_freeze_count() == 0
    with left_alone():
        before = gc.get_freeze_count()
        made = [[number] for number in range(1000)]
        as_well()
        assert gc.get_freeze_count() >= before + len(made)


@pytest.mark.parametrize("collecting", [True, False])
def test_nothing_is_collected_for_a_while(*, collecting: bool) -> None:
    """A program that does not collect by itself keeps to that."""
    if not collecting:
        gc.disable()
    try:
        with no_collections():
            assert not gc.isenabled()
        assert gc.isenabled() is collecting
    finally:
        gc.enable()
