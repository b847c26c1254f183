"""Tagged JSON: values beyond JSON's own, each an object with one key that starts with "~".

A user's dict that looks like one is written as pairs. Types are told by identity, so that no
method a user could override is called.
"""

from __future__ import annotations

import json
import math
import re
import struct
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from store import tables_arrow
from store.storable import (
    BYTES_MAX,
    DEPTH_MAX,
    HINT,
    PLAIN_INT,
    SECRET,
    SECRET_HINT,
    NotStorable,
    is_utf8,
    shown,
    type_name,
)

Reject = Callable[[str], bool]

dump: Callable[[object], str] = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


# -- writing ---------------------------------------------------------------------------------------


def tagged(value: object, reject: Reject | None, *, ordered: bool = False) -> str:
    """Give `value` as tagged JSON, or raise `NotStorable`; `ordered` sorts dicts too."""
    text = dump(_Tagger(reject, ordered=ordered).tree(value))
    if reject is not None and numbers_hold(text, reject):
        _Tagger(reject, ordered=ordered, numbers=True).tree(value)  # raises and says where
        raise NotStorable(SECRET, SECRET_HINT)  # in a date, say
    return text


def numbers_hold(text: str, reject: Reject) -> bool:
    """Tell whether encoded text holds a secret in what is no text: all texts were asked about."""
    return _NUMBER.search(text) is not None and reject(text)


# What numbers and dates consist of, as many characters of it as a secret has at least.
_NUMBER = re.compile(r"[0-9.eE+:T-]{6}")


