"""Plain data as text that is the same in every process; no method of a user's class is called."""

from __future__ import annotations

import sys
import types
from pathlib import PurePath
from typing import Any

DEPTH_MAX = 40
ITEMS_MAX = 100_000

_ATOMS = (type(None), bool, float, complex, str, bytes, bytearray, range, type(...))
_BY_STR = (("datetime", ("date", "datetime", "time", "timedelta")), ("decimal", ("Decimal",)))
_BY_STR_TOO = (("uuid", ("UUID",)), ("fractions", ("Fraction",)))


class _NotPlain(Exception):
    """The value is, or holds, something else than plain data."""


def plain_text(value: object, root: str = "") -> str | None:
    """Write plain data as text; None for anything else.

    Numbers, text, bytes, dates, paths, enums, patterns, frozen dataclasses, and the usual
    containers of these. Paths below `root` are written relative to it.
    """
    try:
        return _Writer(root).text(value, 0)
    except _NotPlain:
        return None
    except Exception:  # noqa: BLE001 - whatever a hostile class does, it is just not plain
        return None


def type_name(value: object) -> str:
    """Give the name of a value's type, with its module."""
    kind = type(value)
    try:
        module = type.__getattribute__(kind, "__module__")
        return f"{module}.{type.__getattribute__(kind, '__qualname__')}"
    except Exception:  # noqa: BLE001 - a metaclass may do anything
        return "unknown"


class _Writer:
    def __init__(self, root: str) -> None:
        self._root = root
        self._items = 0

    def text(self, value: Any, depth: int) -> str:
        self._items += 1
        if depth > DEPTH_MAX or self._items > ITEMS_MAX:
            raise _NotPlain
        kind = type(value)
        if kind is int:
            return hex(value)
        if kind in _ATOMS:
            return f"{kind.__name__}:{value!r}"
        if kind is list or kind is tuple:
            return f"{kind.__name__}[{', '.join(self.text(each, depth + 1) for each in value)}]"
        if kind is set or kind is frozenset:
            inner = sorted(self.text(each, depth + 1) for each in value)
            return f"{kind.__name__}{{{', '.join(inner)}}}"
        if kind is dict or kind is types.MappingProxyType:
            inner = [
                f"{self.text(key, depth + 1)}: {self.text(each, depth + 1)}"
                for key, each in value.items()
            ]
            return f"dict{{{', '.join(inner)}}}"
        return self._rarer(value, kind, depth)

    def _rarer(self, value: Any, kind: type, depth: int) -> str:
        if issubclass(kind, PurePath) and kind.__module__.partition(".")[0] == "pathlib":
            text = str(value)
            inside = self._root and text.startswith(self._root + "/")
            return f"path:{text[len(self._root) + 1 :] if inside else text!r}"
        for module, names in _BY_STR + _BY_STR_TOO:
            if any(kind is getattr(sys.modules.get(module), name, None) for name in names):
                return f"{kind.__name__}:{value!s}"
        own = type.__getattribute__(kind, "__dict__")
        if "_member_map_" in own:
            return f"{type_name(value)}.{object.__getattribute__(value, '_name_')}"
        if issubclass(kind, tuple) and "_fields" in own:
            inner = ", ".join(self.text(each, depth + 1) for each in tuple.__iter__(value))
            return f"{type_name(value)}[{inner}]"
        if "__dataclass_params__" in own and own["__dataclass_params__"].frozen:
            fields = [
                f"{name}={self.text(object.__getattribute__(value, name), depth + 1)}"
                for name in own["__dataclass_fields__"]
            ]
            return f"{type_name(value)}({', '.join(fields)})"
        if kind is getattr(sys.modules.get("re"), "Pattern", None):
            return f"pattern:{value.pattern!r}:{value.flags}"
        raise _NotPlain
