"""What a retry policy decides once an attempt has failed: a time, or to give up. Never sleeps."""

from __future__ import annotations

from engine.records import record


@record
class RetryAt:
    """Try again, no sooner than `when` (monotonic seconds)."""

    when: float


@record
class GiveUp:
    """No further attempt."""


DELAY_S_MAX = 7 * 86_400.0


def decide(
    *, now: float, used: int, retries: int, retryable: bool, delay_s: float
) -> RetryAt | GiveUp:
    """Decide after a failure that brought the attempts counted against the budget to `used`.

    `delay_s` is what the step's strategy asks for; it is bounded to a week, and anything that is
    no sensible wait (negative, not a number) means at once.
    """
    if not retryable or used > retries:
        return GiveUp()
    wait_s = min(delay_s, DELAY_S_MAX) if delay_s > 0 else 0.0
    return RetryAt(now + wait_s)