class _Tagger:
    """Turns one value into a tree of plain JSON and tags."""

    def __init__(self, reject: Reject | None, *, ordered: bool, numbers: bool = False) -> None:
        self.reject = reject
        self.numbers = numbers  # ask about each of them too
        self.ordered = ordered
        self.size = 0  # never more than the encoded size
        self.open: set[int] = set()

    def tree(self, value: Any) -> Any:
        """Give the tree of `value`, or raise `NotStorable`."""
        write = _WRITERS.get(id(type(value)))
        self.size += 2
        if self.size > BYTES_MAX:
            raise NotStorable(f"over {BYTES_MAX:,} bytes encoded", HINT)
        if write is None:
            raise NotStorable(type_name(value), _hint_for(value))
        if write not in _NESTING:
            return write(self, value)
        if id(value) in self.open:
            raise NotStorable(f"{type_name(value)} that holds itself", "store it without the loop")
        if len(self.open) >= DEPTH_MAX:
            raise NotStorable(f"nested deeper than {DEPTH_MAX} levels", HINT)
        if type(value) is not list and type(value) is not dict:
            self.size += len("{'~set':[]}")
        self.open.add(id(value))
        result = write(self, value)
        self.open.remove(id(value))
        return result

    def text(self, value: str) -> Any:
        self.size += len(value)
        if self.size > BYTES_MAX:
            raise NotStorable(f"over {BYTES_MAX:,} bytes encoded", HINT)
        if self.reject is not None and self.reject(value):
            raise NotStorable(SECRET, SECRET_HINT)
        return value if is_utf8(value) else {"~text": value.encode("utf-8", "surrogatepass").hex()}

    def integer(self, value: int) -> Any:
        if -PLAIN_INT < value < PLAIN_INT:
            return self.number(value)
        if value.bit_length() < _DECIMAL_BITS_MAX:
            self.text(str(value))  # a secret is looked for in decimal too
        return {"~int": self.text(hex(value))}

    def number(self, value: float) -> Any:
        if self.numbers and self.reject is not None and self.reject(str(value)):
            raise NotStorable(SECRET, SECRET_HINT)
        return value

    def real(self, value: float) -> Any:
        return (
            self.number(value)
            if math.isfinite(value)
            else {"~float": struct.pack(">d", value).hex()}
        )

    def octets(self, value: bytes | bytearray) -> Any:
        if len(value) > BYTES_MAX:
            raise NotStorable(f"over {BYTES_MAX:,} bytes encoded", HINT)
        self.size += len(value)
        if self.reject is not None and self.reject(value.decode("utf-8", "ignore")):
            raise NotStorable(SECRET, SECRET_HINT)
        return {f"~{type(value).__name__}": b64encode(value).decode()}

    def items(self, values: list[Any] | tuple[Any, ...]) -> list[Any]:
        written: list[Any] = []
        try:
            for value in values:
                written.append(self.tree(value))
        except NotStorable as fault:
            fault.path.append(f"[{len(written)}]")
            raise
        return written

    def members(self, values: set[Any] | frozenset[Any]) -> Any:
        try:
            written = [self.tree(value) for value in values]
        except NotStorable as fault:
            fault.path.append("{…}")
            raise
        return {f"~{type(values).__name__}": sorted(written, key=dump)}

    def mapping(self, values: dict[Any, Any]) -> Any:
        pairs = []
        for key, value in values.items():
            try:
                written = self.tree(key)
            except NotStorable as fault:
                fault.what += ", as a key"
                raise
            try:
                pairs.append((written, self.tree(value)))
            except NotStorable as fault:
                fault.path.append(f"[{shown(key)}]")
                raise
        if self.ordered:
            pairs.sort(key=lambda pair: dump(pair[0]))
        as_object = all(type(key) is str for key, _ in pairs)
        if as_object and not (len(pairs) == 1 and pairs[0][0].startswith("~")):
            return dict(pairs)
        return {"~dict": list(chain.from_iterable(pairs))}

    def moment(self, value: datetime | time) -> Any:
        zone = self.zone(value.tzinfo)
        naive = value.replace(tzinfo=None)
        return {f"~{type(value).__name__}": [naive.isoformat(), value.fold, zone]}

    def zone(self, zone: tzinfo | None) -> Any:
        """Give None, a zone's name, or a list of a fixed offset in µs and its own name if any."""
        if zone is None:
            return None
        if type(zone) is timezone:
            return [zone.utcoffset(None) // _MICROSECOND, *map(self.text, _offset_name(zone))]
        zoneinfo: Any = sys.modules.get("zoneinfo")
        if zoneinfo is not None and type(zone) is zoneinfo.ZoneInfo:
            try:
                return self.text(_known_name(zoneinfo.ZoneInfo, zone))
            except (KeyError, ValueError, TypeError, OSError):
                raise NotStorable("time zone without a known name", _ZONE_HINT) from None
        raise NotStorable(f"time in a zone of type {type_name(zone)}", _ZONE_HINT)

    def exact(self, value: Decimal) -> Any:
        # str() writes "e" or "E" as the thread's decimal context says
        return {"~Decimal": self.text(str(value).replace("e", "E"))}


_MICROSECOND = timedelta(microseconds=1)
_DECIMAL_BITS_MAX = 2_000  # no secret is longer, and Python writes ints of this size at any limit
_ZONE_HINT = "use zoneinfo.ZoneInfo(NAME), datetime.timezone or UTC"


def _known_name(kind: Any, zone: Any) -> str:
    name: str = kind(zone.key).key  # raises if a reader could not find it
    return name


def _offset_name(zone: timezone) -> tuple[str, ...]:
    # UTC+01:00 may carry a name of its own; nothing public tells it from the default
    return zone.__getinitargs__()[1:]  # type: ignore[attr-defined, no-any-return]


_Writer = Callable[[_Tagger, Any], Any]
_STORABLE: dict[type, _Writer] = {
    type(None): lambda _, value: value,
    bool: lambda _, value: value,
    int: _Tagger.integer,
    float: _Tagger.real,
    str: _Tagger.text,
    bytes: _Tagger.octets,
    bytearray: _Tagger.octets,
    list: _Tagger.items,
    tuple: lambda tagger, value: {"~tuple": tagger.items(value)},
    set: _Tagger.members,
    frozenset: _Tagger.members,
    dict: _Tagger.mapping,
    datetime: _Tagger.moment,
    time: _Tagger.moment,
    date: lambda _, value: {"~date": value.isoformat()},
    timedelta: lambda _, value: {"~timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: _Tagger.exact,
    UUID: lambda tagger, value: {"~UUID": tagger.text(str(value))},
    type(Path()): lambda tagger, value: {"~Path": tagger.text(str(value))},
    PurePosixPath: lambda tagger, value: {"~PurePath": tagger.text(str(value))},
}
_WRITERS = {id(kind): write for kind, write in _STORABLE.items()}
_NESTING = {_STORABLE[kind] for kind in (list, tuple, set, frozenset, dict)}


def _hint_for(value: object) -> str:
    bases: tuple[type, ...] = type.__dict__["__mro__"].__get__(type(value))
    for base in bases:
        write = _WRITERS.get(id(base))
        if write is not None:
            return f"turn it into a plain {base.__name__} first; subclasses are not kept exactly"
        if "__dataclass_fields__" in type.__dict__["__dict__"].__get__(base):
            return "turn it into a dict first, as with dataclasses.asdict(value)"
    return tables_arrow.hint_inside(value) or HINT


# -- reading ---------------------------------------------------------------------------------------


def untagged(found: dict[str, Any]) -> Any:
    """Give what a JSON object stands for; its contents have been through here before it."""
    if len(found) == 1:
        ((tag, content),) = found.items()
        if tag.startswith("~"):
            return _READERS[tag](content)
    return found


def _read_zone(zone: Any) -> tzinfo | None:
    if zone is None:
        return None
    if type(zone) is list:
        return timezone(timedelta(microseconds=zone[0]), *zone[1:])
    from zoneinfo import ZoneInfo

    return ZoneInfo(zone)


def _read_datetime(content: list[Any]) -> datetime:
    naive, fold, zone = content
    return datetime.fromisoformat(naive).replace(tzinfo=_read_zone(zone), fold=fold)


def _read_time(content: list[Any]) -> time:
    naive, fold, zone = content
    return time.fromisoformat(naive).replace(tzinfo=_read_zone(zone), fold=fold)


_READERS: dict[str, Callable[[Any], Any]] = {
    "~text": lambda content: bytes.fromhex(content).decode("utf-8", "surrogatepass"),
    "~int": lambda content: int(content, 16),
    "~float": lambda content: struct.unpack(">d", bytes.fromhex(content))[0],
    "~bytes": b64decode,
    "~bytearray": lambda content: bytearray(b64decode(content)),
    "~tuple": tuple,
    "~set": set,
    "~frozenset": frozenset,
    "~dict": lambda content: dict(zip(content[::2], content[1::2], strict=True)),
    "~datetime": _read_datetime,
    "~time": _read_time,
    "~date": date.fromisoformat,
    "~timedelta": lambda content: timedelta(*content),
    "~Decimal": Decimal,
    "~UUID": UUID,
    "~Path": Path,
    "~PurePath": PurePosixPath,
}
