"""What is recorded of the core's decisions, each with the facts that it was made by. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from engine.conditions import Asked
from engine.events import Decide
from engine.model import DONE_STEP, StepStatus, TriggerRule

UPSTREAMS_MAX = 10  # that are named of those that decided
SAID_MAX = 500
VALUES_MAX = 20
NO_ATTEMPTS_LEFT = "no attempts are left"
STILL_RUNNING = "the attempt before it still runs"


def condition(step: int, number: int, asked: Asked) -> Decide:
    """Record what a step's condition came to, and the values that it read."""
    text = None if asked.text is None else cut(asked.text)
    values = tuple([(cut(name, 100), cut(value, 100)) for name, value in asked.values[:VALUES_MAX]])
    facts = (("attempt", number), ("condition", text), ("holds", asked.holds), ("values", values))
    return Decide(step, "condition", facts)


def skip(step: int, number: int, said: str) -> Decide:
    """Record that a step asked to be skipped."""
    return Decide(step, "skip", (("attempt", number), ("said", cut(said))))


def after_failure(
    step: int,
    budget: tuple[int, int, int],
    error: str,
    delay_s: float | None,
    policy: str,
) -> Decide:
    """Record what follows from a failure: a retry after `delay_s`, or nothing more if it is None.

    `budget` is the attempt's number, and how many failures of how many there are with it.
    """
    number, failures, of = budget
    facts = (("attempt", number), ("failures", failures), ("of", of), ("error", kind_of(error)))
    if delay_s is None:
        return Decide(step, "give up", (*facts, ("why", cut(policy))))
    told = (*facts, ("delay_s", round(delay_s, 3)), ("policy", cut(policy)))
    return Decide(step, "retry", told)


def hold(step: int, number: int) -> Decide:
    """Record that a retry is due, and waits for the attempt before it to end."""
    return Decide(step, "hold", (("attempt", number),))


def rule(
    step: int,
    rule: TriggerRule,
    upstreams: Iterable[tuple[str, StepStatus]],
    failure: str | None,
) -> Decide:
    """Record that a step's trigger rule says no, and which upstreams decided."""
    deciding = _deciding(rule, upstreams)
    named = tuple(islice(deciding, UPSTREAMS_MAX))
    more = sum(1 for _ in deciding)
    facts = (("rule", str(rule)), ("upstreams", named), ("more", more), ("failure", failure))
    return Decide(step, "rule", facts)


def _deciding(
    rule: TriggerRule, upstreams: Iterable[tuple[str, StepStatus]]
) -> Iterator[tuple[str, str]]:
    every = rule is TriggerRule.ONE_FAILED  # that none failed is said by all of them
    return ((name, str(status)) for name, status in upstreams if every or status not in DONE_STEP)


def kind_of(error: str) -> str:
    """Name an error shortly: its class, or its first line."""
    first = error.partition("\n")[0]
    head = first.partition(":")[0]
    return head if head.isidentifier() else cut(first, 100)


def cut(text: str, most: int = SAID_MAX) -> str:
    """Keep a text from growing without bounds."""
    return text if len(text) <= most else text[: most - 1] + "…"
