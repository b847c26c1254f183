"""How long the steps of a run are expected to take, decided as it begins and recorded with it."""

from __future__ import annotations

from dataclasses import replace

from engine.model import Order
from engine.session.deciding.compiled import Compiled
from engine.session.deciding.decision import Decision
from engine.weights import weights
from store.history import History


def weighed(decision: Decision, compiled: Compiled, history: History, *, workers: int) -> Decision:
    """Let a run's ready steps be ordered by what the store knows of earlier ones.

    Where no step ever waits for a worker, no question is asked.
    """
    definition = compiled.definition
    ended = {at for at, choice in enumerate(decision.choices) if choice.status is not None}
    never_waits = len(definition.steps) - len(ended) <= workers
    if decision.nothing or never_waits or compiled.plan.order is Order.FIFO:
        return decision
    found = weights(definition.steps, history.usual(definition.name), ended)
    return replace(decision, weights=found)
