"""A definition's text: decoded, bounded, and quoted with a caret where something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from engine.errors import DefinitionError, Fault
from engine.text import ELLIPSIS, columns, printable

BYTES_MAX = 16_000_000
DEPTH_MAX = 20
NODES_MAX = 2_000_000
FAULTS_SHOWN_MAX = 50

_EXCERPT_WIDTH = 100
_LEAD = 60  # columns shown before the place, where a long line is cut


class Source:
    """The text of one file, without a byte order mark; lines end as YAML and JSON say."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self.is_json = path.suffix == ".json"

    @cached_property
    def lines(self) -> list[str]:
        """Lines without their ends."""
        return self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    def line(self, number: int) -> str:
        """Give a line by its number, counted from 1; none that is not there."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def first_word(self, number: int) -> int:
        """Give the column at which a line's first key or word stands, after dashes."""
        line = self.line(number)
        rest = line.lstrip(" \t")
        while rest.startswith("- "):
            rest = rest[2:].lstrip(" \t")
        return len(line) - len(rest) + 1

    def fault(
        self, message: str, hint: str = "", line: int | None = None, column: int | None = None
    ) -> Fault:
        """Make a fault that stands at a place of this file, with its line and a caret."""
        excerpt = self._excerpt(line, column) if line and column else ""
        return Fault(message, hint, str(self.path), line, column, excerpt)

    def refuse(
        self, message: str, hint: str = "", line: int | None = None, column: int | None = None
    ) -> NoReturn:
        """Raise one fault."""
        raise refusal([self.fault(message, hint, line, column)])

    def _excerpt(self, number: int, column: int) -> str:
        text = self.line(number)
        before, after = printable(_spaced(text[: column - 1])), _spaced(text[column - 1 :])
        if not (before + after).strip():
            return ""
        indent = len(before) - len(before.lstrip(" "))
        before = before[indent:]
        if columns(before) > _LEAD:
            while columns(before) > _LEAD:
                before = before[-_LEAD:] if len(before) > 2 * _LEAD else before[1:]
            before = ELLIPSIS + before
        room = _EXCERPT_WIDTH - columns(before)
        shown = printable(after[: room + 1])
        if columns(shown) > room or len(after) > room + 1:
            while columns(shown) > room - 1:
                shown = shown[:-1]
            shown += ELLIPSIS
        caret = " " * columns(before) + "^"
        return f"    {before}{shown.rstrip()}\n    {caret}"


def _spaced(text: str) -> str:
    """A tab is a space here, so that no caret shifts."""
    return text.replace("\t", " ")


def refusal(faults: Iterable[Fault]) -> DefinitionError:
    """Make one error of all faults of a file, in order of their places; many are cut short."""
    found = sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0))
    first = found[0]
    place = ":".join(str(part) for part in (first.file, first.line, first.column) if part)
    told = f"{place}: {first.message}"
    if len(found) == 1:
        return DefinitionError(told, hint=first.hint, faults=(first,))
    told += f" (and {len(found) - 1} more)"
    shown = found[:FAULTS_SHOWN_MAX]
    if len(found) > len(shown):
        shown.append(Fault(f"and {len(found) - len(shown)} more", file=first.file))
    return DefinitionError(told, faults=tuple(shown))


def read_source(path: Path) -> Source:
    """Read and decode a file. Raises `DefinitionError` if it is too long or no UTF-8 text."""
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise DefinitionError(
            f"{path}: cannot be read: {error.strerror}", hint="make it readable for this user"
        ) from None
    return decode(path, data)


def decode(path: Path, data: bytes) -> Source:
    """Decode a file's bytes. Raises `DefinitionError` if they are too many or no UTF-8 text."""
    empty = Source(path, "")
    if len(data) > BYTES_MAX:
        empty.refuse(
            f"the file is larger than {BYTES_MAX // 1_000_000} MB",
            "a definition of this size is better made by Python: pipelines/NAME.py",
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        empty.refuse("the file is UTF-16", "save it as UTF-8")
    try:
        return Source(path, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        # `error.start` counts from after the mark, if there is one
        before = data.removeprefix(b"\xef\xbb\xbf")[: error.start].decode("utf-8", "replace")
        shown = Source(path, data.decode("utf-8-sig", "replace"))
        lines = Source(path, before).lines
        shown.refuse("not valid UTF-8", "save it as UTF-8", len(lines), len(lines[-1]) + 1)
