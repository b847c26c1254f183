"""Conditions in a definition's file: what is wrong with one stands at its character."""

from __future__ import annotations

from collections.abc import Mapping

from engine import conditions
from engine.conditions import Condition
from engine.conditions.checking import Scope
from engine.definitions.forms import Faults
from engine.definitions.nodes import Node
from engine.graph import Graph
from engine.model import Param, TriggerRule
from engine.workflow_conditions import ScopeOf, choices_of, guesser, scopes, types_of


def scopes_of(
    graph: Graph | None,
    rules: Mapping[str, str | None],
    params: Mapping[str, Param | None],
) -> ScopeOf:
    """Give what makes the scope of each step's condition; without a graph each may ask for all.

    `rules` holds what each step says of its trigger rule.
    """
    if graph is not None:
        default = TriggerRule.ALL_SUCCESS
        return scopes(
            graph, params, {name: TriggerRule(rule or default) for name, rule in rules.items()}
        )
    kinds, choices = types_of(params), choices_of(params)
    guess = guesser(rules)
    return lambda step: Scope(step, rules, kinds, lambda *pair: pair[0] != pair[1], guess, choices)


def check(step: str, key: Node, value: Node, scope: Scope, faults: Faults) -> Condition | None:
    """Make a condition of the text of a step's `when`, or note what is wrong with it."""
    condition, found = conditions.checked(value.value, scope)
    for wrong in found:
        place = _character(value, wrong.offset, faults)
        told = "" if place else conditions.place_of(value.value, wrong)
        faults.add(place or key, f"{step}: when{told}: {wrong.message}", wrong.hint)
    return condition


def _character(value: Node, offset: int, faults: Faults) -> Node | None:
    """Give the place of a character, where the file has the text as it is, in one line."""
    line, text = faults.source.line(value.line), value.value
    for start in (value.column - 1, value.column):  # a quote may come first
        if line.startswith(text, start):
            return Node(value.kind, text, value.line, start + offset + 1)
    return None
