"""Which slots of a schedule are due, held against what the store knows, and why others are not.

What is decided is in the store before a run begins, and a run's slot is claimed by the transaction
that begins it. So whatever wakes us, however often, a slot is decided on once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.model import Definition
from engine.moments import instant, microseconds
from engine.records import record
from engine.schedule.catchup import Due, Rule, decide
from engine.schedule.firings import next_firing
from engine.session.schedules import pausing
from engine.session.schedules.calendars import as_noted, facts, firings_of, noted
from engine.session.zones import clock_time, slot_of
from engine.slots import Catchup
from store import pauses, slots

if TYPE_CHECKING:
    from store.connection import Database
    from store.slots import Known

logger = logging.getLogger("engine.run")


@record
class _Standing:
    """What the store says of a workflow's schedule, as of now."""

    known: Known | None = None
    pause: pauses.Pause | None = None
    pauses: Sequence[pauses.Pause] = ()


@record
class Judged:
    """What is to be done about a schedule's slots.

    `same`: it is the one that was noted last; `ahead`: that was by a clock that was ahead.
    """

    standing: _Standing
    same: bool
    ahead: bool
    rule: Rule
    due: Due


def settle(database: Database, definition: Definition, now: int) -> tuple[Due, str]:
    """Record what is decided about slots that get no run; gives what is due, or why nothing is."""
    judged = judge(database, definition, now)
    known, due = judged.standing.known, judged.due
    same, ahead = judged.same, judged.ahead
    _take_back(database, definition.name, known, now)
    if not same or ahead or known is None or known.facts != facts(definition) or due.passed:
        since = now if same and not ahead else _first(due, now)
        _record(database, definition, due, now, since=since)
    if due.passed and judged.standing.pause is None:
        logger.warning("%s", told(definition, due.passed))
    return due, why_none(database, definition, judged, now)


def judge(database: Database | None, definition: Definition, now: int) -> Judged:
    """Say what is to be done about the slots, by a store, or where there is none; only looks."""
    name, schedule = definition.name, noted(definition)
    standing = _Standing() if database is None else _standing(database, name, now)
    known = standing.known
    same = known is not None and (known.calendar, known.zone) == schedule
    ahead = known is not None and known.noted_at > now  # by a clock that was ahead
    after = None
    if known is not None and same:
        after = max(known.newest or 0, 0 if ahead else known.noted_at) or None
    rule = Rule(definition.catchup, lambda slot: _paused(standing, slot))
    due = decide(firings_of(definition), after, now, rule)
    if not same and known is not None and known.newest is not None:  # under another schedule
        due = _after(due, known.newest)
    if known is None and _is_decided(database, name, due.slot):  # it was forgotten meanwhile
        due = Due(passed=due.passed)
    return Judged(standing, same, ahead, rule, due)


def _is_decided(database: Database | None, name: str, slot: int | None) -> bool:
    if database is None or slot is None:
        return False
    return slots.decided(database, name, slot) is not None


def why_none(database: Database | None, definition: Definition, judged: Judged, now: int) -> str:
    """Say why no slot is to have a run; nothing if one is."""
    if judged.standing.pause is not None:
        return pausing.told(judged.standing.pause, definition)
    if judged.due.slot is not None:
        return ""
    return "no slot is due yet" if database is None else _decided(database, definition, now)


@record
class Unloaded:
    """How a workflow stands that cannot be loaded: by the schedule that it had.

    `slot` is what its failure is to have; `idle`: nothing is due, so that there is no failure.
    `ping` is the setting with the URL that is told of it.
    """

    slot: int | None = None
    paused: bool = False
    idle: bool = False
    pause_after: int | None = None
    ping: str | None = None


