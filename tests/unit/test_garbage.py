"""What is there when a run begins is left alone by collections until its end."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.garbage import MANY_STEPS, _Collector, _has_ends, as_well, left_alone, no_collections


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


def test_what_many_runs_left_is_collected() -> None:
    """Python would not, as all of it was frozen when it was young."""
    collector = _Collector()
    gc.collect()
    each = sys.getallocatedblocks() // 20
    left: list[weakref.ref[Ring]] = []
    for _ in range(10):
        with collector.left_alone(), collector.no_collections():
            made = [Ring() for _ in range(each)]
            left.append(weakref.ref(made[0]))
            del made
    assert [ring() is not None for ring in left].index(True) > 0


@pytest.mark.parametrize("is_much", [False, True])
def test_what_the_first_run_loads_is_not_taken_for_garbage(*, is_much: bool) -> None:
    """It is more than a quarter of what there was; what is more than that is looked through."""
    collector = _Collector()
    there = sys.getallocatedblocks()
    collector._loaded = there // 2
    with collector.left_alone(), collector.no_collections():
        made = [Ring() for _ in range(there * (4 if is_much else 1) // 5)]
        left = weakref.ref(made[0])
        del made
    with collector.left_alone():
        assert (left() is None) is is_much


def test_a_program_that_collects_nothing_keeps_all() -> None:
    """Its wish counts, whatever is left."""
    collector = _Collector()
    each = sys.getallocatedblocks()
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


def test_what_a_command_loads_is_old_at_once() -> None:
    """To look through it as it is there would cost a big run 50 ms."""
    collector = _Collector()
    collector.of_a_command()
    with collector.no_collections():
        made = [[number] for number in range(2 * MANY_STEPS)]
    assert gc.get_count()[0] < MANY_STEPS
    assert gc.get_freeze_count() == 0
    assert len(made) == 2 * MANY_STEPS


def test_what_ends_by_itself_is_told_from_what_does_not() -> None:
    """A file that is open, a function that waits inside a `with`."""

    class Ending(Ring):
        def __del__(self) -> None:
            pass

    class Below(Ending):
        pass

    def waits() -> Iterator[int]:
        yield 1

    streams = [sys.stdin, sys.stdout, sys.stderr]
    plain: list[object] = [Ring(), Ring, waits, [1], {}, *streams, *(one.buffer for one in streams)]
    assert not _has_ends(plain)
    for one in (Ending(), Below(), waits(), io.BytesIO()):
        assert _has_ends([*plain, one])


ENDING = """
import atexit, gc, sys
from engine import garbage

if sys.argv[1:]:
    class Log:
        file = open(sys.argv[1], "w")

    Log.file.write("told")
garbage.of_a_command()
with garbage.left_alone():
    pass
garbage.spare_the_exit()
atexit.register(lambda: print("spared" if gc.get_freeze_count() else "searched"))
"""


def test_the_exit_of_a_big_run_is_searched_where_that_does_something(tmp_path: Path) -> None:
    """A file that a class holds is written to by nothing else; without one the exit is spared."""
    for names, told in (([], "spared\n"), ([tmp_path / "log"], "searched\n")):
        done = subprocess.run(
            [sys.executable, "-c", ENDING, *names], stdout=subprocess.PIPE, text=True, check=True
        )
        assert done.stdout == told
    assert (tmp_path / "log").read_text() == "told"
