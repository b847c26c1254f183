"""What a step is, in a few words for a drawing: what it runs, its rule, its condition."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

from engine.model import Shell, Step, TriggerRule

_UNNAMED = "<lambda>"


def what_runs(step: Step) -> str:
    """Give the command after a `$`, or the function, by name where that is not the step's."""
    if isinstance(step.run, Shell):
        command = step.run.command
        text = command if isinstance(command, str) else shlex.join(command)
        return f"$ {' '.join(text.split())}"
    name = _name_of(step.run)
    words = ["isolated"] if step.isolate else []
    words += ["function"] if name in {"", step.name} else ["function", name]
    return " ".join(words)


def kind_of(step: Step) -> str:
    """Give the kind of what it runs: a command, a function, an isolated function."""
    if isinstance(step.run, Shell):
        return "command"
    return "isolated function" if step.isolate else "function"


def rule_of(step: Step) -> str:
    """Give its trigger rule, nothing for the default."""
    return "" if step.trigger_rule is TriggerRule.ALL_SUCCESS else str(step.trigger_rule)


def condition_of(step: Step) -> str:
    """Give its condition: the text, or the function that is asked; nothing without one."""
    when: Any = step.when
    if when is None:
        return ""
    if isinstance(when, str):
        return " ".join(when.split())
    name = _name_of(when)
    return f"function {name}" if name else "a function"


def _name_of(function: Callable[..., Any]) -> str:
    while hasattr(function, "func"):  # a partial
        function = function.func
    name = str(getattr(function, "__name__", type(function).__name__))
    return "" if name == _UNNAMED else name
