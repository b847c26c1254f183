"""Forms of values that hold several: lists, mappings, commands."""

from __future__ import annotations

from typing import Any

from engine.command_options import CODE_MAX, checked_env
from engine.definitions.forms import (
    Asked,
    Form,
    is_dotted,
    is_plain,
    is_secret,
    read_filled,
    sound,
    text,
    unique_pairs,
)
from engine.definitions.nodes import Kind, Node
from engine.definitions.source import Source
from engine.errors import DefinitionError


def _read_texts(asked: Asked, node: Node, form: Form) -> Any:
    if node.kind is not Kind.LIST:
        return asked.misfit(node, form)
    found: list[str | None] = []
    for item in node.value:
        if item.kind is Kind.TEXT:
            found.append(sound(asked, item, item))
            continue
        hint = _as_text(item, form)
        asked.wrong(f"holds {'nothing' if item.value is None else item.shown()}", hint, item)
    return [value for value in found if value is not None]


def _as_text(item: Node, form: Form) -> str:
    """Say how to write an item of a list of texts that is none."""
    if item.kind in (Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN):
        return f'put it in quotes: "{item.written}"'
    names = form is NAMES
    if item.kind is Kind.MAPPING and item.value:
        key, value = item.value[0]
        if names and key.name in ("name", "step", "id") and value.kind is Kind.TEXT:
            return f'write the name alone: "{value.value}"'
        if not names and len(item.value) == 1 and not item.written:
            return "put text that holds ': ' in quotes"
    if item.kind is Kind.LIST:
        return "take the inner brackets away" if item.written else "take the second dash away"
    return f"give {form.words}"


def _read_names(asked: Asked, node: Node, form: Form) -> Any:
    if node.kind is Kind.TEXT:
        hint = f"write {names_in(node.value, asked.faults.source)}"
        if node.written.startswith("-"):
            hint = f"a space follows each dash: `- {node.value.lstrip('-')}`"
        elif not node.value.strip():
            hint = "leave the key out, or write []"
        return asked.wrong(f"is {node.shown()}, not {form.words}", hint)
    return _read_texts(asked, node, form)


def names_in(text: str, source: Source) -> str:
    """Write the names in a text as the list that is wanted."""
    mark = '"' if source.is_json else ""
    names = [f"{mark}{name}{mark}" for name in text.replace(",", " ").split()]
    return f"[{', '.join(names)}]"


def _read_words(asked: Asked, node: Node, form: Form) -> Any:
    names = [node] if node.kind is Kind.TEXT else node.value
    read = [node.value] if node.kind is Kind.TEXT else _read_texts(asked, node, form)
    for item in names if read is not None else ():
        if item.kind is Kind.TEXT and not item.value.isidentifier():
            is_dotted(asked, item.value, item)
    return read


def _read_command(asked: Asked, node: Node, form: Form) -> Any:
    if node.kind is Kind.LIST:
        words = _read_texts(asked, node, form)
        if words is not None and not (words and words[0]):
            asked.wrong("names no program", "give at least the program")
        return words
    if node.kind is Kind.TEXT and _is_cut(asked, node):
        return None
    return read_filled(asked, node, form)


def _is_cut(asked: Asked, node: Node) -> bool:
    """Find a command that ends within quotes, since ` #` begins a comment there."""
    if not node.written or asked.faults.source.is_json:
        return False
    rest = asked.faults.source.line(node.line)[node.column - 1 :].removeprefix(node.written)
    open_quote = any(node.written.count(mark) % 2 for mark in "\"'")
    if not (open_quote and rest.lstrip().startswith("#")):
        return False
    asked.wrong("ends within quotes: ' #' begins a comment", "put the whole value in quotes")
    return True


def _read_env(asked: Asked, node: Node, form: Form) -> Any:
    if node.kind is not Kind.MAPPING:
        return asked.misfit(node, form)
    found: dict[str, str] = {}
    for key, value in unique_pairs(node, asked.what, asked.faults):
        name = key.name
        given = text().of(Asked(f"{asked.what} {name}", key, asked.faults), value)
        if given is None:
            continue
        if given and is_secret(name):
            hint = f"put {name}=… into the file `env` of the home, which commands inherit"
            asked.faults.add(key, f"{asked.what} {name} looks like a secret", hint)
        try:
            checked_env({name: given})
        except DefinitionError as error:
            lead = asked.what.removesuffix("env")
            message = error.message.removeprefix("shell: ")
            asked.faults.add(key, f"{lead}{message}", error.hint)
        found[name] = given
    return found


def _read_codes(asked: Asked, node: Node, form: Form) -> Any:
    if node.kind is not Kind.LIST:
        return asked.misfit(node, form)
    if not node.value:
        return asked.wrong("is an empty list", "give at least one code, such as [0, 1]")
    for item in node.value:
        if item.kind is not Kind.INTEGER or not 0 <= item.value <= CODE_MAX:
            hint = f"give exit codes from 0 to {CODE_MAX}"
            if item.kind is Kind.TEXT and item.value.isdecimal():
                hint = f"write {item.value} without quotes"
            asked.wrong(f"holds {item.shown()}", hint, item)
        else:
            is_plain(asked, item, item)
    return [item.value for item in node.value]


A_LIST_OF_STEPS = "a list of steps"


def nested(words: str, kind: Kind, schema: dict[str, Any], example: str = "") -> Form:
    """A mapping or a list that is given as its node: whoever asked reads what is in it."""

    def read(asked: Asked, node: Node, form: Form) -> Any:
        if node.kind is kind:
            return node
        first = node.value[0][0] if node.kind is Kind.MAPPING and node.value else None
        if first is not None and first.written.startswith("-"):
            hint = f"a space follows each dash: `- {first.name.lstrip('-')}: …`"
            asked.faults.add(first, f"no space follows the dash of '{first.name}'", hint)
            return None
        if first is not None and words == A_LIST_OF_STEPS and not asked.faults.source.is_json:
            hint = f"write `- name: {first.name}`, its keys below, and so on for each"
            return asked.wrong(f"is a mapping, not {form.words}", hint)
        return asked.misfit(node, form)

    return Form(words, schema, read, example)


_TEXTS = {"type": "array", "items": {"type": "string"}}
_PROGRAM = {"type": "string", "minLength": 1}
_FILLED = {"type": "string", "pattern": r"\S"}
_CODE = {"type": "integer", "minimum": 0, "maximum": CODE_MAX}
_VARIABLE = r"^(?!OUT$|KAHNBAN_)[^=]+$"

NAMES = Form("a list of names of steps", _TEXTS, _read_names)
COMMAND = Form(
    "text for a shell, or a list of words",
    {"anyOf": [_FILLED, {**_TEXTS, "minItems": 1, "prefixItems": [_PROGRAM]}]},
    _read_command,
)
EXCEPTIONS = Form(
    "a list of exceptions' names", {"anyOf": [_TEXTS, {"type": "string"}]}, _read_words
)
ENV = Form(
    "a mapping of names to text",
    {
        "type": "object",
        "propertyNames": {"pattern": _VARIABLE},
        "additionalProperties": {"type": "string"},
    },
    _read_env,
)
CODES = Form(
    f"a list of exit codes from 0 to {CODE_MAX}",
    {"type": "array", "items": _CODE, "minItems": 1},
    _read_codes,
    "[0, 1]",
)