def settle_unloaded(database: Database, name: str, now: int) -> Unloaded:
    """As `settle`; of `catchup="all"` slots stay due until the file is right."""
    with database.read() as cursor:
        known = slots.known(cursor, name, now)
        paused = pauses.current(cursor, name, now) is not None
    if known is None:
        return Unloaded(paused=paused)
    _take_back(database, name, known, now)
    told = as_noted(name, (known.calendar, known.zone), known.facts)
    waits = told.catchup == Catchup.ALL and not paused
    due, idle = Due(), False
    try:
        due = judge(database, told, now).due if waits else settle(database, told, now)[0]
        idle = due.slot is None
    except UsageError:  # noted by a version that knew more, or this machine lost the zone
        pass
    return Unloaded(
        slot=None if waits else due.slot,
        paused=paused,
        idle=idle,
        pause_after=told.pause_after,
        ping=told.ping,
    )


def _take_back(database: Database, name: str, known: Known | None, now: int) -> None:
    """Have slots undecided again that a clock which was ahead has passed over, if there are any."""
    if known is not None and (known.furthest or 0) > (known.newest or 0):
        with database.write() as cursor:
            slots.take_back(cursor, name, now, known.newest or 0)


def _standing(database: Database, name: str, now: int) -> _Standing:
    with database.read() as cursor:
        known = slots.known(cursor, name, now)
        since = 0 if known is None else min(known.newest or known.noted_at, now)
        return _Standing(
            known, pauses.current(cursor, name, now), pauses.since(cursor, name, since)
        )


def _paused(standing: _Standing, slot: int) -> str:
    found = standing.pause or next((one for one in standing.pauses if one.holds(slot)), None)
    return "" if found is None else pausing.reason(found)


def _after(due: Due, newest: int) -> Due:
    slot = due.slot if due.slot is not None and due.slot > newest else None
    return Due(slot, 0, tuple([one for one in due.passed if one[0] > newest]))


def _first(due: Due, now: int) -> int:
    """Give since when a schedule that is new holds: from just before the slot it is noted for."""
    first = [slot for slot, _ in due.passed] + ([] if due.slot is None else [due.slot])
    return min([now, *(slot - 1 for slot in first)])


def _record(database: Database, definition: Definition, due: Due, now: int, *, since: int) -> None:
    """Write what is to be known before a run begins; mostly nothing is."""
    with database.write() as cursor:
        slots.note(cursor, definition.name, noted(definition), facts(definition), since)
        slots.pass_over(cursor, definition.name, due.passed, now)


def told(definition: Definition, passed: Sequence[tuple[int, str]], do: str = "are") -> str:
    """Say which slots are passed over, and why; `do` is the verb of several."""
    (first, reason), *_, (last, why) = [*passed, passed[-1]]
    if len(passed) == 1:
        do = "is" if do == "are" else do
        return f"the slot of {shown(definition, first)} {do} passed over: {reason}"
    ends = f"from {shown(definition, first)} to {shown(definition, last)}"
    return f"{len(passed)} slots {ends} {do} passed over: {why}"


def _decided(database: Database, definition: Definition, now: int) -> str:
    """Say why nothing is due: what became of the newest slot."""
    with database.read() as cursor:
        known = slots.known(cursor, definition.name, now)
    if known is None or known.newest is None:
        first = next_firing(definition, instant(now))
        if first is None:
            return "no slot is due yet"
        return f"no slot is due yet, the first is that of {shown(definition, microseconds(first))}"
    found = slots.decided(database, definition.name, known.newest)
    run, why = found or (None, "")
    what = f"is that of run {run}" if run is not None else f"was passed over ({why})"
    behind = known.furthest is not None and known.furthest > now
    clock = f"; the clock is behind, {shown(definition, known.furthest)} was due already" * behind
    return f"no slot is due: that of {shown(definition, known.newest)} {what}{clock}"


def shown(definition: Definition, slot: int | None) -> str:
    """Give a slot for people, in the workflow's zone."""
    at = slot_of(definition, slot)
    return "–" if at is None else clock_time(at)
