"""Which of the slots that are due gets a run, and why others get none. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from engine.moments import instant, microseconds
from engine.records import record
from engine.slots import Catchup

CAUGHT_UP_MAX = 30  # slots that were missed and get a run each, of `all`
LISTED_MAX = 1_000  # slots passed over at once that are recorded one by one
LATE_US = 3_600_000_000  # of `none`: what is due for so long is missed
LOOK_BACK = timedelta(days=3_660)  # for the newest slot of a schedule that is new

# A schedule in its zone: gives the slots after a moment up to another, in order.
Firings = Callable[[datetime, datetime], Iterable[datetime]]

_FIRST_LOOK = timedelta(hours=1)


@record
class Rule:
    """How slots are decided on: the workflow's `catchup`, and why one is paused (or '')."""

    catchup: str
    paused: Callable[[int], str] = lambda _slot: ""


@record
class Due:
    """What is to become of slots.

    `slot` is to get a run; `left` counts those due after it, about which nothing is decided yet.
    `passed` get none, each with the reason, and are older.
    """

    slot: int | None = None
    left: int = 0
    passed: tuple[tuple[int, str], ...] = ()


def decide(firings: Firings, after: int | None, now: int, rule: Rule) -> Due:
    """Decide about the slots after one moment up to now; without that, about the newest only."""
    slots, more = _newest(firings, after, now, LISTED_MAX if after is not None else 1)
    why = {slot: reason for slot in slots if (reason := rule.paused(slot))}
    open_ = [slot for slot in slots if slot not in why]
    if rule.catchup == Catchup.ALL:
        reason = f"missed: of so many only the newest {CAUGHT_UP_MAX} are caught up"
        kept = open_[-CAUGHT_UP_MAX:]
    elif rule.catchup == Catchup.NONE:
        reason, kept = "missed: it is not caught up (catchup is none)", open_[-1:]
        is_first = after is None or kept == [after + 1]  # noted a moment ago, and not begun yet
        if kept and not is_first and _is_late(firings, kept[0], now):
            kept = []
    else:
        reason, kept = "missed: only the newest is caught up", open_[-1:]
    slot = kept[0] if kept else None
    older = [at for at in slots if slot is None or at < slot]
    passed = tuple((at, why.get(at, reason)) for at in older)
    left = 0 if slot is None else len(slots) - len(older) - 1
    return Due(slot, left, _and_before(passed) if more and passed else passed)


def _is_late(firings: Firings, slot: int, now: int) -> bool:
    """Whether a slot is due for an hour, or for half the time to the next one."""
    age = now - slot
    if age >= LATE_US:
        return True
    return any(True for _ in firings(instant(slot), instant(slot + 2 * age)))


def _newest(firings: Firings, after: int | None, now: int, most: int) -> tuple[list[int], bool]:
    """Give the newest slots that are due, oldest first, and whether there are others before.

    Looks back further and further: of a year of minutes only some are made.
    """
    until = instant(now)
    floor = until - LOOK_BACK if after is None else instant(after)
    back = _FIRST_LOOK
    while True:
        start = max(floor, until - back)
        slots = [microseconds(slot) for slot in firings(start, until)]
        if len(slots) > most or start == floor:
            return slots[-most:], after is not None and len(slots) > most
        back *= 4


def _and_before(passed: Sequence[tuple[int, str]]) -> tuple[tuple[int, str], ...]:
    """Say of the first that it stands for all before it, too."""
    (slot, why), *rest = passed
    return ((slot, f"{why}; so were those before it, which are not listed"), *rest)
