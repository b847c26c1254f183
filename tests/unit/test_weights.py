"""How long steps are expected to take: by their own past, their kind's, or all steps'."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from engine import Step, shell
from engine.usual import Usual
from engine.weights import kind_of, weights


def fetch(ctx: Any) -> None:
    """Be one kind of step."""


def clean(ctx: Any) -> None:
    """Be another."""


def logged(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate a function as is usual."""

    @functools.wraps(function)
    def inside(*args: Any) -> None:
        function(*args)

    return inside


def made(day: int) -> Callable[[Any], object]:
    """Make a step's function."""

    def of_day(ctx: Any) -> object:
        return ctx, day

    return of_day


class Callme:
    """A step's body with attributes that are not there."""

    def __call__(self, ctx: Any) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)

    def method(self, ctx: Any) -> None:
        """Do nothing."""


STEPS = [Step("f1", fetch), Step("f2", fetch), Step("f3", fetch), Step("c", clean), Step("d", made)]


@pytest.mark.parametrize(
    ("usual", "expected"),
    [
        ({}, []),
        ({"gone": (5.0, 10)}, []),
        ({"f1": (0.0, 3), "c": (0.0000001, 3)}, []),
        (dict.fromkeys(("f1", "f2", "f3", "c", "d"), (0.25, 3)), [250_000] * 5),
        ({"f1": (1.0, 3), "f2": (2.0, 10), "f3": (9.0, 4), "c": (4.0, 3)}, [1, 2, 9, 4, 3]),
        ({"f1": (1.0, 3), "f2": (2.0, 3), "c": (9.0, 3)}, [1, 2, 1.5, 9, 2]),
        ({"f1": (1.0, 3), "f2": (2.0, 3), "f3": (8.0, 1)}, [1, 2, 4, 2, 2]),
        ({"f1": (1.0, 3), "f2": (2.0, 3), "f3": (8.0, 2)}, [1, 2, 5, 2, 2]),
        ({"f1": (6.0, 1)}, [6] * 5),
    ],
    ids=[
        "nothing is known",
        "nothing of these steps",
        "nothing that weighs",
        "all is known",
        "a kind unknown: all steps'",
        "a step unknown: its kind's",
        "one run",
        "two runs",
        "one step of one run",
    ],
)
def test_weights(usual: dict[str, Usual], expected: list[float]) -> None:
    """A step's own median from three runs on, before that drawn to its kind's by two runs more."""
    in_us = expected if 250_000 in expected else [round(seconds * 1e6) for seconds in expected]
    assert weights(STEPS, usual) == in_us


def test_what_has_ended_weighs_nothing() -> None:
    """A path through a step that is done is as long as the rest of it."""
    usual = {"f1": (1.0, 3), "f2": (2.0, 3), "f3": (3.0, 3), "c": (4.0, 3), "d": (5.0, 3)}
    assert weights(STEPS, usual, {0, 3}) == [0, 2_000_000, 3_000_000, 0, 5_000_000]
    assert weights(STEPS, usual, range(5)) == []


def test_kinds() -> None:
    """The function under what wraps it, by name; the program of a command."""
    here = __name__
    assert kind_of(fetch) == (here, "fetch")
    assert kind_of(functools.partial(functools.partial(fetch), 1)) == (here, "fetch")
    assert kind_of(logged(fetch)) == kind_of(functools.lru_cache(fetch)) == (here, "fetch")
    assert kind_of(made(1)) == kind_of(made(2)) == (here, "made.<locals>.of_day")
    assert kind_of(Callme()) == kind_of(Callme) == (here, "Callme")
    assert kind_of(Callme().method) == (here, "Callme.method")
    assert kind_of(len) == ("builtins", "len")
    assert kind_of(shell(["pg_dump", "app"])) == kind_of(shell("pg_dump app | gzip")) == "pg_dump"
    assert kind_of(shell("LC_ALL=C  sort x")) == "sort"
    assert kind_of(shell("A=1")) == ""


def test_a_kind_without_end_is_one() -> None:
    """A wrapper that wraps itself is looked into so far."""
    ring = Callme()
    vars(ring)["__wrapped__"] = ring
    assert kind_of(ring) == (__name__, "Callme")
