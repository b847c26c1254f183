"""Context values: what is stored reads back the same, type by type, or is refused by name."""

from __future__ import annotations

import decimal
import hashlib
import math
import struct
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import StoreError, ValueNotStorable
from engine.produced import Encoded
from store.values import canonical, decode, encode

FILE_HINT = "write it to a file with ctx.output(path) and store what names it"
BERLIN = ZoneInfo("Europe/Berlin")


def same(one: Any, other: Any) -> bool:
    """Compare type by type, telling -0.0, NaN bits, folds and order apart."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, Decimal):
        return bool(one.as_tuple() == other.as_tuple())
    if isinstance(one, datetime | time):
        zones = one.tzinfo, other.tzinfo
        return bool(
            one.replace(tzinfo=None) == other.replace(tzinfo=None)
            and one.fold == other.fold
            and type(zones[0]) is type(zones[1])
            and str(zones[0]) == str(zones[1])
        )
    if isinstance(one, set | frozenset) and any(each != each for each in one):  # noqa: PLR0124 - only NaN differs from itself
        return len(one) == len(other)
    return bool(one == other)


def read_back(value: object) -> Any:
    """Encode and decode."""
    return decode(encode("key", value))


EXACT = {
    "none": None,
    "true": True,
    "text": "naïve\n\0 ☃ 😀",
    "lone surrogate": "a\udc80b",
    "two surrogates that look like one character": ["\ud83d\ude00", "😀"],
    "2^63": 2**63,
    "beyond 64 bits, negative": -(2**64) - 1,
    "400 digits": 10**400,
    "5,000 digits": 10**5000 - 1,
    "5,000 digits, negative": [-(10**5000)],
    "-0.0": -0.0,
    "smallest float": 5e-324,
    "infinities": [math.inf, -math.inf],
    "nan": math.nan,
    "nan with a payload": struct.unpack(">d", bytes.fromhex("7ff8000000000123"))[0],
    "bytes": b"\0\xff",
    "bytearray": bytearray(b"ab"),
    "nested list": [1, [2.5, None, [False]]],
    "tuple in list": [1, (2, "3", ())],
    "set": {1, "a", (2, None)},
    "frozenset": frozenset({frozenset({1}), frozenset()}),
    "dict order": {"b": 1, "a": 2},
    "int and text key": {1: "int", "1": "text"},
    "odd keys": {None: 1, True: 2, 2.5: 3, (1, "a"): 4, b"k": 5, date(2020, 1, 1): 6},
    "a dict that looks like a tag": {"~tuple": [1]},
    "a dict that looks like a tag beside a tuple": [(), {"~set": [1]}, {"~dict": ["a", 1]}],
    "an unknown tag of the user's": ({"~mine": 1},),
    "two keys with a tilde": ({"~a": 1, "~b": 2},),
    "surrogate in a key": {"\udc80": 1},
    "date": date.min,
    "naive datetime": datetime(2011, 11, 14, 8, 0, 0, 123456),
    "naive datetime with fold": datetime(2011, 10, 30, 2, 30, fold=1),
    "utc": datetime(2011, 11, 14, tzinfo=UTC),
    "fixed offset": datetime(2011, 11, 14, tzinfo=timezone(-timedelta(hours=1, seconds=5))),
    "named offset": datetime(2011, 11, 14, tzinfo=timezone(timedelta(hours=1), "CET")),
    "zone": datetime(2011, 10, 30, 2, 30, tzinfo=BERLIN),
    "zone with fold": datetime(2011, 10, 30, 2, 30, fold=1, tzinfo=BERLIN),
    "time": time(23, 59, 59, 999999),
    "time with zone and fold": time(1, 2, fold=1, tzinfo=ZoneInfo("UTC")),
    "timedelta": timedelta(days=-1, microseconds=1),
    "longest timedelta": timedelta.max,
    "decimals": [Decimal(text) for text in ("1.20", "1.2", "-0", "0E+3", "1E-400", "Infinity")],
    "decimal nan": Decimal("NaN123"),
    "decimal signalling nan": Decimal("-sNaN7"),
    "path": Path("a/b c"),
    "path with a byte that is no text": Path("a\udcff"),
    "pure path": PurePosixPath("/x"),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "deepest": eval("[" * 199 + "]" * 199),  # noqa: S307 - a literal made here
}


@pytest.mark.parametrize("value", EXACT.values(), ids=EXACT.keys())
def test_value_reads_back_the_same(value: object) -> None:
    """A storable value keeps value, type, order, sign, exponent, zone and fold."""
    assert same(read_back(value), value)
    assert same(read_back([value]), [value])


_leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=20)
    | st.dates()
    | st.datetimes(timezones=st.sampled_from([None, UTC, BERLIN]))
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
_key = st.text(max_size=3) | st.integers(-3, 3) | st.tuples(st.text(max_size=2), st.integers(0, 3))
_value = st.recursive(
    _leaf,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(_key | st.sampled_from(["~tuple", "~dict", "~"]), inner, max_size=4)
        | st.sets(_key, max_size=4)
        | st.frozensets(_key, max_size=4)
    ),
    max_leaves=15,
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(_value)
def test_any_nesting_reads_back_the_same(value: object) -> None:
    """Every nesting of storable values reads back the same, from bytes that depend on it alone."""
    encoded = encode("key", value)
    again = decode(encoded)
    assert same(again, value)
    assert encode("key", again) == encoded
    encoded.data.decode()  # UTF-8, so that SQL users can read it


def test_plain_values_are_json() -> None:
    """A plain value is stored as compact JSON with the hash of its bytes."""
    data = b'{"a":[1,2.5,null,true],"\xc3\xbc":"x"}'
    assert encode("key", {"a": [1, 2.5, None, True], "ü": "x"}) == Encoded(
        "json", data, hashlib.sha256(data).hexdigest()
    )


def test_typed_values_are_tagged_json() -> None:
    """What JSON lacks is an object with one key, whose name says the type."""
    encoded = encode("key", {"sum": Decimal("1.20"), "on": date(2011, 11, 14)})
    assert encoded.codec == "json+"
    assert encoded.data == b'{"sum":{"~Decimal":"1.20"},"on":{"~date":"2011-11-14"}}'


def test_sets_have_one_encoding() -> None:
    """Equal sets give equal bytes whatever the order of their making or the hash seed."""
    program = "from store.values import encode; print(encode('k', {'a','b','c','d',1,(2,)}).sha256)"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert hashes == {encode("k", {(2,), 1, "d", "c", "b", "a"}).sha256.encode() + b"\n"}


def test_decimal_ignores_the_thread_s_context() -> None:
    """The decimal context of the step changes neither bytes nor value."""
    usual = encode("key", Decimal("1E+9"))
    with decimal.localcontext() as context:
        context.capitals = 0
        context.prec = 1
        assert encode("key", Decimal("1E+9")) == usual
        assert same(read_back(Decimal("1.23456")), Decimal("1.23456"))


def test_long_ints_read_back_under_the_strictest_limit() -> None:
    """A reader may bound the digits of an int as tightly as Python lets it."""
    encoded = [encode("key", number) for number in (10**600, 10**700, [-(10**700), "a"])]
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert [decode(each) for each in encoded] == [10**600, 10**700, [-(10**700), "a"]]
    finally:
        sys.set_int_max_str_digits(limit)


def test_each_decode_gives_its_own_copy() -> None:
    """Changing a value that was read changes no other reader's."""
    encoded = encode("key", {"a": [1]})
    decode(encoded)["a"].append(2)
    assert decode(encoded) == {"a": [1]}


