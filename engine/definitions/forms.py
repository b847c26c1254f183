"""Forms a value may have: how it is read from a node, told in a message, said in JSON Schema.

Reading is strict: `"2"` is no number, `1` no yes, `no` no false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.command_options import CODE_MAX
from engine.definitions.nodes import Kind, Node
from engine.definitions.source import Source
from engine.errors import DefinitionError, Fault
from engine.model import check_name, parse_duration


@dataclass(slots=True)
class Faults:
    """Collects what is wrong in one file."""

    source: Source
    found: list[Fault] = field(default_factory=list)

    def add(self, node: Node, message: str, hint: str) -> None:
        """Note a fault at a node: a key, or an item of a list."""
        self.found.append(self.source.fault(message, hint, node.line, node.column))


@dataclass(frozen=True, slots=True)
class Asked:
    """A key whose value is read; `what` names it in messages: "step 'fetch': retries"."""

    what: str
    key: Node
    faults: Faults

    def wrong(self, message: str, hint: str, item: Node | None = None) -> None:
        """Note a fault at the key, or at an item that stands on a line of its own."""
        at = self.key if item is None or item.line == self.key.line else item
        self.faults.add(at, f"{self.what} {message}", hint)

    def misfit(self, node: Node, form: Form, item: Node | None = None) -> None:
        """Note that a value has not its form."""
        self.wrong(f"is {node.shown()}, not {form.words}", _rewritten(node, form), item)


@dataclass(frozen=True, slots=True)
class Form:
    """What a value may be: `words` tells it in a message, `schema` in JSON Schema.

    `read` gives the value, or notes what is wrong and gives None.
    """

    words: str
    schema: Mapping[str, Any]
    read: Callable[[Asked, Node, Form], Any]
    example: str = ""

    def of(self, asked: Asked, node: Node) -> Any:
        """Read a value of this form."""
        return self.read(asked, node, self)


def _rewritten(node: Node, form: Form) -> str:
    """Say what to write instead."""
    wanted = form.schema.get("type")
    if node.kind is Kind.NOTHING:
        return f"give {form.words}, or leave the key out"
    if wanted == "string" and node.written in ("{", "["):
        return f"put a value that begins with {node.written} in quotes"
    if wanted == "string" and node.kind in (Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN):
        return f'put it in quotes: "{node.written}"'
    if wanted == "integer" and node.kind is Kind.TEXT and node.value.strip().isdecimal():
        return f"write {node.value.strip()} without quotes"
    if wanted == "boolean" and node.kind is Kind.TEXT:
        meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}
        word = node.value.strip().lower()
        return f"write {meant.get(word, word if word in ('true', 'false') else 'true or false')}"
    return f"give {form.words}" + (f", such as {form.example}" if form.example else "")


# -- single values --------------------------------------------------------------------------------


def _read_text(asked: Asked, node: Node, form: Form) -> str | None:
    if node.kind is not Kind.TEXT:
        asked.misfit(node, form)
        return None
    return _sound(asked, node, None)


def _sound(asked: Asked, node: Node, item: Node | None) -> str | None:
    """Refuse text that no operating system takes."""
    text: str = node.value
    if "\0" in text:
        asked.wrong("holds a NUL character", "take it out", item)
        return None
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            asked.wrong("holds half a surrogate pair", r"write both halves: \ud83d\ude00", item)
            return None
    return text


def _read_filled(asked: Asked, node: Node, form: Form) -> str | None:
    text = _read_text(asked, node, form)
    if text is not None and not text.strip():
        asked.misfit(Node(Kind.NOTHING, None, node.line, node.column), form)
        return None
    return text


def _read_name(asked: Asked, node: Node, form: Form) -> str | None:
    text = _read_text(asked, node, form)
    if text is None:
        return None
    try:
        return check_name(asked.what.partition(" ")[0], text)
    except DefinitionError as error:
        asked.faults.add(asked.key, error.message, error.hint)
        return None


def _read_boolean(asked: Asked, node: Node, form: Form) -> bool | None:
    if node.kind is not Kind.BOOLEAN:
        asked.misfit(node, form)
        return None
    return bool(node.value)


def _read_duration(asked: Asked, node: Node, form: Form) -> Any:
    if node.kind not in (Kind.TEXT, Kind.INTEGER, Kind.NUMBER):
        asked.misfit(node, form)
        return None
    try:
        parse_duration(asked.what, node.value, zero=form.example == "0")
    except DefinitionError as error:
        asked.faults.add(asked.key, error.message, error.hint)
    return node.value


def text(words: str = "text", example: str = "") -> Form:
    """Any text, the empty one too."""
    return Form(words, {"type": "string"}, _read_text, example)


def filled(words: str, example: str = "") -> Form:
    """Text that is not blank."""
    return Form(words, {"type": "string", "pattern": r"\S"}, _read_filled, example)


def integer(least: int, most: int) -> Form:
    """A whole number within bounds."""

    def read(asked: Asked, node: Node, form: Form) -> int | None:
        if node.kind is not Kind.INTEGER or not least <= node.value <= most:
            asked.misfit(node, form)
            return None
        return int(node.value)

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Form(f"an integer from {least} to {most}", schema, read, str(least))


def one_of(words: Iterable[str]) -> Form:
    """One of some words."""
    known = list(map(str, words))

    def read(asked: Asked, node: Node, form: Form) -> str | None:
        if node.kind is not Kind.TEXT or node.value not in known:
            asked.misfit(node, form)
            return None
        return str(node.value)

    return Form(f"one of {', '.join(known)}", {"type": "string", "enum": known}, read)


NAME = Form("a name", {"type": "string"}, _read_name)
BOOLEAN = Form("true or false", {"type": "boolean"}, _read_boolean)
DURATION = Form("a duration", {"type": ["number", "string"]}, _read_duration, "5m")
DURATION_OR_0 = Form("a duration", {"type": ["number", "string"]}, _read_duration, "0")


# -- several values -------------------------------------------------------------------------------


def _read_texts(asked: Asked, node: Node, form: Form) -> list[str] | None:
    if node.kind is not Kind.LIST:
        asked.misfit(node, form)
        return None
    found = []
    for item in node.value:
        if item.kind is Kind.TEXT:
            found.append(_sound(asked, item, item))
        else:
            hint = f'put it in quotes: "{item.written}"' if item.written else "write a list of text"
            asked.wrong(f"holds {item.shown()}", hint, item)
    return [value for value in found if value is not None]


def _read_names(asked: Asked, node: Node, form: Form) -> list[str] | None:
    if node.kind is Kind.TEXT:
        asked.wrong(f"is {node.shown()}, not {form.words}", f"write [{node.value}]")
        return None
    return _read_texts(asked, node, form)


def _read_command(asked: Asked, node: Node, form: Form) -> str | list[str] | None:
    if node.kind is Kind.LIST:
        words = _read_texts(asked, node, form)
        if words == [] or (words and not words[0]):
            asked.wrong("names no program", "give at least the program")
        return words
    return _read_filled(asked, node, form)


def _read_words(asked: Asked, node: Node, form: Form) -> list[str] | None:
    if node.kind is Kind.TEXT:
        return [node.value]
    return _read_texts(asked, node, form)


def _read_env(asked: Asked, node: Node, form: Form) -> dict[str, str] | None:
    from engine.command_options import checked_env

    if node.kind is not Kind.MAPPING:
        asked.misfit(node, form)
        return None
    found: dict[str, str] = {}
    for key, value in unique_pairs(node, asked.what, asked.faults):
        inner = Asked(f"{asked.what} {key.name}", key, asked.faults)
        read = _read_text(inner, value, text())
        if read is not None:
            found[key.name] = read
            try:
                checked_env({key.name: read})
            except DefinitionError as error:
                asked.faults.add(key, error.message, error.hint)
    return found


def _read_codes(asked: Asked, node: Node, form: Form) -> list[int] | None:
    if node.kind is not Kind.LIST or not node.value:
        asked.misfit(node, form)
        return None
    for item in node.value:
        if item.kind is not Kind.INTEGER or not 0 <= item.value <= CODE_MAX:
            asked.wrong(f"holds {item.shown()}", f"give exit codes from 0 to {CODE_MAX}", item)
            return None
    return [item.value for item in node.value]


def unique_pairs(node: Node, what: str, faults: Faults) -> list[tuple[Node, Node]]:
    """Give a mapping's pairs; a key that comes again is a fault, and left out."""
    first: dict[str, Node] = {}
    found = []
    for key, value in node.value:
        before = first.setdefault(key.name, key)
        if before is not key:
            lead = f"{what}: " if what else ""
            message = f"{lead}'{key.name}' is given twice, first in line {before.line}"
            faults.add(key, message, "keep one of the two")
            continue
        found.append((key, value))
    return found


NAMES = Form(
    "a list of names of steps", {"type": "array", "items": {"type": "string"}}, _read_names, "[a]"
)
COMMAND = Form("text for a shell, or a list of words", {"type": ["string", "array"]}, _read_command)
WORDS = Form("a list of names", {"type": ["string", "array"]}, _read_words)
ENV = Form("a mapping of names to text", {"type": "object"}, _read_env, '{LEVEL: "3"}')
CODES = Form(f"a list of exit codes from 0 to {CODE_MAX}", {"type": "array"}, _read_codes, "[0, 1]")


def anything(words: str, kind: Kind) -> Form:
    """A collection that its owner reads."""

    def read(asked: Asked, node: Node, form: Form) -> Node | None:
        if node.kind is not kind:
            asked.misfit(node, form)
            return None
        return node

    return Form(words, {}, read)
