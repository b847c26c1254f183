"""Run a workflow in a test: the real engine on a virtual clock, with nothing left behind."""

from __future__ import annotations

from engine.testing.inline import times_out
from engine.testing.launch import run
from engine.testing.outcome import Outcome, StepOutcome

__all__ = ["Outcome", "StepOutcome", "run", "times_out"]
