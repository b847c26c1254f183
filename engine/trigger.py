"""Trigger rules: direct upstreams' final statuses -> wait, ready, or skip and why."""

from __future__ import annotations

from enum import Enum, auto
from typing import assert_never

from engine.model import TriggerRule


class Decision(Enum):
    """What a trigger rule says of a step."""

    WAIT = auto()
    READY = auto()
    SKIP_FAILED = auto()  # because of a failure, at any distance
    SKIP_SKIPPED = auto()  # because of a skip that no failure caused
    SKIP_NONE_FAILED = auto()  # `one_failed`, and none did


def decide(rule: TriggerRule, *, unended: int, failed: bool, skipped: bool) -> Decision:
    """Apply `rule` to what is known of the direct upstreams.

    `unended` counts those that have not ended; `failed` says that one is `failed`, or skipped
    because of a failure; `skipped` that one is skipped otherwise. Also a skip that is certain waits
    until all have ended: a step after it may read what its ancestors wrote, and must not find
    some of them still at it.
    """
    if unended:
        return Decision.WAIT
    match rule:
        case TriggerRule.ALL_SUCCESS:
            if failed:
                return Decision.SKIP_FAILED
            return Decision.SKIP_SKIPPED if skipped else Decision.READY
        case TriggerRule.NONE_FAILED:
            return Decision.SKIP_FAILED if failed else Decision.READY
        case TriggerRule.ALL_DONE:
            return Decision.READY
        case TriggerRule.ONE_FAILED:
            return Decision.READY if failed else Decision.SKIP_NONE_FAILED
        case _:
            assert_never(rule)
