"""Scheduled runs that never came: whatever is run next notices, as no timer would say so.

The store knows each workflow's schedule and what was decided about its slots. A slot that is past,
and about which nothing was decided, had nobody who looked: a timer that is off, or removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from engine.moments import instant, microseconds
from engine.records import record
from engine.session.telling import telling_of
from engine.session.zones import clock_time
from engine.text import shell_line
from store import missing, pauses

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from engine.schedule.reading import Schedule
    from engine.session.environment import Environment
    from store.connection import Database

GRACE_S = 300  # in which a timer, or one that catches up after a start of the machine, is to come
COUNTED_MAX = 1_000
SAID_MAX = 10  # workflows, by one command

logger = logging.getLogger("engine.run")


@record
class Missing:
    """Slots of a workflow that came and went: the first and the last, and how many they are.

    They are counted up to one more than `COUNTED_MAX`; `shown` gives one for people. Those up to
    `told` have been told of.
    """

    workflow: str
    first: int
    last: int
    count: int
    shown: Callable[[int], str]
    told: int

    @property
    def counted(self) -> str:
        """How many, for people."""
        return f"{'over ' if self.count > COUNTED_MAX else ''}{min(self.count, COUNTED_MAX):,}"


def preload(database: Database, environment: Environment) -> None:
    """Import what it takes to know the slots, if there is a schedule to be held to."""
    with database.read() as cursor:
        now_us = environment.now_us
        if missing.waited(cursor, database.path, now_us, now_us):
            from engine.schedule import firings  # noqa: F401 - imported for later


def look(database: Database, environment: Environment, *, told_too: bool = True) -> list[Missing]:
    """Give what is missing by now; without `told_too`, only what was not told of yet."""
    now_us, up_s = environment.now_us, environment.clock.now()
    until = now_us - GRACE_S * 1_000_000
    if up_s < GRACE_S:  # timers that catch up are on their way
        return []
    with database.read() as cursor:
        waited = missing.waited(cursor, database.path, now_us, until)
        waited = [one for one in waited if 0 < one.since < until]
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
            slots = _Slots(cursor, one, (schedule, zone), now_us)
            if slots.is_any() and (one_missing := slots.missing(told_too=told_too)) is not None:
                found.append(one_missing)
        return found


def notice(database: Database, environment: Environment) -> None:
    """Say what is missing that was not told of before, and queue an alert of it.

    What goes on missing is told again as an incident that goes on: not before a while has passed.
    Where no channel is configured nothing is recorded: each command says it, once of a workflow,
    until a run comes.
    """
    how = telling_of(environment)
    now_us, said = environment.now_us, []
    for one in look(database, environment, told_too=False):
        quiet_since = now_us - how.quiet_us
        if how.channels and missing.is_quiet(database, one.workflow, quiet_since, now_us):
            continue
        told = missing.Told(one.workflow, one.told, facts(one, environment))
        if how.channels:
            is_new = missing.tell(database, told, how.channels, now_us)
        else:
            is_new = one.workflow not in environment.said_missing
            environment.said_missing.add(one.workflow)
        if is_new:
            said.append(str(told.facts["headline"]))
    for headline in said[:SAID_MAX]:
        logger.warning("%s; see `watch`", headline)
    if len(said) > SAID_MAX:
        logger.warning("%d more workflows did not run; see `watch`", len(said) - SAID_MAX)


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
    return f"{one.workflow}: {which(one)}"


def which(one: Missing) -> str:
    """Say which runs never came."""
    first, last = one.shown(one.first), one.shown(one.last)
    if one.count == 1:
        return f"the run of {first} never came"
    return f"{one.counted} runs never came, {first} to {last}"


class _Slots:
    """The slots of one schedule that are past and undecided."""

    def __init__(
        self, cursor: Any, one: missing.Waited, schedule: tuple[Schedule, tzinfo], now: int
    ) -> None:
        self._cursor, self._one, self._now = cursor, one, now
        self._until = now - GRACE_S * 1_000_000
        self._schedule, self._zone = schedule

    def _firings(self, after: int) -> Any:
        from engine.schedule.firings import firings

        return firings(self._schedule, self._zone, instant(after), instant(self._until))

    def is_any(self) -> bool:
        return any(True for _ in self._firings(self._one.since))

    def missing(self, *, told_too: bool) -> Missing | None:
        from engine.schedule.firings import newest

        name = self._one.workflow
        told = missing.told_until(self._cursor, name, self._now)
        after = self._one.since if told_too else max(self._one.since, told)
        past = pauses.since(self._cursor, name, after)
        slots = list(islice(self._open(after, past), COUNTED_MAX + 1))
        if not slots:
            return None
        last = slots[-1]
        if len(slots) > COUNTED_MAX:
            at: datetime | None = newest(self._schedule, self._zone, instant(self._until))
            last = last if at is None else microseconds(at)
        return Missing(name, slots[0], last, len(slots), self._shown, told)

    def _open(self, after: int | None, past: Sequence[pauses.Pause]) -> Iterator[int]:
        """Give the slots that no pause holds; those of a pause are leapt over, they may be many."""
        while after is not None:
            since, after = after, None
            for slot in map(microseconds, self._firings(since)):
                held = next((pause for pause in past if pause.holds(slot)), None)
                if held is not None:
                    after = None if held.end is None else held.end - 1
                    break
                yield slot

    def _shown(self, slot: int) -> str:
        return clock_time(instant(slot).astimezone(self._zone))
