"""What the log of a run says of its steps."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine.events import BackOff, Claim, EndAttempt, EndStep
from engine.model import AttemptOutcome, StepStatus
from engine.session.observe import Progress

if TYPE_CHECKING:
    import pytest

OK, FAILED = AttemptOutcome.OK, AttemptOutcome.FAILED


def test_a_step_took_what_its_worker_says(caplog: pytest.LogCaptureFixture) -> None:
    """One that was claimed ahead has waited for a worker meanwhile, and its end for a commit."""
    caplog.set_level(logging.INFO, "engine.run")
    progress = Progress(["a", "b"], 1)
    progress.observe([Claim(0, 1, 1.0, report=False), Claim(1, 1, None, report=False)], 1.0)
    progress.observe([EndAttempt(0, 1, OK, 1.0, 1.5), EndStep(0, StepStatus.OK, 1.6)], 1.6)
    failed = EndAttempt(1, 1, FAILED, 1.5, 1.52, "ValueError: no luck")
    progress.observe([failed, BackOff(1, 1, 1.75)], 1.6)
    progress.observe([Claim(1, 2, None, report=False)], 1.75)
    progress.observe([EndAttempt(1, 2, OK, 1.8, 1.9), EndStep(1, StepStatus.OK, 2.0)], 2.0)
    assert caplog.messages == [
        "▶ a (attempt 1)",
        "▶ b (attempt 1)",
        "✓ a in 0.5s",
        "✗ b failed (ValueError: no luck); retry in 0.1s",
        "▶ b (attempt 2)",
        "✓ b in 0.4s",
    ]


def test_of_many_steps_that_a_tick_leaves_out_most_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever stops a run of 100,000 steps reads no 100,000 lines, and waits for none."""
    caplog.set_level(logging.INFO, "engine.run")
    progress = Progress([f"s{at}" for at in range(31)], 1)
    skipped = EndStep(30, StepStatus.SKIPPED, 1.0, "dependency failed: x")
    progress.observe([EndStep(at, StepStatus.CANCELLED, 1.0, "not started") for at in range(30)], 1)
    progress.observe([skipped], 2.0)
    assert caplog.messages == [
        *(f"■ s{at} cancelled: not started" for at in range(20)),
        "■ 10 more steps cancelled",
        "– s30 skipped: dependency failed: x",
    ]
