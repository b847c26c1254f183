"""The limits that a workflow gives its runs and steps, as the store has them for who looks on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from engine.model import Definition


class OwnLimits(NamedTuple):
    """What a run may take, and stretches of steps that may: the first, the last, seconds."""

    max_duration_s: float | None = None
    steps: Sequence[tuple[int, int, float]] = ()

    def of_step(self, position: int) -> float | None:
        """Give what a step may take."""
        return next((most for first, last, most in self.steps if first <= position <= last), None)


def to_text(definition: Definition) -> str | None:
    """Write them as they are recorded; None if there are none."""
    run, stretches = definition.max_duration_s, []
    if {step.max_duration_s for step in definition.steps} - {None}:  # of a million it is soon known
        numbered = groupby(enumerate(definition.steps), lambda step: step[1].max_duration_s)
        for most, steps in numbered:
            positions = [position for position, _ in steps]
            if most is not None:
                stretches.append((positions[0], positions[-1], most))
    if run is None and not stretches:
        return None
    return json.dumps([run, stretches], separators=(",", ":"))


def of_text(text: str | None) -> OwnLimits:
    """Read them back."""
    return OwnLimits() if text is None else OwnLimits(*json.loads(text))
