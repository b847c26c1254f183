"""A condition asked in a run: strict, from left to right, no further than needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.conditions import kinds
from engine.conditions.tree import (
    Both,
    Compare,
    Either,
    Items,
    Literal,
    Node,
    Not,
    Parameter,
    Reference,
    Status,
    Value,
    Word,
    reference_text,
    text_of,
)
from engine.conditions.wrong import Undecided
from engine.naming import did_you_mean

MISSING = object()
SHOWN_LENGTH = 60
KEYS_LOOKED_AT_MAX = 1_000
LOOK = "look at what the step writes and returns"


class Source(Protocol):
    """What a condition reads from; `StepContext` is one."""

    @property
    def params(self) -> Mapping[str, Any]:
        """The run's parameters."""

    def status(self, step: str) -> str:
        """Give the status in which a step has ended."""

    def left_by(self, step: str, key: str, default: Any) -> Any:
        """Give what a step wrote under a key, or `default`."""


class Evaluation:
    """One asking; `read` holds what was read on the way, by how it is written."""

    def __init__(self, source: Source) -> None:
        self.read: dict[str, Any] = {}
        self._source = source

    def truth(self, node: Node) -> bool:
        """Tell whether it holds. Raises `Undecided`."""
        match node:
            case Both(parts):
                return all(self.truth(part) for part in parts)
            case Either(parts):
                return any(self.truth(part) for part in parts)
            case Not(operand):
                return not self.truth(operand)
            case Compare():
                return self._holds(node)
        value = self._value(node)
        if isinstance(value, bool):
            return value
        raise Undecided(f"{_named(node, value)}, not true or false")

    def _holds(self, node: Compare) -> bool:
        left, first = node.operands[0], self._value(node.operands[0])
        for word, right in zip(node.words, node.operands[1:], strict=True):
            second = self._value(right)
            try:
                kinds.check_comparable(word, first, second)
                if not kinds.compare(word, first, second):
                    return False
            except Undecided as why:
                sides = f"{_named(left, first)} and {_named(right, second)}"
                raise Undecided(f"{sides}: {why.message}", why.hint) from None
            left, first = right, second
        return True

    def _value(self, node: Node) -> Any:
        match node:
            case Literal(value):
                return value
            case Items(items):
                return [item.value for item in items]
            case Parameter() | Status() | Value():
                return self._referred(node)
            case Word(text):
                raise Undecided(f"'{text}' is tied to no step of a workflow")
            case _:
                return self.truth(node)

    def _referred(self, reference: Reference) -> Any:
        text = reference_text(reference)
        if text not in self.read:
            match reference:
                case Parameter(name):
                    self.read[text] = self._source.params[name]
                case Status(step):
                    self.read[text] = self._source.status(step)
                case Value():
                    self.read[text] = self._left(reference)
        return self.read[text]

    def _left(self, reference: Value) -> Any:
        step, path = reference.step, reference.path
        at, value = step, MISSING
        if path:
            at, value = f"{step}.{path[0]}", self._source.left_by(step, path[0], MISSING)
        rest = path[1:]
        if value is MISSING:
            at, value, rest = step, self._source.left_by(step, step, MISSING), path
        if value is MISSING:
            raise self._nothing_left(step, path)
        for part in rest:
            value = _item(at, value, part)
            at = f"{at}.{part}"
        return value

    def _nothing_left(self, step: str, path: Sequence[str]) -> Undecided:
        what = f"no '{path[0]}'" if path else "no value"
        status = self._source.status(step)
        if status != "ok":
            hint = f'write {step}.status == "ok" and … to ask only then'
            return Undecided(f"step '{step}' is {status} and left {what}", hint)
        return Undecided(f"step '{step}' left {what}", LOOK)


def _item(at: str, value: Any, part: str) -> Any:
    number = int(part) if part.isascii() and part.isdigit() and len(part) < 20 else None
    found = MISSING
    if isinstance(value, Mapping):
        found = value.get(part, MISSING)
        if found is MISSING and number is not None:
            found = value.get(number, MISSING)
    elif isinstance(value, list | tuple) and number is not None:
        found = value[number] if number < len(value) else MISSING
    if found is MISSING:
        keys = [key for key in value if isinstance(key, str)] if isinstance(value, Mapping) else []
        hint = did_you_mean(part, keys[:KEYS_LOOKED_AT_MAX]) or LOOK
        raise Undecided(f"{at}, {kinds.kind_of(value)}, has no '{part}'", hint)
    return found


def _named(node: Node, value: Any) -> str:
    """Name an operand, by how it is written, and its kind."""
    kind = kinds.kind_of(value)
    text = text_of(node)
    return f"{text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + '…'} is {kind}"