# -- reading --------------------------------------------------------------------------------------


def _stored(codec: str, data: bytes) -> Encoded:
    return Encoded(codec, data, hashlib.sha256(data).hexdigest())


def test_damage_is_found() -> None:
    """One altered byte is found before the value is used."""
    encoded = encode("k", {"a": 1})
    damaged = Encoded(encoded.codec, encoded.data.replace(b"1", b"2"), encoded.sha256)
    with pytest.raises(StoreError) as caught:
        decode(damaged)
    assert caught.value.message == "a stored value is damaged: its sha256 does not match"


@pytest.mark.parametrize(
    ("codec", "data", "message"),
    [
        ("pickle", b"", "a stored value has the unknown codec 'pickle'"),
        ("json", b"{", "a stored value cannot be read with codec 'json': JSONDecodeError"),
        ("json", b"\xff", "a stored value cannot be read with codec 'json': UnicodeDecodeError"),
        ("json+", b'{"~eval":"1"}', "a stored value cannot be read with codec 'json+': KeyError"),
        ("json+", b'{"~set":[[]]}', "a stored value cannot be read with codec 'json+': TypeError"),
        (
            "json+",
            b'{"~Decimal":"x"}',
            "a stored value cannot be read with codec 'json+': InvalidOperation",
        ),
        (
            "json",
            b"[" * 200_000,
            "a stored value cannot be read with codec 'json': RecursionError",
        ),
    ],
)
def test_unreadable_bytes_are_a_store_error(codec: str, data: bytes, message: str) -> None:
    """Bytes that match their hash but mean nothing are an error of the store, never a crash."""
    with pytest.raises(StoreError) as caught:
        decode(_stored(codec, data))
    assert caught.value.message == message
    assert caught.value.hint


def test_a_table_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a table where its package is missing names the package."""
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(StoreError) as caught:
        decode(_stored("arrow-polars", b""))
    assert caught.value.message == "a stored value needs the package 'polars', which is not here"
    assert caught.value.hint == "install 'polars'"


# -- comparing ------------------------------------------------------------------------------------


def test_canonical_text_compares_values() -> None:
    """Equal values of equal types have equal text, in whatever order their dicts were made."""
    assert canonical({"a": 1, "b": {2: 3, 1: 4}}) == canonical({"b": {1: 4, 2: 3}, "a": 1})
    assert canonical([math.nan]) == canonical([float("nan")])
    different = [1, 1.0, True, "1", (1,), [1], {1}, frozenset({1}), {"~tuple": [1]}, {"1": 1}, None]
    assert len({canonical(value) for value in different}) == len(different)


def test_canonical_refuses_what_cannot_be_stored() -> None:
    """There is no text for what could not be stored."""
    with pytest.raises(ValueNotStorable, match=r"value for 'a value' cannot be stored: complex"):
        canonical(1j)
