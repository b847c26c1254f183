"""How long the steps of a run are expected to take, decided as it begins and recorded with it."""

from __future__ import annotations

from dataclasses import replace

from engine.model import Order
from engine.session.compiled import Compiled
from engine.session.decision import Decision
from engine.weights import weights
from store.history import History


def weighed(decision: Decision, compiled: Compiled, history: History) -> Decision:
    """Let a run's ready steps be ordered by what the store knows of earlier ones."""
    if decision.nothing or compiled.plan.order is Order.FIFO:
        return decision
    definition = compiled.definition
    ended = {at for at, choice in enumerate(decision.choices) if choice.status is not None}
    found = weights(definition.steps, history.usual(definition.name), ended)
    return replace(decision, weights=found)
