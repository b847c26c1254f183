"""Context values that cannot be stored exactly: each is refused by name, type and path."""

from __future__ import annotations

import collections
import dataclasses
import enum
import io
import sys
import threading
import types
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple, NoReturn

import pytest

from engine.errors import ValueNotStorable
from store import values
from store.values import canonical, decode, encode

FILE_HINT = "write it to a file with ctx.output(path) and store what names it"


class Color(enum.IntEnum):
    """A kind of int."""

    RED = 1


class Word(str):  # noqa: SLOT000 - a subclass as users write them
    """A kind of str."""


class Point(NamedTuple):
    """A kind of tuple."""

    x: int


@dataclasses.dataclass
class Row:
    """A dataclass."""

    x: int


class Zone(tzinfo):
    """A time zone of the user's own."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        """Give no offset."""
        return timedelta(0)

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        """Give a name."""
        return "mine"


def _plain(base: str) -> str:
    return f"turn it into a plain {base} first; subclasses are not kept exactly"


HERE = __name__

REFUSED = [
    (Color.RED, f"{HERE}.Color", _plain("int")),
    (Word("a"), f"{HERE}.Word", _plain("str")),
    (Point(1), f"{HERE}.Point", _plain("tuple")),
    (collections.OrderedDict(a=1), "collections.OrderedDict", _plain("dict")),
    (collections.defaultdict(int), "collections.defaultdict", _plain("dict")),
    (Row(1), f"{HERE}.Row", "turn it into a dict first, as with dataclasses.asdict(value)"),
    ((each for each in (1,)), "generator", FILE_HINT),
    (threading.Lock(), "_thread.lock", FILE_HINT),
    (io.BytesIO(), "_io.BytesIO", FILE_HINT),
    (types, "module", FILE_HINT),
    (len, "builtin_function_or_method", FILE_HINT),
    (object, "type", FILE_HINT),
    (1j, "complex", FILE_HINT),
    (range(3), "range", FILE_HINT),
    (PureWindowsPath("a"), f"{PureWindowsPath.__module__}.PureWindowsPath", FILE_HINT),
    (
        datetime(2020, 1, 1, tzinfo=Zone()),
        f"time in a zone of type {HERE}.Zone",
        "use zoneinfo.ZoneInfo(NAME), datetime.timezone or UTC",
    ),
]


@pytest.mark.parametrize(("value", "name", "hint"), REFUSED, ids=[name for _, name, _ in REFUSED])
def test_refusal_names_key_type_and_path(value: object, name: str, hint: str) -> None:
    """What cannot be stored exactly is refused, naming key, type and path, with a way out."""
    with pytest.raises(ValueNotStorable) as caught:
        encode("rows", {"a": [1, 2, (3, value)]})
    assert caught.value.message == f"value for 'rows' cannot be stored: {name} at ['a'][2][1]"
    assert caught.value.hint == hint
    with pytest.raises(ValueNotStorable) as caught:
        encode("rows", value)
    assert caught.value.message == f"value for 'rows' cannot be stored: {name}"


def _message(value: object, key: Any = "k", **options: Any) -> str:
    with pytest.raises(ValueNotStorable) as caught:
        encode(key, value, **options)
    return caught.value.message


def test_paths_show_keys_briefly() -> None:
    """A path shows text and small ints as they are, and every other key by its type."""
    what = "value for 'k' cannot be stored: complex"
    assert _message({1: {(1, 2): {b"x": 1j}}}) == f"{what} at [1][<tuple>][<bytes>]"
    assert _message({"x" * 70: 1j}) == f"{what} at ['{'x' * 60}…']"
    assert _message({10**5000: 1j}) == f"{what} at [<int>]"
    assert _message([{1, 1j}]) == f"{what} at [0]{{…}}"
    assert _message([{(1, 1j): 0}]) == f"{what}, as a key at [0][1]"


def test_key_must_be_plain_text() -> None:
    """A value's key is text that a database can hold."""
    assert _message(1, key=3) == "value cannot be stored: a key is text, this is int"
    assert _message(1, key=Word("a")).endswith(f"a key is text, this is {HERE}.Word")
    assert _message(1, key="a\udc80") == "value cannot be stored: the key is not valid Unicode"


def test_cycles_are_refused() -> None:
    """A value that holds itself is refused where the loop closes."""
    loop: list[Any] = [1]
    loop.append({"a": loop})
    assert _message(loop) == "value for 'k' cannot be stored: list that holds itself at [1]['a']"
    wide: dict[str, Any] = {}
    wide["x"] = (wide, wide)
    assert _message(wide) == "value for 'k' cannot be stored: dict that holds itself at ['x'][0]"


@pytest.mark.parametrize("depth", [201, 3_000, 50_000])
@pytest.mark.parametrize("wrap", [list, tuple], ids=["list", "tuple"])
def test_depth_is_bounded(depth: int, wrap: Any) -> None:
    """Nesting beyond the limit is refused, never a RecursionError."""
    value: Any = 1
    for _ in range(depth):
        value = wrap([value])
    expected = f"nested deeper than 200 levels at {'[0]' * 12}…"
    assert _message(value) == f"value for 'k' cannot be stored: {expected}"


