"""The conditions of a workflow's steps, tied to its steps, parameters and graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.conditions import Condition, told_of
from engine.errors import DefinitionError, Fault
from engine.graph import FAULTS_SHOWN_MAX, Graph
from engine.model import Param, Step

if TYPE_CHECKING:
    from engine.conditions.checking import Scope

ScopeOf = Callable[[str], "Scope"]


def scopes(graph: Graph, kinds: Mapping[str, type | None]) -> ScopeOf:
    """Give what makes the scope of each step's condition; `kinds` are the parameters' types."""
    from engine.ancestry import Ancestry
    from engine.conditions.checking import Scope

    ancestry = Ancestry(graph.upstreams, graph.generations)
    positions = {name: at for at, name in enumerate(graph.names)}

    def is_ancestor(above: str, below: str) -> bool:
        return ancestry.is_ancestor(positions[above], positions[below])

    return lambda step: Scope(step, positions, kinds, is_ancestor, near=graph.names)


def tie(steps: Sequence[Step], graph: Graph, params: Mapping[str, Param]) -> tuple[Step, ...]:
    """Give the steps with their conditions tied. Raises `DefinitionError` with all faults."""
    scope_of = scopes(graph, {name: param.kind for name, param in params.items()})
    tied: list[Step] = []
    faults: list[Fault] = []
    for step in steps:
        if not isinstance(step.when, Condition):
            tied.append(step)
            continue
        scope = scope_of(step.name)
        if len(faults) >= FAULTS_SHOWN_MAX:
            scope = replace(scope, near=())  # no more guesses: each takes a look at all names
        condition, wrong = step.when.tied(scope)
        tied.append(replace(step, when=condition))
        faults += [Fault(told_of(step.name, step.when.written, one), one.hint) for one in wrong]
    if faults:
        raise several(faults)
    return tuple(tied)


def several(faults: Sequence[Fault]) -> DefinitionError:
    """Make one error of several faults."""
    shown = "; ".join(fault.message for fault in faults[:FAULTS_SHOWN_MAX])
    if len(faults) > FAULTS_SHOWN_MAX:
        shown += f"; and {len(faults) - FAULTS_SHOWN_MAX} more"
    told = tuple(faults) if len(faults) > 1 else ()
    return DefinitionError(shown, hint=faults[0].hint, faults=told)
