"""What is there when a run begins is left alone by collections until its end."""

from __future__ import annotations

import gc
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


def test_runs_at_once_keep_nothing() -> None:
    """A program in which one is always on would never let go of what the others left."""
    with left_alone():
        left = Ring()
        seen = weakref.ref(left)
        as_well()
        del left
        with left_alone():
            as_well()
            assert gc.get_freeze_count() == 0
        gc.collect()
        assert seen() is None
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
    collector.load_for_good("json")
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


def test_nothing_is_collected_while_much_is_made() -> None:
    """What is made then is left alone to the end, as is what is named later."""
    with left_alone():
        before = gc.get_freeze_count()
        with no_collections():
            assert not gc.isenabled()
            made = [[number] for number in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + 1000
        made += [[number] for number in range(1000)]
        as_well()
        assert gc.get_freeze_count() >= before + 2000
    assert len(made) == 2000


def test_without_a_run_nothing_is_kept() -> None:
    """A program that does not collect by itself keeps to that."""
    as_well()
    gc.disable()
    try:
        with no_collections():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_one_thread_turned_off_is_on_after_the_last() -> None:
    """One that came while it was off for another must not take that for the program's wish."""
    collector = _Collector()
    first, second = collector.no_collections(), collector.no_collections()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_what_the_first_run_has_loaded_is_not_looked_through() -> None:
    """It is there to stay: to search it before the second would take 25 ms of that."""
    collector = _Collector()
    kept, searches, many = [], [], len(gc.get_objects()) // 2
    for _ in range(3):
        before = gc.get_stats()[2]["collections"]
        with collector.left_alone(), collector.no_collections():
            searches.append(gc.get_stats()[2]["collections"] - before)
            kept.append([Ring() for _ in range(many)])
    assert searches == [0, 0, 1]


def test_what_many_runs_left_is_collected() -> None:
    """Python would not, as all of it was frozen when it was young."""
    collector = _Collector()
    gc.collect()
    each = len(gc.get_objects()) // 20
    left: list[weakref.ref[Ring]] = []
    for _ in range(10):
        with collector.left_alone(), collector.no_collections():
            made = [Ring() for _ in range(each)]
            left.append(weakref.ref(made[0]))
            del made
    assert [ring() is not None for ring in left].index(True) > 0


def test_a_program_that_collects_nothing_keeps_all() -> None:
    """Its wish counts, whatever is left."""
    collector = _Collector()
    each = len(gc.get_objects())
    gc.disable()
    try:
        for _ in range(2):
            with collector.left_alone():
                made = [Ring() for _ in range(each)]
                left = weakref.ref(made[0])
                del made
        with collector.left_alone():
            assert left() is not None
    finally:
        gc.enable()
