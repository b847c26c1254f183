"""What a retry policy decides after a failure: a time, or to give up."""

from __future__ import annotations

import math

import pytest

from engine.retry import DELAY_S_MAX, GiveUp, RetryAt, decide


def after(used: int, *, retries: int = 2, retryable: bool = True, delay_s: float = 1.5) -> object:
    """Decide at 10 seconds."""
    return decide(now=10.0, used=used, retries=retries, retryable=retryable, delay_s=delay_s)


def test_retries_are_further_attempts() -> None:
    """With two retries the third failure is the last."""
    assert [after(used) for used in (1, 2, 3, 4)] == [
        RetryAt(11.5),
        RetryAt(11.5),
        GiveUp(),
        GiveUp(),
    ]


def test_no_retries() -> None:
    """A step without them is tried once."""
    assert after(1, retries=0) == GiveUp()


def test_what_is_not_worth_a_retry() -> None:
    """Its budget does not matter."""
    assert after(1, retryable=False) == GiveUp()


@pytest.mark.parametrize("delay_s", [0.0, -1.0, -math.inf, math.nan])
def test_no_sensible_wait_means_at_once(delay_s: float) -> None:
    """Nothing is ever due before now."""
    assert after(1, delay_s=delay_s) == RetryAt(10.0)


@pytest.mark.parametrize("delay_s", [DELAY_S_MAX + 1, 1e300, math.inf])
def test_a_wait_is_a_week_at_most(delay_s: float) -> None:
    """A strategy that has lost its measure is bounded."""
    assert after(1, delay_s=delay_s) == RetryAt(10.0 + 7 * 86_400)
