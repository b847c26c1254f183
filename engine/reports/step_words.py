"""What a step is, in a few words for a drawing: what it runs, its rule, its condition."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

from engine.conditions import Condition
from engine.model import Definition, Shell, Step, TriggerRule
from engine.records import record

COMMAND = "command"
_UNNAMED = "<lambda>"


@record
class StepWords:
    """A step in words: `rule` is empty for the default, `condition` where it has none."""

    name: str
    kind: str
    runs: str
    rule: str
    condition: str
    depends_on: tuple[str, ...]


def words_of(definition: Definition, mask: Callable[[str], str]) -> list[StepWords]:
    """Put every step into words, masked before anything is cut or escaped."""
    return [
        StepWords(
            name=step.name,
            kind=_kind_of(step),
            runs=mask(_runs(step)),
            rule="" if step.trigger_rule is TriggerRule.ALL_SUCCESS else str(step.trigger_rule),
            condition=mask(_condition_of(step)),
            depends_on=tuple(step.depends_on),
        )
        for step in definition.steps
    ]


def _kind_of(step: Step) -> str:
    if isinstance(step.run, Shell):
        return COMMAND
    return "isolated function" if step.isolate else "function"


def _runs(step: Step) -> str:
    """Give the command after a `$`, or the function, by name where that is not the step's."""
    if isinstance(step.run, Shell):
        command = step.run.command
        text = command if isinstance(command, str) else shlex.join(command)
        return f"$ {' '.join(text.split())}"
    name = _name_of(step.run)
    return _kind_of(step) if name in {"", step.name} else f"{_kind_of(step)} {name}"


def _condition_of(step: Step) -> str:
    when: Any = step.when
    if when is None:
        return ""
    if isinstance(when, Condition):
        return when.text
    name = _name_of(when)
    return f"function {name}" if name else "a function"


def _name_of(function: Callable[..., Any]) -> str:
    while hasattr(function, "func"):  # a partial
        function = function.func
    name = str(getattr(function, "__name__", type(function).__name__))
    return "" if name == _UNNAMED else name
