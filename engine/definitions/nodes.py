"""What a definition's file holds, before anything is made of it: the same for YAML and JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a node is."""

    MAPPING = "a mapping"
    LIST = "a list"
    TEXT = "text"
    INTEGER = "a whole number"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    NOTHING = "nothing"


class Node:
    """A value and where it stands: line and column, in characters, count from 1.

    `value` is a list of (key, value) pairs for a mapping, doubled keys among them, a list of nodes
    for a list, else the scalar. `written` is an unquoted scalar as it stands in the file, or the
    bracket that a collection begins with, if it has one.
    """

    __slots__ = ("column", "kind", "line", "value", "written")

    def __init__(self, kind: Kind, value: Any, line: int, column: int, written: str = "") -> None:
        self.kind = kind
        self.value = value
        self.line = line
        self.column = column
        self.written = written

    @property
    def name(self) -> str:
        """The text of a key."""
        return self.value if self.kind is Kind.TEXT else self.written

    def shown(self) -> str:
        """Name the value in a message."""
        match self.kind:
            case Kind.TEXT:
                return f'the text "{_cut(self.value)}"'
            case Kind.INTEGER | Kind.NUMBER:
                return f"the number {_cut(self.written)}"
            case Kind.BOOLEAN:
                return self.written
            case Kind.NOTHING:
                return "empty"
            case _:
                return str(self.kind)


DIGITS_MAX = 100  # of a whole number; its value is right up to there
_SHOWN_MAX = 80


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"
