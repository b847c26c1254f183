"""YAML as nodes: 1.2 scalars, one document, no tags; aliases, depth and size are bounded.

Events come from libyaml, or from PyYAML's own parser where that is missing. What a plain scalar
is gets decided here: `no` and `on` are text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from engine.definitions.nodes import DIGITS_MAX, Kind, Node
from engine.definitions.source import ALIASED_MAX, DEPTH_MAX, NODES_MAX, Source
from engine.definitions.yaml_words import explain

_INTEGER = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z", re.ASCII)
_NUMBER = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"
    r"|[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z",
    re.ASCII,
)
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), (Kind.NOTHING, None)),
    **dict.fromkeys(("true", "True", "TRUE"), (Kind.BOOLEAN, True)),
    **dict.fromkeys(("false", "False", "FALSE"), (Kind.BOOLEAN, False)),
}
_MAY_BE_NUMBER = frozenset("+-.0123456789")


def read(source: Source) -> Node:
    """Give the one document of a file. Raises `DefinitionError` for what is no YAML of ours."""
    reader = _Reader(source)
    try:
        return reader.document()
    except yaml.MarkedYAMLError as error:
        explain(source, error, reader.last)
    except yaml.YAMLError:  # a character that YAML does not take
        source.refuse("not YAML: it holds a character that YAML refuses", "take it out")


def _events(text: str) -> Iterator[Any]:
    try:
        from yaml._yaml import CParser
    except ImportError:
        yield from yaml.parse(text, Loader=yaml.SafeLoader)
        return
    parser = CParser(text)
    while (event := parser.get_event()) is not None:
        yield event


class _Reader:
    """Builds nodes from events, with a stack of its own: no depth exhausts Python's."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._root: Node | None = None
        self._count = 0
        self._aliased = 0
        self.last: Any = None

    def document(self) -> Node:
        """Read all events; give the root."""
        source = self._source
        documents = 0
        for event in _events(source.text):
            kind = type(event)
            if kind is ScalarEvent:
                self._mind(event)
                self._put(_scalar(event), event.anchor)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self._begin(event, is_mapping=kind is MappingStartEvent)
            elif kind is AliasEvent:
                self._alias(event)
            elif kind is DocumentStartEvent:
                documents += 1
                self._document(event, documents)
            elif self._open and kind.__name__ in ("MappingEndEvent", "SequenceEndEvent"):
                self._end()
            self.last = event
        if self._root is None or self._root.kind is Kind.NOTHING:
            source.refuse("the file is empty", "begin with `steps:` and, below it, `- name: …`")
        return self._root

    def _refuse(self, event: Any, message: str, hint: str) -> None:
        line = event.start_mark.line + 1
        self._source.refuse(message, hint, line, self._source.first_word(line))

    def _document(self, event: Any, number: int) -> None:
        if number > 1:
            self._refuse(event, "a second document begins here", "one file holds one workflow")
        if event.tags or event.version not in (None, (1, 2)):
            self._source.refuse("a directive other than `%YAML 1.2`", "leave it out", 1, 1)

    def _mind(self, event: Any) -> None:
        """Refuse what no event may bring."""
        self._count += 1
        if self._count > NODES_MAX:
            self._refuse(event, f"more than {NODES_MAX:,} values", "make it shorter")
        if event.tag is not None:
            hint = "write the value without it; put text that begins with ! in quotes"
            shown = event.tag.replace("tag:yaml.org,2002:", "!!", 1)
            self._refuse(event, f"'{shown}' is a tag; tags are not supported", hint)
        if event.anchor is not None and event.anchor in self._anchors:
            self._refuse(event, f"the anchor '{event.anchor}' is set twice", "take another name")

    def _begin(self, event: Any, *, is_mapping: bool) -> None:
        self._mind(event)
        if len(self._open) >= DEPTH_MAX:
            self._refuse(event, f"nested more than {DEPTH_MAX} deep", "a workflow needs 5 levels")
        if self._open and self._open[-1].wants_key:
            hint = "put a value that begins with { or [ in quotes"
            self._refuse(event, "a mapping or a list stands where a key is expected", hint)
        mark = event.start_mark
        bracket = ("{" if is_mapping else "[") if event.flow_style else ""
        kind = Kind.MAPPING if is_mapping else Kind.LIST
        node = Node(kind, [], mark.line + 1, mark.column + 1, bracket)
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # not yet whole
        self._open.append(_Open(node, event.anchor, self._count + self._aliased))

    def _end(self) -> None:
        ended = self._open.pop()
        self._put(ended.node, None)
        if ended.anchor is not None:
            size = self._count + self._aliased - ended.began + 1
            self._anchors[ended.anchor] = (ended.node, size)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        known = self._anchors.get(name)
        if known is None:
            what = "holds itself" if name in self._anchors else "has no anchor before it"
            hint = f"mark a value with &{name} first, or put text that begins with * in quotes"
            self._refuse(event, f"the alias '*{name}' {what}", hint)
            return
        node, size = known
        self._aliased += size
        if self._aliased > ALIASED_MAX:
            self._refuse(event, f"aliases make more than {ALIASED_MAX:,} values", "write fewer")
        if self._open and self._open[-1].wants_key:
            self._refuse(event, f"the alias '*{name}' stands as a key", "write the key itself")
        self._put(node, None)

    def _put(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, 1)
        if not self._open:
            self._root = node
            return
        top = self._open[-1]
        if top.node.kind is Kind.LIST:
            top.node.value.append(node)
        elif top.key is None:
            top.key = node
        else:
            top.node.value.append((top.key, node))
            top.key = None


class _Open:
    """A collection whose end has not come yet."""

    __slots__ = ("anchor", "began", "key", "node")

    def __init__(self, node: Node, anchor: str | None, began: int) -> None:
        self.node = node
        self.anchor = anchor
        self.began = began
        self.key: Node | None = None

    @property
    def wants_key(self) -> bool:
        return self.node.kind is Kind.MAPPING and self.key is None


def _scalar(event: Any) -> Node:
    mark, text = event.start_mark, event.value
    line, column = mark.line + 1, mark.column + 1
    if event.style:  # libyaml says '' for a plain one, PyYAML None
        return Node(Kind.TEXT, text, line, column)
    if text in _WORDS:
        kind, value = _WORDS[text]
        return Node(kind, value, line, column, text)
    if text[0] in _MAY_BE_NUMBER:
        if _INTEGER.match(text):
            return Node(Kind.INTEGER, _whole(text), line, column, text)
        if _NUMBER.match(text):
            return Node(
                Kind.NUMBER, float(text.replace(".i", "i").replace(".n", "n")), line, column, text
            )
    return Node(Kind.TEXT, text, line, column, text)


def _whole(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base) if len(text) <= DIGITS_MAX else 10**DIGITS_MAX
