"""The limits of a run as the store has them."""

from __future__ import annotations

import pytest

from engine.model import Definition, Step
from engine.session.own_limits import OwnLimits, of_text, to_text


def body() -> None:
    """Do nothing."""


def of(*limits: float | None, run: float | None = None) -> Definition:
    """Give a workflow with steps of these limits."""
    steps = [Step(f"s{number}", body, max_duration=most) for number, most in enumerate(limits)]
    return Definition("flow", tuple(steps), max_duration_s=run)


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        (of(None, None), None),
        (of(None, run=60.0), "[60.0,[]]"),
        (of(5, 5, None, 5, 0.5), "[null,[[0,1,5.0],[3,3,5.0],[4,4,0.5]]]"),
    ],
)
def test_they_read_back_as_they_were(definition: Definition, text: str | None) -> None:
    """Steps that are alike are one entry, however many they are."""
    assert to_text(definition) == text
    found = of_text(text)
    assert found.max_duration_s == definition.max_duration_s
    for position, step in enumerate(definition.steps):
        assert found.of_step(position) == step.max_duration_s
    assert OwnLimits().of_step(0) is None