def test_deepest_tuples_read_back() -> None:
    """Tagging makes the JSON deeper than the value; the limit allows for it."""
    value: Any = ()
    for _ in range(198):
        value = ({1: value},) if value == () else (value,)
    assert canonical(decode(encode("k", value))) == canonical(value)


def test_a_stack_that_is_nearly_full_is_no_recursion_error() -> None:
    """A step deep in its own recursion gets a refusal, or the value stored."""

    def descend(left: int) -> Any:
        return descend(left - 1) if left else encode("k", value)

    value: Any = {1}
    for _ in range(150):
        value = (value,)
    frame: types.FrameType | None = sys._getframe()
    depth = 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    with pytest.raises(ValueNotStorable, match="nested too deep for here"):
        descend(sys.getrecursionlimit() - depth - 60)


def test_limits_are_met_before_the_memory_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too large a value is refused, also where shared parts multiply without end."""
    shared: Any = []
    for _ in range(100):
        shared = [shared, shared]
    monkeypatch.setattr(values, "_ITEMS_MAX", 10_000)
    over = "over 100,000,000 bytes encoded"
    assert _message(shared) == f"value for 'k' cannot be stored: {over}"
    assert _message([bytes(100_000_001)]) == f"value for 'k' cannot be stored: {over} at [0]"


def test_encoded_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the encoded size that counts, to the byte."""
    monkeypatch.setattr(values, "BYTES_MAX", 12)
    assert len(encode("k", "\n" * 5).data) == 12
    assert _message("\n" * 6) == "value for 'k' cannot be stored: 14 bytes encoded, over 12"
    assert _message((1,)) == "value for 'k' cannot be stored: 14 bytes encoded, over 12"
    assert values.NOTE_BYTES == 1_000_000


class Hostile:
    """Raises from whatever it is asked."""

    def _refuse(self, *_: object) -> NoReturn:
        raise ZeroDivisionError

    __eq__ = __repr__ = __str__ = __reduce__ = __len__ = __iter__ = _refuse
    __class__ = property(_refuse)

    def __hash__(self) -> int:
        """Be usable as a key once."""
        return 1


class HostileMeta(type):
    """A class that refuses to be looked at."""

    def __hash__(cls) -> int:
        """Refuse."""
        raise ZeroDivisionError

    def __getattribute__(cls, name: str) -> Any:
        """Refuse."""
        raise ZeroDivisionError

    def __eq__(cls, other: object) -> bool:
        """Refuse."""
        raise ZeroDivisionError


def test_hostile_objects_are_only_refused() -> None:
    """No method of the user's object or class is called on the way to the refusal."""
    hostile = HostileMeta("Hidden", (), {"__module__": "m"})()
    assert _message([Hostile()]) == f"value for 'k' cannot be stored: {HERE}.Hostile at [0]"
    assert _message({Hostile(): 1}) == f"value for 'k' cannot be stored: {HERE}.Hostile, as a key"
    assert _message([hostile]) == "value for 'k' cannot be stored: m.Hidden at [0]"


SECRET = "s3cr3t-token"


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (SECRET, ""),
        ([1, {"a": f"Bearer {SECRET}"}], " at [1]['a']"),
        ({SECRET: 1}, ", as a key"),
        ({"a": {SECRET: object()}}, ", as a key at ['a']"),
        ((1, SECRET), " at [1]"),
        ({SECRET}, " at {…}"),
        (SECRET.encode(), ""),
        ([bytearray(b"\xff" + SECRET.encode())], " at [0]"),
        (Path("/x") / SECRET, ""),
    ],
)
def test_secrets_are_refused_without_showing_them(value: object, where: str) -> None:
    """A registered secret anywhere inside is refused; the message does not hold it."""
    message = _message(value, reject=lambda text: SECRET in text)
    assert message == f"value for 'k' cannot be stored: a registered secret{where}"


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (4711081512345678, ""),
        ([1, {"a": 94711081512345678}], " at [1]['a']"),
        ({4711081512345678: 1}, ", as a key"),
        ((1, 4711081512345678), " at [1]"),
        (47110815123456789012, ""),
        (-4711081512345678.0, ""),
        (Decimal(4711081512345678), ""),
        ((0.5, 4711081512345678.0), " at [1]"),
    ],
)
def test_secrets_that_are_numbers_are_refused(value: object, where: str) -> None:
    """A secret of digits is one also where it is stored as a number."""
    message = _message(value, reject=lambda text: "4711081512345678" in text)
    assert message == f"value for 'k' cannot be stored: a registered secret{where}"


def test_a_secret_that_is_a_date_is_refused() -> None:
    """What is written as text, whatever it is, is looked at."""
    message = _message((1, date(2011, 11, 14)), reject=lambda text: "2011-11-14" in text)
    assert message == "value for 'k' cannot be stored: a registered secret"


def test_secret_in_the_key_is_refused() -> None:
    """The key is stored too."""
    message = _message(1, key=SECRET, reject=lambda text: SECRET in text)
    assert message == "value cannot be stored: the key holds a registered secret"


def test_values_without_secrets_pass() -> None:
    """Asking changes nothing where the answer is no."""
    value = {"a": ["b", (b"c",)]}
    assert encode("k", value, reject=lambda _: False) == encode("k", value)
