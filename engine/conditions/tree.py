"""A condition as a tree, and the tree as text again."""

from __future__ import annotations

from dataclasses import field
from decimal import Decimal
from typing import assert_never

from engine.records import record

Scalar = int | Decimal | str | bool | None


@record
class Literal:
    """A number, a text, true, false or null."""

    value: Scalar
    offset: int = field(default=0, compare=False)


@record
class Items:
    """A list of literals."""

    items: tuple[Literal, ...]
    offset: int = field(default=0, compare=False)


@record
class Word:
    """A dotted word, as long as nothing says what it refers to."""

    text: str
    offset: int = field(default=0, compare=False)


@record
class Parameter:
    """A parameter of the run."""

    name: str
    offset: int = field(default=0, compare=False)


@record
class Status:
    """The status in which a step has ended."""

    step: str
    offset: int = field(default=0, compare=False)


@record
class Value:
    """What a step left: its return value, or what `path` leads to."""

    step: str
    path: tuple[str, ...] = ()
    offset: int = field(default=0, compare=False)


@record
class Compare:
    """Operands with a comparison between each two."""

    operands: tuple[Node, ...]
    words: tuple[str, ...]
    offset: int = field(default=0, compare=False)


@record
class Not:
    """The opposite."""

    operand: Node
    offset: int = field(default=0, compare=False)


@record
class Both:
    """True if all parts are; asked from the left until one is not."""

    parts: tuple[Node, ...]
    offset: int = field(default=0, compare=False)


@record
class Either:
    """True if one part is; asked from the left until one is."""

    parts: tuple[Node, ...]
    offset: int = field(default=0, compare=False)


Reference = Parameter | Status | Value
Node = Literal | Items | Word | Reference | Compare | Not | Both | Either

_EITHER, _BOTH, _NOT, _COMPARE, _OPERAND = range(5)  # how closely each holds together


def text_of(node: Node) -> str:
    """Give the normal form: parsed again it gives an equal tree."""
    return _text(node, _EITHER)


def _text(node: Node, least: int) -> str:
    match node:
        case Either(parts):
            level, text = _EITHER, " or ".join(_text(part, _BOTH) for part in parts)
        case Both(parts):
            level, text = _BOTH, " and ".join(_text(part, _NOT) for part in parts)
        case Not(operand):
            level, text = _NOT, f"not {_text(operand, _NOT)}"
        case Compare(operands, words):
            first, *rest = (_text(operand, _OPERAND) for operand in operands)
            told = (f" {word} {operand}" for word, operand in zip(words, rest, strict=True))
            level, text = _COMPARE, first + "".join(told)
        case Items(items):
            return f"[{', '.join(literal_text(item.value) for item in items)}]"
        case Literal(value):
            return literal_text(value)
        case Word(text):
            return text
        case Parameter() | Status() | Value():
            return reference_text(node)
        case _:
            assert_never(node)
    return text if level >= least else f"({text})"


def reference_text(reference: Reference) -> str:
    """Give a reference as it is written."""
    match reference:
        case Parameter(name):
            return f"params.{name}"
        case Status(step):
            return f"{step}.status"
        case Value(step, path):
            return ".".join((step, *path))


def literal_text(value: Scalar) -> str:
    """Give a literal as it is written."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        told = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + told.replace("\n", "\\n").replace("\t", "\\t") + '"'
    return format(value, "f") if isinstance(value, Decimal) else str(value)
