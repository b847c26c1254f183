"""Kinds of values, and which of them can be compared: one rule for check and run."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from engine.conditions.wrong import Undecided

# Worded as a message needs them.
NUMBER = "a number"
NAN = "not a number (NaN)"
TEXT = "text"
BOOLEAN = "true or false"
NULL = "null"
DATE = "a date"
MOMENT = "a date and time"
PATH = "a path"
STATUS = "a status"
LIST = "a list"
SET = "a set"
MAPPING = "a mapping"

_BY_TYPE: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, BOOLEAN),
    ((int, float, Decimal), NUMBER),
    (str, TEXT),
    (datetime, MOMENT),
    (date, DATE),
    (PurePath, PATH),
    ((list, tuple), LIST),
    ((set, frozenset), SET),
    (Mapping, MAPPING),
)
_OTHER = "of type "
_ORDERED = frozenset({NUMBER, TEXT, DATE, MOMENT})
_WRITTEN_AS_TEXT = frozenset({DATE, MOMENT, PATH, STATUS})
_ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def kind_of_type(kind: type) -> str:
    """Give the kind of a type's values."""
    named = (name for types, name in _BY_TYPE if issubclass(kind, types))
    return next(named, f"{_OTHER}{kind.__name__}")


def kind_of(value: object) -> str:
    """Give the kind of a value."""
    if value is None:
        return NULL
    if isinstance(value, float | Decimal) and Decimal(value).is_nan():
        return NAN
    return kind_of_type(type(value))


def common(first: str, second: str) -> str | None:
    """Give the kind in which values of two kinds are compared; None if they cannot be."""
    if first == second:
        return None if first == NAN or first.startswith(_OTHER) else first
    for one, other in ((first, second), (second, first)):
        if one == TEXT and other in _WRITTEN_AS_TEXT:
            return other
    return None


def why_not(word: str, first: str, second: str) -> str:
    """Say why values of two kinds cannot be compared by `word`; nothing if they can."""
    if word in ("in", "not in"):
        if second in (LIST, SET, MAPPING) or (first == TEXT and second == TEXT):
            return ""
        return f"'{word}' needs a list on its right"
    if word in ("==", "!=") and NULL in (first, second):
        return ""
    kind = common(first, second)
    if kind is None:
        return "the two cannot be compared"
    if word in _ORDERS and kind not in _ORDERED:
        return f"'{word}' needs two numbers, texts or dates"
    if kind in (SET, MAPPING):
        return f"'{word}' does not compare sets and mappings"
    return ""


def check_comparable(word: str, first: Any, second: Any) -> None:
    """Raise `Undecided` if two values cannot be compared by `word`."""
    why = why_not(word, kind_of(first), kind_of(second))
    if why:
        raise Undecided(why)


def in_kind(value: Any, kind: str) -> Any:
    """Give a value in the kind in which it is compared. Raises `Undecided`."""
    if not isinstance(value, str):
        return value
    if kind == PATH:
        return PurePath(value)
    if kind not in (DATE, MOMENT):
        return value
    try:
        return (date if kind == DATE else datetime).fromisoformat(value)
    except ValueError:
        example = "2011-11-14" if kind == DATE else "2011-11-14T08:00:00"
        raise Undecided(f"the text is not {kind}", f'write it as "{example}"') from None


def compare(word: str, first: Any, second: Any) -> bool:
    """Compare two values that `why_not` has nothing against. Raises `Undecided`."""
    if word in ("in", "not in"):
        return _is_in(first, second) is (word == "in")
    kind = common(kind_of(first), kind_of(second))
    if kind is None:  # one of them is null
        return (first is None and second is None) is (word == "==")
    first, second = in_kind(first, kind), in_kind(second, kind)
    if kind == NUMBER:
        first, second = _alike(first, second)
    elif kind == MOMENT and (first.tzinfo is None) is not (second.tzinfo is None):
        hint = 'write the offset too, as in "2011-11-14T08:00:00+01:00"'
        raise Undecided("only one of the two has a time zone", hint)
    if word in _ORDERS:
        return bool(_ORDERS[word](first, second))
    return _equal(first, second) is (word == "==")


def _alike(first: Any, second: Any) -> tuple[Any, Any]:
    """Let 0.1 equal both the float and the decimal 0.1."""
    if isinstance(first, float) and isinstance(second, Decimal):
        return first, float(second)
    if isinstance(second, float) and isinstance(first, Decimal):
        return float(first), second
    return first, second


def _equal(first: Any, second: Any) -> bool:
    if not isinstance(first, list | tuple):
        return bool(first == second)
    return len(first) == len(second) and all(map(_same, first, second))


def _same(first: Any, second: Any) -> bool:
    """Whether two items are equal; items that cannot be compared are not."""
    try:
        return not why_not("==", kind_of(first), kind_of(second)) and compare("==", first, second)
    except Undecided:
        return False
    except RecursionError:
        raise Undecided("they are nested too deeply to be compared") from None


def _is_in(item: Any, among: Any) -> bool:
    if isinstance(among, str):
        return item in among
    if isinstance(among, Mapping):
        return kind_of(item) in (TEXT, NUMBER) and item in among
    kind = kind_of(item)
    fitting = [other for other in among if not why_not("==", kind, kind_of(other))]
    if among and not fitting:
        raise Undecided(f"nothing in the list is {kind}", "write what is looked for as it is there")
    return any(compare("==", item, other) for other in fitting)
