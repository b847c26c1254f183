"""Replacing steps of a workflow for a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace as changed
from typing import Any, NoReturn

from engine.errors import UsageError
from engine.model import GRACE_S, Definition, Shell, Step
from engine.naming import did_you_mean


def with_standins(definition: Definition, replace: Mapping[str, Any]) -> Definition:
    """Put other bodies in place of steps; all else about these steps stays.

    Raises `UsageError` for a step that is not there, and for commands without a stand-in.
    """
    names = [step.name for step in definition.steps]
    for name in replace:
        if name not in names:
            hint = did_you_mean(name, names) or f"it has: {', '.join(names)}"
            raise UsageError(
                f"workflow '{definition.name}' has no step '{name}' to replace", hint=hint
            )
        if isinstance(replace[name], Shell):
            raise UsageError(
                f"step '{name}' of workflow '{definition.name}' is replaced by a command",
                hint="give a function of ctx or a value: a test runs no commands",
            )
    commands = [
        step.name
        for step in definition.steps
        if isinstance(step.run, Shell) and step.name not in replace
    ]
    if commands:
        given = ", ".join(f'"{name}": None' for name in commands)
        told = ", ".join(f"'{name}'" for name in commands)
        raise UsageError(
            f"workflow '{definition.name}': a test runs no commands, but {told}"
            f" {'are such steps' if len(commands) > 1 else 'is such a step'}",
            hint=f"say what each leaves: replace={{{given}}}, a value or a function of ctx",
        )
    steps = tuple(_inline(step, replace) for step in definition.steps)
    return changed(definition, steps=steps)


def _inline(step: Step, replace: Mapping[str, Any]) -> Step:
    """Give the step as it runs here: in this thread, with its stand-in if there is one."""
    if step.name not in replace and not step.isolate:
        return step
    run = _body(replace[step.name]) if step.name in replace else step.run
    return changed(step, run=run, output=None, isolate=False, grace=GRACE_S)


def _body(standin: Any) -> Callable[[Any], Any]:
    """Make a step's function of a stand-in: a function, an error to raise, or what to return."""
    if isinstance(standin, BaseException) or (
        isinstance(standin, type) and issubclass(standin, BaseException)
    ):

        def fail(ctx: Any) -> NoReturn:
            del ctx
            raise standin if isinstance(standin, type) else standin.with_traceback(None)

        return fail
    if callable(standin):
        return standin  # type: ignore[no-any-return]
    return lambda ctx: standin  # noqa: ARG005 - called like any step
