"""The conditions of a workflow: what each may speak of, and each tied to that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from engine.conditions import STATUSES, Condition, told_of
from engine.errors import DefinitionError, Fault
from engine.graph import Graph
from engine.model import Param, Step, StepStatus, TriggerRule
from engine.naming import did_you_mean
from engine.trigger import Decision, decide

if TYPE_CHECKING:
    from engine.conditions.checking import Scope

ScopeOf = Callable[[str], "Scope"]

GUESSES_MIN = 1
GUESSES_NAMES_MAX = 40_000  # looked at for all guesses in a workflow


def scopes(
    graph: Graph, params: Mapping[str, Param | None], rules: Mapping[str, TriggerRule]
) -> ScopeOf:
    """Give what makes the scope of each step's condition; None is a parameter of unknown type."""
    from engine.ancestry import Ancestry
    from engine.conditions.checking import Scope

    ancestry = Ancestry(graph.upstreams, graph.generations)
    positions = {name: at for at, name in enumerate(graph.names)}
    kinds, choices, guess = types_of(params), choices_of(params), guesser(graph.names)

    def is_ancestor(above: str, below: str) -> bool:
        return ancestry.is_ancestor(positions[above], positions[below])

    def scope_of(step: str) -> Scope:
        rule, upstreams = rules[step], set(graph.upstreams[positions[step]])

        def statuses(above: str) -> Sequence[str]:
            return _SEEN[rule] if positions[above] in upstreams else _SEEN_ABOVE[rule]

        return Scope(step, positions, kinds, is_ancestor, guess, choices, statuses)

    return scope_of


def guesser(names: Collection[str]) -> Callable[[str], str]:
    """Give what asks for the name that a wrong one may mean; among many, a few times only."""
    left = GUESSES_MIN + GUESSES_NAMES_MAX // max(1, len(names))

    def guess(name: str) -> str:
        nonlocal left
        left -= 1
        return did_you_mean(name, names) if left >= 0 else ""

    return guess


def types_of(params: Mapping[str, Param | None]) -> dict[str, type | None]:
    """Give the types of parameters."""
    found: dict[str, type | None] = {}
    for name, param in params.items():
        named = param.type if param else None
        found[name] = named if isinstance(named, type) else None
    return found


def choices_of(params: Mapping[str, Param | None]) -> dict[str, Sequence[Any]]:
    """Give the values of the parameters that have choices."""
    return {name: param.choices for name, param in params.items() if param and param.choices}


def _may_see(rule: TriggerRule, status: str) -> bool:
    """Whether a step that its rule lets run may find an upstream in this status."""
    if status in _STOPPED:
        return rule is TriggerRule.ALL_DONE  # no other starts in a run that is cancelled
    for failed, skipped in product((False, True), repeat=2):
        there = {"ok": True, "failed": failed, "skipped": failed or skipped}[status]
        if there and decide(rule, unended=0, failed=failed, skipped=skipped) is Decision.READY:
            return True
    return False


_STOPPED = (str(StepStatus.CANCELLED), str(StepStatus.INTERRUPTED))
_SEEN = {rule: [one for one in STATUSES if _may_see(rule, one)] for rule in TriggerRule}
# What lies further up may have ended in any way that lets a run go on.
_SEEN_ABOVE = {
    rule: [one for one in STATUSES if one not in _STOPPED or rule is TriggerRule.ALL_DONE]
    for rule in TriggerRule
}


def tie(steps: Sequence[Step], graph: Graph, params: Mapping[str, Param]) -> tuple[Step, ...]:
    """Give the steps with their conditions tied. Raises `DefinitionError` with all faults."""
    rules = {step.name: TriggerRule(step.trigger_rule) for step in steps}
    scope_of = scopes(graph, params, rules)
    tied: list[Step] = []
    faults: list[Fault] = []
    for step in steps:
        if not isinstance(step.when, Condition):
            tied.append(step)
            continue
        condition, wrong = step.when.tied(scope_of(step.name))
        tied.append(replace(step, when=condition))
        faults += [Fault(told_of(step.name, step.when.written, one), one.hint) for one in wrong]
    if faults:
        raise DefinitionError.of(faults)
    return tuple(tied)
