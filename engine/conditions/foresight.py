"""What can be said of a condition before a run, if some steps' statuses are taken as known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from engine.conditions import kinds
from engine.conditions.tree import (
    Both,
    Compare,
    Either,
    Items,
    Literal,
    Node,
    Not,
    Status,
    Value,
    reference_text,
)

StatusOf = Callable[[str], str | None]  # None: not known


class Unread(Exception):
    """The condition is sure to read what a step that is not `ok` has not left; the text says it."""


class _Unknown:
    """Stands for a value that only a run knows."""


_UNKNOWN = _Unknown()


def foresee(tree: Node, status_of: StatusOf) -> bool | None:
    """Tell whether it will hold; None where that depends on more than statuses.

    Raises `Unread` where it can only end in an error.
    """
    value = _value(tree, status_of)
    return value if isinstance(value, bool) else None


def _value(node: Node, status_of: StatusOf) -> object:
    match node:
        case Both(parts):
            return _until(parts, status_of, decides=False)
        case Either(parts):
            return _until(parts, status_of, decides=True)
        case Not(operand):
            value = _value(operand, status_of)
            return not value if isinstance(value, bool) else _UNKNOWN
        case Compare():
            return _compared(node, status_of)
        case Literal(value):
            return value
        case Items(items):
            return [item.value for item in items]
        case Status(step):
            return status_of(step) or _UNKNOWN
        case Value(step):
            status = status_of(step)
            if status not in (None, "ok"):
                raise Unread(f"it reads {reference_text(node)}, and '{step}' is {status}")
    return _UNKNOWN


def _until(parts: Iterable[Node], status_of: StatusOf, *, decides: bool) -> object:
    """Go from the left until a part decides; what follows an unknown part may never be asked."""
    result: object = not decides
    for part in parts:
        try:
            value = _value(part, status_of)
        except Unread:
            if result is _UNKNOWN:
                return _UNKNOWN
            raise
        if value is decides:
            return decides  # whatever an unknown part before it is, short of an error
        if not isinstance(value, bool):
            result = _UNKNOWN
    return result


def _compared(node: Compare, status_of: StatusOf) -> object:
    values = [_value(operand, status_of) for operand in node.operands]
    return _chain(values, node.words)


def _chain(values: Sequence[object], words: Sequence[str]) -> object:
    for first, second, word in zip(values, values[1:], words, strict=False):
        if first is _UNKNOWN or second is _UNKNOWN:
            return _UNKNOWN
        if not kinds.compare(word, first, second):
            return False
    return True
