"""Conditions drawn at random: only our own errors, no hang, and the meaning they should have.

`KAHNBAN_FUZZ=N` draws N of each kind.
"""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from engine.clock import SystemClock
from engine.conditions import Condition, checked, parse
from engine.conditions.checking import Scope
from engine.conditions.parser import LENGTH_MAX
from engine.conditions.tree import Both, Compare, Either, Items, Literal, Node, Not, Word, text_of
from engine.errors import ConditionError
from engine.workflow_conditions import guesser

FUZZ = int(os.environ.get("KAHNBAN_FUZZ", "0"))
HANG_S = 1.0
CLOCK = SystemClock()
STEPS = ("fetch", "fetch.rows", "a-b", "größe", "own")
SCOPE = Scope(
    "own", STEPS, {"n": int, "day": date, "s": str}, lambda above, _: above != "own", guesser(STEPS)
)
drawn = settings(max_examples=FUZZ or 150, deadline=None)

# -- whatever the text ----------------------------------------------------------------------------

WORDS_AND_SIGNS = """and or not in true false null fetch fetch.rows a-b.x params.n params.s
    params.day == != < <= > >= ( ) [ ] , 1 -2 0.5 'x' "y" " ' . .. - fetch.status "ok" größe
    ² $ = !"""
PIECES = WORDS_AND_SIGNS.split()
PIECES += ["\\", "\u0301", "\0", "\u202e", "\n"]


class Anything:
    """A context whose steps left values of every kind."""

    def __init__(self, value: Any) -> None:
        """Leave `value` wherever it is asked for."""
        self.params: Mapping[str, Any] = {"n": 1, "day": date(2024, 1, 1), "s": "x"}
        self._value = value

    def status(self, step: str) -> str:
        """Give a status."""
        return "failed" if step == "a-b" else "ok"

    def left_by(self, step: str, key: str, default: Any) -> Any:
        """Give the value, or nothing."""
        assert step in STEPS
        return default if key == "x" else self._value


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(max_size=5)
    | st.dates()
    | st.datetimes()
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def try_it(text: str, value: Any = 1) -> Condition | None:
    """Do all that is done with a text; nothing but our own errors may come out, and soon."""
    begun = CLOCK.cpu_s()
    wrong = checked(text, SCOPE)[1]
    assert all(0 <= one.offset <= len(text) and one.message and one.hint for one in wrong)
    condition = None
    if not wrong:
        condition, _ = parse(text).tied(SCOPE)
        with suppress(ConditionError):
            why = condition.unmet(Anything(value))
            assert why == "" or why.startswith(f"condition false: {condition.text}")
    assert CLOCK.cpu_s() - begun < HANG_S
    return condition


@drawn
@given(st.text(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join), VALUES)
@example('fetch == "x" and fetch.rows == fetch', float("nan"))
@example("fetch < 0.5", Decimal("sNaN"))
@example("fetch < 0.5", Decimal("1E+999999"))
@example("0.5 < fetch", sys.float_info.max)
def test_any_text(text: str, value: Any) -> None:
    """It is true, false or undecided, or it is refused with a place and a hint."""
    condition = try_it(text, value)
    if condition is not None:
        assert parse(condition.text).text == condition.text


@pytest.mark.parametrize(
    "text",
    [
        "(" * LENGTH_MAX,
        "[" * LENGTH_MAX,
        "not " * 250,
        "not(" * 200 + ")" * 200,
        "((((" * 12 + "true" + "))))" * 12,
        "a" * LENGTH_MAX,
        "a." * 500,
        "a-" * 500,
        "." * LENGTH_MAX,
        "-" * LENGTH_MAX,
        "9" * LENGTH_MAX,
        f"fetch < {'9' * 900}",
        f"fetch < 0.{'9' * 900}",
        f"-{'9' * 400}.{'9' * 400} < fetch < {'9' * 150}",
        '"' * LENGTH_MAX,
        "\\" * LENGTH_MAX,
        '"' + "\\\\" * 400 + '" == fetch',
        "e\u0301" * 500,
        "\u0301" * LENGTH_MAX,
        "\U0001f469\u200d" * 500,
        "ﷺ" * LENGTH_MAX,
        "true and " * 111 + "1",
        "x == y " * 142,
        "1 < " * 249 + "2",
        f"fetch in [{'1,' * 480}]",
        "fetch == 1 or " * 71 + "true",
        "fetsh.a and " * 83 + "true",
        "\0" * LENGTH_MAX,
        "x" * (LENGTH_MAX + 1),
        "x" * 10_000_000,
    ],
    ids=lambda text: f"{text[:12]!a}",
)
def test_hostile_texts(text: str) -> None:
    """No text takes a second, a deep recursion or another error than ours."""
    try_it(text, 10**400)


def test_a_guess_among_many_steps_takes_no_second() -> None:
    """What was meant is looked for a few times only, whatever the number of unknown names."""
    steps = {f"step-{at}": at for at in range(20_000)}
    scope = Scope("own", steps, {}, lambda *_: True, guesser(steps))
    begun = CLOCK.cpu_s()
    assert len(checked(" and ".join(f"stp-{at}.x" for at in range(60)), scope)[1]) == 60
    assert CLOCK.cpu_s() - begun < HANG_S


# -- trees ----------------------------------------------------------------------------------------

LITERALS = st.one_of(
    st.integers(-1000, 1000),
    st.decimals(-9, 9, places=3),
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.booleans(),
    st.none(),
).map(Literal)
WORDS = st.sampled_from(["a", "a.b", "x-y.0", "größe.k"]).map(Word)
SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])


