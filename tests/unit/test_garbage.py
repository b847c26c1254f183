"""Garbage is not looked for where much is made that stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from engine import garbage


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_collections_come_back_as_they_were() -> None:
    """Also from within others, and after an error; where they were off, they stay off."""
    with garbage.put_off():
        with garbage.put_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), garbage.put_off():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    with garbage.put_off():
        pass
    assert not gc.isenabled()


def test_what_was_made_is_old() -> None:
    """So that the next collection of what is young does not look at it."""
    with garbage.put_off():
        made = [[number] for number in range(10)]
    assert any(one is made for one in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0


def test_what_a_run_makes_is_left_alone_to_its_end() -> None:
    """As long as the run, which thaws it."""
    with garbage.left_alone():
        before = gc.get_freeze_count()
        with garbage.put_off():
            made = [[number] for number in range(100)]
        assert gc.get_freeze_count() >= before + len(made)
    assert gc.get_freeze_count() == 0


def test_what_others_have_frozen_stays_so() -> None:
    """A program that froze its objects, to fork, has them frozen afterwards."""
    gc.freeze()
    try:
        count = gc.get_freeze_count()
        with garbage.put_off():
            pass
        assert gc.get_freeze_count() >= count > 0
    finally:
        gc.unfreeze()
