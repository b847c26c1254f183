"""JSON as nodes, each with its place; what is no JSON is told in words that help."""

from __future__ import annotations

import re
from bisect import bisect_right
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from json.scanner import NUMBER_RE
from typing import Any, NoReturn

from engine.definitions import json_words
from engine.definitions.nodes import DIGITS_MAX, Kind, Node
from engine.definitions.source import DEPTH_MAX, NODES_MAX, Source

_BLANK = re.compile(r"[ \t\n\r]*")
_LINE_END = re.compile(r"\r\n|\r|\n")
_WORD = re.compile(r"[\w.+-]+")
_CONSTANTS = {
    "null": (Kind.NOTHING, None),
    "true": (Kind.BOOLEAN, True),
    "false": (Kind.BOOLEAN, False),
}


def read(source: Source) -> Node:
    """Give the one value of a file. Raises `DefinitionError` for what is no JSON."""
    return _Reader(source).document()


class _Reader:
    """Goes through the text once; open collections are a stack of its own."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(source.text))]
        self._count = 0
        self._open: list[tuple[Node, Node | None]] = []  # with the key whose value comes next

    def document(self) -> Node:
        """Read the text to its end."""
        at = self._skip(0)
        if at == len(self._text):
            self._source.refuse("the file is empty", 'write {"steps": [{"name": …}]}')
        while True:
            node, at = self._value(at)
            while node is not None:  # a whole value: put it where it belongs
                if not self._open:
                    return self._ended(node, at)
                node, at = self._after(node, at)

    def _ended(self, root: Node, at: int) -> Node:
        at = self._skip(at)
        if at < len(self._text):
            self._refuse(at, "text follows the end", "one file holds one workflow")
        return root

    def _value(self, at: int) -> tuple[Node | None, int]:
        """Read a scalar whole, or the beginning of a collection and its first key."""
        text, char = self._text, self._text[at : at + 1]
        self._mind(at)
        if char == '"':
            value, end = self._string(at)
            return self._node(Kind.TEXT, value, at), end
        if char == "[":
            node = self._begin(Kind.LIST, at, char)
            at = self._skip(at + 1)
            if text[at : at + 1] == "]":
                return node, at + 1
            self._open.append((node, None))
            return None, at
        if char == "{":
            node = self._begin(Kind.MAPPING, at, char)
            at = self._skip(at + 1)
            if text[at : at + 1] == "}":
                return node, at + 1
            return None, self._key(node, at)
        return self._literal(at)

    def _literal(self, at: int) -> tuple[Node, int]:
        match = NUMBER_RE.match(self._text, at)
        word = _WORD.match(self._text, at)
        if match and word and match.end() >= word.end():
            _, fraction, exponent = match.groups()
            written = match[0]
            if fraction or exponent:
                return self._node(Kind.NUMBER, float(written), at, written), match.end()
            whole = int(written) if len(written) <= DIGITS_MAX else 10**DIGITS_MAX
            return self._node(Kind.INTEGER, whole, at, written), match.end()
        if word and word[0] in _CONSTANTS:
            kind, value = _CONSTANTS[word[0]]
            return self._node(kind, value, at, word[0]), word.end()
        return self._no_value(at)

    def _no_value(self, at: int) -> NoReturn:
        if at >= len(self._text):
            self._refuse_unclosed()
        self._refuse(at, *json_words.no_value(self._text, at))

    def _key(self, node: Node, at: int) -> int:
        """Read a key and its colon; give where its value begins."""
        if at >= len(self._text):
            self._open.append((node, None))
            self._refuse_unclosed()
        if self._text[at] != '"':
            self._refuse(at, *json_words.no_key(self._text, at, first=not node.value))
        self._mind(at)
        value, end = self._string(at)
        key = self._node(Kind.TEXT, value, at)
        end = self._skip(end)
        if end >= len(self._text):
            self._open.append((node, None))
            self._refuse_unclosed()
        if self._text[end] != ":":
            self._refuse(end, f'no colon follows the key "{value[:40]}"', 'write "key": value')
        self._open.append((node, key))
        return self._skip(end + 1)

    def _after(self, node: Node, at: int) -> tuple[Node | None, int]:
        """Put a value into the collection that is open; give that if it ends here."""
        text = self._text
        parent, key = self._open.pop()
        parent.value.append(node if key is None else (key, node))
        closing = "]" if key is None else "}"
        at = self._skip(at)
        char = text[at : at + 1]
        if char == closing:
            return parent, at + 1
        if char != ",":
            self._open.append((parent, key))
            if not char:
                self._refuse_unclosed()
            told = json_words.after_value(text, at, parent.written, closing, parent.line)
            self._refuse(at, *told)
        comma, at = at, self._skip(at + 1)
        if text[at : at + 1] in ("]", "}"):
            self._refuse(comma, "a comma before the end; JSON allows none", "take the comma out")
        if key is None:
            self._open.append((parent, None))
            return None, at
        return None, self._key(parent, at)

    def _begin(self, kind: Kind, at: int, bracket: str) -> Node:
        if len(self._open) >= DEPTH_MAX:
            self._refuse(at, f"nested more than {DEPTH_MAX} deep", "a workflow needs 5 levels")
        return self._node(kind, [], at, bracket)

    def _string(self, at: int) -> tuple[str, int]:
        try:
            value, end = scanstring(self._text, at + 1, True)  # noqa: FBT003 - it takes no keyword
        except JSONDecodeError as error:
            message, hint, place = json_words.bad_string(error.msg, self._text, at, error.pos)
            self._refuse(place, message, hint)
        return value, end

    def _mind(self, at: int) -> None:
        self._count += 1
        if self._count > NODES_MAX:
            self._refuse(at, f"more than {NODES_MAX:,} values", "make it shorter")

    def _skip(self, at: int) -> int:
        match = _BLANK.match(self._text, at)
        return match.end() if match else at

    def _node(self, kind: Kind, value: Any, at: int, written: str = "") -> Node:
        line = bisect_right(self._starts, at)
        return Node(kind, value, line, at - self._starts[line - 1] + 1, written)

    def _refuse(self, at: int, message: str, hint: str) -> NoReturn:
        line = bisect_right(self._starts, at)
        self._source.refuse(message, hint, line, at - self._starts[line - 1] + 1)

    def _refuse_unclosed(self) -> NoReturn:
        node, _ = self._open[-1]
        closing = "}" if node.kind is Kind.MAPPING else "]"
        self._source.refuse(
            f"'{node.written}' is not closed before the end of the file",
            f"close it with '{closing}'",
            node.line,
            node.column,
        )
