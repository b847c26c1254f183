"""Conditions as text: `fetch.rows > 0 and params.region in ["eu", "us"]`.

Parsed here, never by `eval`: comparisons, and, or, not, parentheses; literals, and references to
parameters, to what steps left and to their statuses. There is no arithmetic, so a `-` belongs to a
name. Parsing, checking and asking are modules of their own, imported where a workflow has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import ConditionError, DefinitionError
from engine.records import record

if TYPE_CHECKING:
    from engine.conditions.checking import Scope
    from engine.conditions.evaluation import Source
    from engine.conditions.tree import Node
    from engine.conditions.wrong import Wrong

FALSE = "condition false"
STATUSES = ("ok", "failed", "skipped", "cancelled", "interrupted")  # a cached step reads "ok"
_SHOWN_LENGTH = 40


class Asked(NamedTuple):
    """What a condition came to in a run, with the values it read; a function has no `text`."""

    text: str | None
    holds: bool
    values: tuple[tuple[str, str], ...] = ()

    @property
    def unmet(self) -> str:
        """Say why it does not hold; nothing if it does."""
        if self.holds:
            return ""
        read = ", ".join(f"{name} is {value}" for name, value in self.values)
        return FALSE + (f": {self.text}" if self.text else "") + (f" ({read})" if read else "")


@record
class Condition:
    """A condition that was written as text; called with a context it is true or false.

    `text` is its normal form, `tree` what is parsed, `meaning` that tree tied to a workflow: what
    a run asks.
    """

    written: str = field(compare=False)
    text: str
    tree: Node
    meaning: Node

    def __str__(self) -> str:
        """Give the normal form."""
        return self.text

    @property
    def part(self) -> str:
        """Give the normal form so that it can stand beside an "and"."""
        from engine.conditions.tree import Either

        return f"({self.text})" if isinstance(self.tree, Either) else self.text

    def __call__(self, ctx: Source) -> bool:
        """Tell whether it holds. Raises `ConditionError`."""
        return not self.unmet(ctx)

    def unmet(self, ctx: Source, mask: Callable[[str], str] = str) -> str:
        """Say why it does not hold, with the values read; nothing if it does.

        Raises `ConditionError` where it is neither true nor false.
        """
        return self.asked(ctx, mask).unmet

    def asked(self, ctx: Source, mask: Callable[[str], str] = str) -> Asked:
        """Ask whether it holds. Raises `ConditionError` where it is neither true nor false."""
        from engine.conditions.evaluation import Evaluation
        from engine.conditions.wrong import Undecided

        asked = Evaluation(ctx)
        try:
            holds = asked.truth(self.meaning)
        except Undecided as why:
            text = _cut(mask(self.text), 200)
            message = f"condition '{text}' cannot be decided: {why.message}"
            raise ConditionError(message, hint=why.hint) from None
        values = tuple([(name, _shown(value, mask)) for name, value in asked.read.items()])
        return Asked(mask(self.text), holds, values)

    def tied(self, scope: Scope) -> tuple[Condition, list[Wrong]]:
        """Tie it to a workflow; gives it so, and what is wrong with it there."""
        from engine.conditions.checking import check

        meaning, wrong = check(self.tree, scope)
        return Condition(self.written, self.text, self.tree, meaning), wrong


def parse(text: str) -> Condition:
    """Parse a condition. Raises `engine.conditions.wrong.WrongSyntax`."""
    from engine.conditions.parser import parse as parsed
    from engine.conditions.tree import text_of

    tree = parsed(text)
    return Condition(text, text_of(tree), tree, tree)


def checked(text: str, scope: Scope) -> tuple[Condition | None, list[Wrong]]:
    """Parse and tie a text; gives all that is wrong with it: offset, message, hint each."""
    from engine.conditions.wrong import WrongSyntax

    try:
        return parse(text).tied(scope)
    except WrongSyntax as error:
        return None, [error.wrong]


def proviso(unsure: Sequence[str], when: Any) -> str:
    """Say what a step's run hangs on: upstreams that may not run, and its condition."""
    parts = []
    if unsure:
        names = " and ".join(f"'{name}'" for name in unsure)
        parts.append(f"{names} {'run' if len(unsure) > 1 else 'runs'}")
    if isinstance(when, Condition):
        parts.append(when.part if parts else when.text)
    elif when is not None:
        parts.append("its condition holds")
    return " and ".join(parts)


def checked_when(step: str, when: Any) -> Condition:
    """Make a condition of a step's `when` that is no function. Raises `DefinitionError`."""
    if not isinstance(when, str):
        raise DefinitionError(
            f"step '{step}': when is {when!r}",
            hint="give a function of ctx, or text such as 'fetch.rows > 0'",
        )
    from engine.conditions.wrong import WrongSyntax

    try:
        return parse(when)
    except WrongSyntax as error:
        raise DefinitionError(told_of(step, when, error.wrong), hint=error.wrong.hint) from None


def told_of(step: str, text: str, wrong: Wrong) -> str:
    """Say what is wrong with a step's condition, and where in its text."""
    return f"step '{step}': when{place_of(text, wrong)}: {wrong.message}"


def place_of(text: str, wrong: Wrong) -> str:
    """Name a condition and the character at which it is wrong."""
    place = f", character {wrong.offset + 1}" if wrong.offset else ""
    return f" {_cut(text, 100)!r}{place}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _shown(value: Any, mask: Callable[[str], str]) -> str:
    """Name a value shortly: plain ones as they are, others by their kind and size."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{_cut(mask(value), _SHOWN_LENGTH)}"'
    if isinstance(value, list | tuple | set | frozenset | dict):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number of many digits"
    return _cut(mask(str(value)), _SHOWN_LENGTH)
