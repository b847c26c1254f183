"""What the core is given: the compiled plan, the states it starts from, and the moves allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.graph import Graph
from engine.model import OnOverrun, Order, StepStatus, TriggerRule
from engine.records import record

_S = StepStatus

TRANSITIONS: dict[StepStatus, frozenset[StepStatus]] = {
    _S.WAITING: frozenset({_S.READY, _S.SKIPPED, _S.CANCELLED}),
    _S.READY: frozenset({_S.RUNNING, _S.CANCELLED, _S.INTERRUPTED}),
    _S.RUNNING: frozenset(
        {_S.OK, _S.FAILED, _S.SKIPPED, _S.BACKING_OFF, _S.CANCELLED, _S.INTERRUPTED}
    ),
    _S.BACKING_OFF: frozenset({_S.READY, _S.FAILED, _S.INTERRUPTED}),
    _S.OK: frozenset(),
    _S.FAILED: frozenset(),
    _S.SKIPPED: frozenset(),
    _S.CACHED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.INTERRUPTED: frozenset(),
}


class InvariantViolation(AssertionError):
    """A bug of ours: the core was driven into a state that its own table forbids."""


@record
class Plan:
    """What the core needs to know of a definition, compiled; sequences are by position.

    `stop_s` is how long a stop may take before the attempt counts as left behind; `gentle` says
    that it runs in a process: a stop leaves that a way to clean up (TERM), so that it is asked for
    at once, and it runs on while the engine is halted;
    `on_overrun` what a retry does while the attempt before it still runs; `weights` how long each
    step is expected to take, in microseconds: empty where nothing is known.
    """

    graph: Graph
    rules: Sequence[TriggerRule]
    retries: Sequence[int]
    timeout_s: Sequence[float | None]
    stop_s: Sequence[float]
    gentle: Sequence[bool]
    on_overrun: Sequence[OnOverrun]
    order: Order = Order.LONGEST_PATH
    weights: Sequence[int] = ()


@dataclass(slots=True)
class StepState:
    """A step as a run takes it over.

    `used` counts the attempts made earlier that count against its budget; `next_attempt_at` is
    when the retry it waits for is due, None if it does not wait; `counts_as` is what those
    downstream take an ended step for, None if for what it is; `failed_above` says that a failure
    had caused its skip.
    """

    status: StepStatus = StepStatus.WAITING
    used: int = 0
    next_attempt_at: float | None = None
    counts_as: StepStatus | None = None
    failed_above: bool = False