def chains(operands: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Draw comparisons, chained in one direction too."""
    ways = st.sampled_from([["<", "<="], [">", ">="]])
    more = ways.flatmap(lambda way: st.lists(st.sampled_from(way), min_size=2, max_size=3))
    words = st.one_of(SIGNS.map(lambda word: [word]), more)
    return words.flatmap(
        lambda words: st.lists(operands, min_size=len(words) + 1, max_size=len(words) + 1).map(
            lambda found: Compare(tuple(found), tuple(words))
        )
    )


def parts(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[tuple[Node, ...]]:
    """Draw two or three parts."""
    return st.lists(inner, min_size=2, max_size=3).map(tuple)


def bigger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Draw what holds other trees."""
    lists = st.lists(LITERALS, max_size=3).map(lambda items: Items(tuple(items)))
    operands = LITERALS | WORDS | lists | inner
    return chains(operands) | inner.map(Not) | parts(inner).map(Both) | parts(inner).map(Either)


TREES = st.recursive(LITERALS | WORDS, bigger, max_leaves=12)


@drawn
@given(TREES)
def test_text_and_tree_are_one(tree: Node) -> None:
    """A tree's text is parsed to a tree with that text."""
    text = text_of(tree)
    assume(len(text) <= LENGTH_MAX)
    found = parse(text)
    assert text_of(found.tree) == text == found.text


# -- meaning --------------------------------------------------------------------------------------

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda first, second: first in second,
    "not in": lambda first, second: first not in second,
}


class UndecidedError(Exception):
    """What the small evaluator raises in a condition's place."""


def meaning(node: Node, values: Mapping[str, Any]) -> Any:
    """Give a condition's value, in the plainest way."""
    match node:
        case Literal(value):
            return value
        case Items(items):
            return [item.value for item in items]
        case Word(text):
            return values[text]
        case Not(operand):
            return not truth(operand, values)
        case Both(parts):
            return all(truth(part, values) for part in parts)
        case Either(parts):
            return any(truth(part, values) for part in parts)
        case Compare(operands, words):
            left = meaning(operands[0], values)
            for word, operand in zip(words, operands[1:], strict=True):
                right = meaning(operand, values)
                if not holds(word, left, right):
                    return False
                left = right
            return True
    raise AssertionError


def truth(node: Node, values: Mapping[str, Any]) -> bool:
    """Give a condition's value, which must be true or false."""
    value = meaning(node, values)
    if not isinstance(value, bool):
        raise UndecidedError
    return value


def sort_of(value: Any) -> str:
    """Tell numbers from truths, which Python does not."""
    return "number" if type(value) in (int, Decimal) else type(value).__name__


def holds(word: str, left: Any, right: Any) -> bool:
    """Compare by Python's operators what may be compared."""
    first, second = sort_of(left), sort_of(right)
    if word in ("in", "not in"):
        if second == "list":
            alike = [one for one in right if sort_of(one) == first or None in (one, left)]
            if right and not alike:
                raise UndecidedError
            return bool(OPERATORS[word](left, alike))
        if (first, second) != ("str", "str"):
            raise UndecidedError
    elif word in ("==", "!="):
        if first != second and None not in (left, right):
            raise UndecidedError
        if first == second == "list":
            same = [(sort_of(one), one) for one in left] == [(sort_of(one), one) for one in right]
            return same is (word == "==")
    elif first != second or first not in ("number", "str"):
        raise UndecidedError
    return bool(OPERATORS[word](left, right))


class Left:
    """A context in which the step `s` left values under keys."""

    params: Mapping[str, Any] = {}

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Take the values."""
        self._values = values

    def status(self, step: str) -> str:
        """Give a status."""
        return {"s": "ok"}[step]

    def left_by(self, step: str, key: str, default: Any) -> Any:
        """Give a value."""
        assert step == "s"
        return self._values.get(key, default)


NAMES = ("s.a", "s.b", "s.c")
# Of few values, so that equal ones meet often.
SMALL = st.sampled_from([0, 1, Decimal("0.5"), "", "a", "ab", True, False, None])
READ = st.sampled_from(NAMES).map(Word)
FEW = st.one_of(SMALL.map(Literal), READ, READ)
LISTS = st.lists(SMALL.map(Literal), max_size=3).map(lambda items: Items(tuple(items)))
MEANT = st.recursive(
    chains(FEW | LISTS) | READ | st.booleans().map(Literal),
    lambda inner: inner.map(Not) | parts(inner).map(Both) | parts(inner).map(Either),
    max_leaves=6,
)


@settings(max_examples=FUZZ or 400, deadline=None)
@given(MEANT, st.fixed_dictionaries(dict.fromkeys(NAMES, SMALL)))
def test_it_means_what_it_should(tree: Node, values: Mapping[str, Any]) -> None:
    """It is what an evaluator of a few lines makes of it, with errors where that has them."""
    scope = Scope("own", ("s",), {}, lambda *_: True)
    text = text_of(tree)
    condition, wrong = parse(text).tied(scope)
    found = Left({name.removeprefix("s."): value for name, value in values.items()})
    expected: bool | None = None
    with suppress(UndecidedError):
        expected = truth(tree, values)
    if wrong and expected is not None:
        # What is refused at load may hold in one run, where a part is never asked for.
        assert isinstance(tree, Both | Either | Not | Compare)
        return
    actual: bool | None = None
    with suppress(ConditionError):
        actual = condition(found)
    assert actual is expected, text
