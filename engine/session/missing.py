"""Scheduled runs that never came: whatever is run next notices, as no timer would say so.

The store knows each workflow's schedule and what was decided about its slots. A slot that is past,
and about which nothing was decided, had nobody who looked: a timer that is off, or removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from engine.alerts.channels import channels
from engine.records import record
from engine.text import shell_line
from store import missing, pauses

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from engine.schedule.reading import Schedule
    from engine.session.environment import Environment
    from store.connection import Database

GRACE_S = 300  # in which a timer, or one that catches up after a start of the machine, is to come
COUNTED_MAX = 1_000

logger = logging.getLogger("engine.run")


@record
class Missing:
    """Slots of a workflow that came and went: the first and the last, and how many they are.

    They are counted up to one more than `COUNTED_MAX`; `shown` gives one for people.
    """

    workflow: str
    first: int
    last: int
    count: int
    shown: Callable[[int], str]

    @property
    def counted(self) -> str:
        """How many, for people."""
        return f"{'over ' if self.count > COUNTED_MAX else ''}{min(self.count, COUNTED_MAX):,}"


def preload(database: Database, environment: Environment) -> None:
    """Import what it takes to know the slots, if there is a schedule to be held to."""
    with database.read() as cursor:
        if missing.waited(cursor, _now_us(environment)):
            from engine.schedule import catchup, firings  # noqa: F401 - imported for later
            from engine.session import asked  # noqa: F401 - imported for later


def look(database: Database, environment: Environment, *, told_too: bool = True) -> list[Missing]:
    """Give what is missing by now; without `told_too`, only what was not told of yet."""
    now_us, up_s = _now_us(environment), environment.clock.now()
    until = now_us - GRACE_S * 1_000_000
    if up_s < GRACE_S:  # timers that catch up are on their way
        return []
    with database.read() as cursor:
        waited = [one for one in missing.waited(cursor, now_us) if one.since < until]
        if not waited:
            return []
        from engine.schedule.calendar import ScheduleRefused
        from engine.schedule.firings import zone_of
        from engine.schedule.reading import read_schedule

        found = []
        for one in waited:
            try:
                schedule = read_schedule(one.calendar, one.zone or None)
                zone = zone_of(schedule)
            except ScheduleRefused:
                continue  # noted by a version that knew more, or the zone is gone
            slots = _Slots(cursor, one, (schedule, zone), until)
            if slots.is_any() and (one_missing := slots.missing(told_too=told_too)) is not None:
                found.append(one_missing)
        return found


def notice(database: Database, environment: Environment) -> None:
    """Say what is missing that was not told of before, and queue an alert of it.

    Where no channel is configured nothing is recorded: each command says it until a run comes.
    """
    configured = channels(environment.secrets.setting)
    for one in look(database, environment, told_too=False):
        told = facts(one, environment)
        at_us = _now_us(environment)
        if not configured or missing.tell(database, one.workflow, told, configured, at_us):
            logger.warning("%s; see `watch`", told["headline"])


def facts(one: Missing, environment: Environment) -> dict[str, Any]:
    """Give what an alert of it tells, and by which it is known again."""
    run, verify, remove = (
        shell_line([*environment.command, *words])
        for words in (
            ("run", one.workflow, "--scheduled"),
            ("schedule", "verify", one.workflow),
            ("schedule", "remove", one.workflow),
        )
    )
    return {
        "headline": sentence(one),
        "body": "Nothing has come to run it: its timer may be off, removed or broken.",
        "ways": [
            ("to run what is due", run),
            ("to see its timer", verify),
            ("if it is no longer to run", remove),
        ],
        "slot": one.first,
        "until": one.last,
        "slots": one.count,
    }


def sentence(one: Missing) -> str:
    """Say of a workflow which of its runs never came."""
    return f"{one.workflow} did not run: {which(one)}"


def which(one: Missing) -> str:
    """Say which runs never came."""
    first, last = one.shown(one.first), one.shown(one.last)
    if one.count == 1:
        return f"that of {first} never came"
    return f"{one.counted} never came, {first} to {last}"


def _now_us(environment: Environment) -> int:
    return environment.clock.stamp(environment.clock.now())


class _Slots:
    """The slots of one schedule that are past and undecided."""

    def __init__(
        self, cursor: Any, one: missing.Waited, schedule: tuple[Schedule, tzinfo], until: int
    ) -> None:
        self._cursor, self._one, self._until = cursor, one, until
        self._schedule, self._zone = schedule

    def _firings(self, after: int) -> Any:
        from engine.schedule.catchup import instant
        from engine.schedule.firings import firings

        return firings(self._schedule, self._zone, instant(after), instant(self._until))

    def is_any(self) -> bool:
        return any(True for _ in self._firings(self._one.since))

    def missing(self, *, told_too: bool) -> Missing | None:
        from engine.schedule.catchup import instant, microseconds
        from engine.schedule.firings import newest

        name = self._one.workflow
        after = self._one.since
        if not told_too:
            after = max(after, missing.told_until(self._cursor, name))
        past = pauses.since(self._cursor, name, after)
        found = islice(
            (
                slot
                for slot in map(microseconds, self._firings(after))
                if not any(pause.holds(slot) for pause in past)
            ),
            COUNTED_MAX + 1,
        )
        slots = list(found)
        if not slots:
            return None
        last = slots[-1]
        if len(slots) > COUNTED_MAX:
            at: datetime | None = newest(self._schedule, self._zone, instant(self._until))
            last = last if at is None else microseconds(at)
        return Missing(name, slots[0], last, len(slots), self._shown)

    def _shown(self, slot: int) -> str:
        from engine.schedule.catchup import instant
        from engine.session.asked import clock_time

        return clock_time(instant(slot).astimezone(self._zone))
