"""A definition's text: decoded, bounded, and quoted with a caret where something is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from engine.errors import FAULTS_SHOWN_MAX, DefinitionError, Fault
from engine.text import ELLIPSIS, columns, printable

BYTES_MAX = 16_000_000
DEPTH_MAX = 20
NODES_MAX = 2_000_000
ALIASED_MAX = 100_000

_MARK = b"\xef\xbb\xbf"
_REFUSED = re.compile(
    "[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
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

    def place(self, at: int) -> tuple[int, int]:
        """Give line and column of a position in the text."""
        lines = Source(self.path, self.text[:at] + ".").lines
        return len(lines), len(lines[-1])

    def quoted(self, fault: Fault) -> Fault:
        """Give a fault with its line and a caret."""
        if not fault.line or not fault.column:
            return fault
        return replace(fault, excerpt=self._excerpt(fault.line, fault.column))

    def refuse(
        self, message: str, hint: str = "", line: int | None = None, column: int | None = None
    ) -> NoReturn:
        """Raise one fault."""
        fault = Fault(printable(message), printable(hint), str(self.path), line, column)
        raise refusal(self, [fault])

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


def refusal(source: Source, faults: Iterable[Fault]) -> DefinitionError:
    """Make one error of all faults of a file, in order of their places; many are cut short."""
    found = sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0))
    shown = [source.quoted(fault) for fault in found[:FAULTS_SHOWN_MAX]]
    first = found[0]
    place = ":".join(str(part) for part in (first.file, first.line, first.column) if part)
    told = f"{place}: {first.message}"
    if len(found) == 1:
        return DefinitionError(told, hint=first.hint, faults=tuple(shown))
    told += f" (and {len(found) - 1} more)"
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
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        empty.refuse("the file is UTF-16 or UTF-32, not UTF-8", "save it as UTF-8")
    try:
        source = Source(path, data.removeprefix(_MARK).decode())
    except UnicodeDecodeError as error:
        source = Source(path, data.removeprefix(_MARK).decode(errors="replace"))
        message = f"the byte 0x{error.object[error.start]:02X} here is not UTF-8"
        hint = "save the file as UTF-8; it may be Latin-1 (Windows-1252) now"
        source.refuse(message, hint, *source.place(len(error.object[: error.start].decode())))
    _refuse_controls(source)
    return source


def _refuse_controls(source: Source) -> None:
    """No character may hide, or end a line for some programs only."""
    match = _REFUSED.search(source.text)
    if match is None:
        return
    char = match[0]
    escape = f"\\u{ord(char):04x}"
    message = f"the character {escape} stands here"
    if char in "\x85\u2028\u2029":
        message += ", which ends a line for some programs only"
    elif char == "\ufeff":
        message += ", an invisible byte order mark"
    elif char == "\0":
        message += ": NUL, which no text holds"
    else:
        message += ", a control character"
    hint = f"take it out, or write it as {escape} in double quotes"
    source.refuse(message, hint if char != "\0" else "take it out", *source.place(match.start()))
