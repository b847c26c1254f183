"""What becomes of each step where a person has chosen some, or marked some as done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import choosing, resume
from engine.errors import UsageError
from engine.resume import Choice
from engine.session.deciding.decision import Decision

if TYPE_CHECKING:
    from engine.session.deciding.asked import Asked
    from engine.session.deciding.compiled import Compiled
    from store.history import History


def only(compiled: Compiled, asked: Asked, history: History | None) -> Decision:
    """Decide about each step of a run of chosen steps.

    Raises `UsageError` if one of them lacks an upstream.
    """
    past = None
    if history is not None:
        name, digest = compiled.definition.name, asked.context_sha256
        past = history.newest(name, params=asked.params_text, context_sha256=digest)
    names = [name for name in compiled.graph.names if name in asked.request.only]
    chosen = choosing.Chosen(
        names=frozenset(names),
        marked=asked.marked,
        past={step.name: step for step in past.steps} if past is not None else {},
        run_id=past.run_id if past is not None else 0,
        values_fault=_no_fault if history is None else history.value_faults().of_step,
    )
    steps = compiled.fresh_steps()
    choices = choosing.choose(steps, chosen)
    lack = choosing.missing(steps, compiled.plan.rules, choices, chosen)
    if lack is not None:
        both = [name for name in compiled.graph.names if name in (*names, lack.upstream)]
        raise UsageError(
            f"--only: '{lack.step}' needs '{lack.upstream}', which is neither chosen nor done"
            f" ({lack.why})",
            hint=f"choose it too: --only {','.join(both)}; or say that it is done:"
            f" --mark-done {lack.upstream}",
        )
    reason = f"asked for: only {', '.join(names)}"
    return Decision(reason, asked.params, choices=choices, only=tuple(names))


def _no_fault(_run: int, _step: str) -> str:
    return ""


def anew(compiled: Compiled, asked: Asked) -> list[Choice]:
    """Decide about each step of a run that starts anew, some of its steps marked as done."""
    marked = asked.marked
    return [
        resume.mark(marked[name]) if name in marked else Choice("run", "")
        for name in compiled.graph.names
    ]
