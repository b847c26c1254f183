"""Codecs for context values: what is stored reads back equal, with the same types, or is refused.

Plain JSON values are JSON (codec `json`). Anything else is JSON in which an object with one key
starting with "~" stands for a typed value (codec `json+`, `store.tagged`). Tables are Arrow
(`store.tables_arrow`). Nothing stored is ever unpickled, evaluated or imported, and no method a
user could override is called: types are told by identity.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import sha256
from itertools import chain
from typing import Any

from engine.errors import StoreError, ValueNotStorable
from engine.produced import Encoded
from store import tables_arrow
from store.storable import (
    BYTES_MAX,
    DEPTH_MAX,
    HINT,
    NOTE_BYTES,
    PLAIN_INT,
    SECRET,
    SECRET_HINT,
    NotStorable,
    is_utf8,
    shown,
    type_name,
)
from store.tagged import Reject, dump, numbers_hold, tagged, untagged

__all__ = ["BYTES_MAX", "DEPTH_MAX", "NOTE_BYTES", "Reject", "canonical", "decode", "encode"]

_ITEMS_MAX = BYTES_MAX // 2  # an item takes two bytes at least
_PATH_LENGTH = 12  # parts of a path that a message shows


def encode(key: str, value: object, *, reject: Reject | None = None) -> Encoded:
    """Encode the value stored under `key`; the same value gives the same bytes.

    `reject` is asked about every text inside, `key` too, and about numbers as they are written, and
    says whether it holds a secret (of a table it is asked once, about all of its text). Raises
    `ValueNotStorable` for what cannot be stored exactly, holds a secret, or takes more than
    `BYTES_MAX` bytes.
    """
    try:
        _check_key(key, reject)
        codec, data = (
            _encode_table(value, reject)
            or _encode_plain(value, reject)
            or _encode_tagged(value, reject)
        )
    except NotStorable as fault:
        raise _refusal(key, fault) from None
    except RecursionError:
        raise _refusal(key, NotStorable("nested too deep for here", HINT)) from None
    return Encoded(codec, data, sha256(data).hexdigest())


def decode(encoded: Encoded) -> Any:
    """Give the value back, new each time; raise `StoreError` if it is damaged."""
    hint = "find what else is damaged with `db verify`; `--fresh` runs all steps again"
    if sha256(encoded.data).hexdigest() != encoded.sha256:
        raise StoreError("a stored value is damaged: its sha256 does not match", hint=hint)
    try:
        if encoded.codec == "json":
            return json.loads(encoded.data.decode())
        if encoded.codec == "json+":
            return json.loads(encoded.data.decode(), object_hook=untagged)
        if encoded.codec in tables_arrow.CODECS:
            return tables_arrow.read(encoded.codec, encoded.data)
    except ImportError as error:
        raise StoreError(
            f"a stored value needs the package '{error.name}', which is not here",
            hint=f"install '{error.name}'",
        ) from None
    except Exception as error:
        raise StoreError(
            f"a stored value cannot be read with codec '{encoded.codec}': {type(error).__name__}",
            hint=hint,
        ) from error
    raise StoreError(
        f"a stored value has the unknown codec {encoded.codec[:60]!r}",
        hint="use the version of the program that wrote it",
    )


def canonical(value: object) -> str:
    """Give text that is equal for two values if they are equal and of the same types.

    The order of dicts does not count. Raises `ValueNotStorable` like `encode`.
    """
    try:
        table = tables_arrow.write(value, canonical)
        if table is not None:
            return f"{table[0]} {sha256(table[1]).hexdigest()}"
        return tagged(value, None, ordered=True)
    except NotStorable as fault:
        raise _refusal("a value", fault) from None
    except RecursionError:
        raise _refusal("a value", NotStorable("nested too deep for here", HINT)) from None


# -- refusals -------------------------------------------------------------------------------------


def _check_key(key: str, reject: Reject | None) -> None:
    if type(key) is not str:
        raise NotStorable(f"a key is text, this is {type_name(key)}", "give the key as text")
    if reject is not None and reject(key):
        raise NotStorable(f"the key holds {SECRET}", "choose another key")
    if not is_utf8(key):
        raise NotStorable("the key is not valid Unicode", "choose another key")


def _refusal(key: str, fault: NotStorable) -> ValueNotStorable:
    if fault.what.startswith(("the key", "a key")):
        return ValueNotStorable(f"value cannot be stored: {fault.what}", hint=fault.hint)
    parts = fault.path[::-1]
    where = "".join(parts[:_PATH_LENGTH]) + ("…" if len(parts) > _PATH_LENGTH else "")
    message = f"value for {shown(key)} cannot be stored: {fault.what}"
    return ValueNotStorable(f"{message} at {where}" if where else message, hint=fault.hint)


# -- plain JSON -----------------------------------------------------------------------------------

_SCALARS = {id(kind) for kind in (str, int, float, bool, type(None))}
_CONTAINERS = {id(list), id(dict)}
_PLAIN = _SCALARS | _CONTAINERS


def _encode_plain(value: object, reject: Reject | None) -> tuple[str, bytes] | None:
    """Encode what JSON itself keeps exactly; None for all else, also for what is to be refused."""
    if not _is_plain(value, reject):
        return None
    try:
        text = dump(value)
        data = text.encode()
    except ValueError:  # NaN or an infinity; UnicodeEncodeError of a lone surrogate
        return None
    if reject is not None and numbers_hold(text, reject):
        return None
    _check_size(data)
    return "json", data


def _is_plain(value: object, reject: Reject | None) -> bool:
    """Look through the value level by level, without recursion and without a Python loop per item.

    A cycle or shared containers that multiply end at the limits.
    """
    level: list[Any] = [[value]]
    items = text_length = 0
    for _ in range(DEPTH_MAX + 2):
        if not level:
            return True
        items += sum(map(len, level))
        if items > _ITEMS_MAX:
            raise NotStorable(f"over {BYTES_MAX:,} bytes encoded", HINT)
        dicts = [each for each in level if type(each) is dict]
        lists = [each for each in level if type(each) is list]
        keys = list(chain.from_iterable(dicts))
        values = list(chain.from_iterable(lists))
        values += chain.from_iterable(map(dict.values, dicts))
        kinds = set(map(id, map(type, values)))
        if not kinds <= _PLAIN:
            return False
        if not set(map(id, map(type, keys))) <= {id(str)}:
            return False
        if id(int) in kinds and not _are_small([each for each in values if type(each) is int]):
            return False
        texts = [each for each in values if type(each) is str] if id(str) in kinds else []
        texts += keys
        text_length += sum(map(len, texts))
        if text_length > BYTES_MAX or (reject is not None and any(map(reject, texts))):
            return False
        deeper = kinds & _CONTAINERS
        level = [each for each in values if id(type(each)) in _CONTAINERS] if deeper else []
    return False


def _are_small(numbers: Collection[int]) -> bool:
    return min(numbers) > -PLAIN_INT and max(numbers) < PLAIN_INT


def _encode_tagged(value: object, reject: Reject | None) -> tuple[str, bytes]:
    data = tagged(value, reject).encode()
    _check_size(data)
    return "json+", data


def _encode_table(value: object, reject: Reject | None) -> tuple[str, bytes] | None:
    try:
        encoded = tables_arrow.write(value, canonical)
    except NotStorable as fault:
        if reject is not None and reject(fault.what):  # pyarrow quotes values
            raise NotStorable(SECRET, SECRET_HINT) from None
        raise
    if encoded is not None:
        _check_size(encoded[1])
        if reject is not None and reject(encoded[1].decode("utf-8", "ignore")):
            raise NotStorable(SECRET, SECRET_HINT)
    return encoded


def _check_size(data: bytes) -> None:
    if len(data) > BYTES_MAX:
        raise NotStorable(f"{len(data):,} bytes encoded, over {BYTES_MAX:,}", HINT)
