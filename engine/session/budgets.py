"""What the steps of a run take over from the runs that it continues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.session.deciding.decision import Decision


class Budgets(NamedTuple):
    """By position: the run in each step's idempotency key, and the attempts it has used."""

    key_runs: Sequence[int]
    used: Sequence[int]


def budgets_of(decision: Decision, run_id: int, count: int) -> Budgets:
    """Take over what a continued run has used."""
    root = decision.past.root_run if decision.past else run_id
    choices = decision.choices
    key_runs = [run_id if c.own_key else c.key_run or root for c in choices] or [root] * count
    return Budgets(key_runs, [choice.used for choice in choices] or [0] * count)
