"""Slots of a machine that is off, killed, paused, woken twice: held against a model of the rules.

The model shares nothing with what it judges: its slots are found minute by minute off the clock on
the wall, and what is open is whatever came due and has nothing recorded about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random  # noqa: TID251 - seeded
from zoneinfo import ZoneInfo

import pytest

from engine.errors import SlotTaken
from engine.model import Definition, RunStatus
from engine.session.schedules.slots import settle, settle_unloaded
from store import pauses
from store.connection import Database
from store.journal import begin_run, record_ended_run
from store.memory import memory_store
from tests.store.filled import end, journal_of, new_run

HOUR = 3_600_000_000
DAYS = 40  # more than the turns of a test can come to
TURNS = 25


def every_hour(_: datetime, wall: datetime) -> bool:
    """Tell whether the clock shows a whole hour."""
    return wall.minute == 0


def every_20_minutes(_: datetime, wall: datetime) -> bool:
    """Tell whether the clock shows a third of an hour, in either pass of the hour that is twice."""
    return wall.minute % 20 == 0


def half_past_two(before: datetime, wall: datetime) -> bool:
    """Tell whether the clock has come to 02:30, or been set past it; the first time counts."""
    at = wall.replace(hour=2, minute=30)
    return before < at <= wall and not wall.fold


Rule = Callable[[datetime, datetime], bool]
# Each from a day or two before a change of the clock.
SCHEDULES: tuple[tuple[str, str, Rule, datetime], ...] = (
    ("*-*-* *:00:00", "UTC", every_hour, datetime(2011, 11, 14, tzinfo=UTC)),
    ("*-*-* *:0/20:00", "America/Chicago", every_20_minutes, datetime(2011, 11, 5, tzinfo=UTC)),
    ("*-*-* 02:30:00", "Europe/Berlin", half_past_two, datetime(2011, 10, 28, tzinfo=UTC)),
    ("*-*-* 02:30:00", "Europe/Berlin", half_past_two, datetime(2011, 3, 25, tzinfo=UTC)),
)


@cache
def slots_by_the_clock(zone: str, rule: Rule, start: datetime) -> list[int]:
    """Walk through weeks of minutes; gives those at which a schedule is due."""
    first, there = start - timedelta(days=3), ZoneInfo(zone)
    walls = [(first + timedelta(minutes=n)).astimezone(there) for n in range(DAYS * 24 * 60)]
    return [
        round(wall.timestamp()) * 1_000_000
        for before, wall in pairwise(walls)
        if rule(before.replace(tzinfo=None), wall.replace(tzinfo=None))
    ]


class Model:
    """What the documents say of slots, on its own."""

    def __init__(self, catchup: str, slots: list[int]) -> None:
        self.catchup = catchup
        self.slots = slots
        self.decided: dict[int, str] = {}
        self.at: dict[int, int] = {}  # when
        self.firsts: set[int] = set()  # each from which on slots count, and the clock behind it
        self.pauses: list[list[int | None]] = []  # from, until, ended

    def paused(self, now: int) -> bool:
        """Tell whether a pause is on."""
        return any(
            ended is None and (until is None or until > now) for _, until, ended in self.pauses
        )

    def was_paused(self, slot: int) -> bool:
        """Tell whether a slot fell into a pause."""
        return any(
            at is not None and at <= slot and all(one is None or slot < one for one in ends)
            for at, *ends in self.pauses
        )

    def end_pauses(self, now: int) -> None:
        """End the pause that is on, or note that one ended by itself."""
        for one in self.pauses:
            if one[2] is None:
                ended = now if one[1] is None else min(now, one[1])
                one[2] = max(ended, one[0] or 0)

    def take_back(self, now: int) -> None:
        """Forget what a clock that was more than an hour ahead has passed over."""

        def is_sound(slot: int) -> bool:
            return self.decided[slot] == "run" or self.at[slot] <= now + HOUR

        newest = max((slot for slot in self.decided if slot <= now and is_sound(slot)), default=0)
        for slot in [slot for slot in self.decided if slot > newest and not is_sound(slot)]:
            del self.decided[slot], self.at[slot]

    def wake(self, now: int) -> int | None:
        """Decide about all that is open at `now`; gives the slot that is to have a run."""
        self.take_back(now)
        run = self.due(now)
        self.at |= {slot: now for slot in self.decided if slot not in self.at}
        return run

    def due(self, now: int) -> int | None:
        """Do so by what is known now."""
        self.firsts.add(self.since(now))
        open_ = self.open(now)
        if self.paused(now):
            self.decided |= dict.fromkeys(open_, "paused")
            return None
        run = self.chosen(now)
        for slot in open_:
            if run is None or slot < run:
                self.decided[slot] = "paused" if self.was_paused(slot) else "missed"
        return run

    def since(self, now: int) -> int:
        """Give the slot from which on they count: a schedule that was never run has missed nothing.

        Nor has one that is known since a moment to come: its clock was set back. When that has come
        again, what was due meanwhile by the clock that was behind is not looked at any more.
        """
        known = [first for first in self.firsts if first - 1 <= now]
        if not known:
            return max(slot for slot in self.slots if slot <= now)
        return max((first for first in known if first in self.decided), default=min(known))

    def open(self, now: int) -> list[int]:
        """Give the slots that have come and that nothing is decided about."""
        first = self.since(now)
        return [slot for slot in self.slots if first <= slot <= now and slot not in self.decided]

    def chosen(self, now: int) -> int | None:
        """Give the slot that is to have a run, while there is no pause."""
        free = [slot for slot in self.open(now) if not self.was_paused(slot)]
        if not free:
            return None
        if self.catchup == "all":
            return free[-30] if len(free) >= 30 else free[0]
        if self.catchup == "none" and free[-1] != self.since(now):
            after = self.slots[self.slots.index(free[-1]) + 1]
            if now - free[-1] >= min(HOUR, (after - free[-1]) / 2):
                return None
        return free[-1]


class World:
    """A machine with a timer, which is off now and then, killed, paused, and woken twice."""

    def __init__(self, database: Database, seed: int) -> None:
        self.draw = Random(seed)
        self.database = database
        schedule, zone, rule, start = SCHEDULES[seed % 4]
        catchup = ("latest", "all", "none")[seed // 4 % 3]
        self.flow = Definition("flow", (), schedule=schedule, tz=zone, catchup=catchup)
        self.model = Model(catchup, slots_by_the_clock(zone, rule, start))
        self.now = round(start.timestamp()) * 1_000_000

    def check(self) -> None:
        """Hold what is in the store against the model."""
        rows = self.database.raw.execute("SELECT slot, run_id, reason FROM slot_rows")
        found = {
            slot: "run" if run else reason.split(" ")[0].strip(":") for slot, run, reason in rows
        }
        assert found == self.model.decided

    def settled(self) -> int | None:
        """Look what is due, as `run --scheduled` does."""
        due, _ = settle(self.database, self.flow, self.now)
        assert due.slot == self.model.wake(self.now)
        self.check()
        return due.slot

    def wake(self) -> None:
        """Do as `run --scheduled` does; it may be killed at any place."""
        if self.draw.random() < 0.15:
            self.wake_broken()
            return
        for _ in range(99):
            slot = self.settled()
            if slot is None or self.draw.random() < 0.1:
                return
            if self.draw.random() < 0.2:
                assert self.settled() == slot  # a second timer
            run = new_run("a", slot=slot, started_at=self.now)
            journal = journal_of(self.database, begin_run(self.database, run))
            self.model.decided[slot] = "run"
            with pytest.raises(SlotTaken):
                begin_run(self.database, run)
            if self.draw.random() < 0.1:
                return
            end(journal, self.draw.choice(["ok", "failed"]), at=0.0)
            self.now += self.draw.randrange(HOUR // 8)
            if self.flow.catchup != "all":
                return

    def wake_broken(self) -> None:
        """The file is wrong: its failure has the slot, unless each slot is to have a run."""
        model, paused = self.model, self.model.paused(self.now)
        model.take_back(self.now)
        is_new = not model.firsts
        waits = self.flow.catchup == "all" and not paused
        found = settle_unloaded(self.database, "flow", self.now)
        expected = None if is_new else model.chosen(self.now) if waits else model.wake(self.now)
        assert found.idle == (expected is None and not is_new)
        expected = None if waits else expected
        assert (found.slot, found.paused) == (expected, paused)
        if not paused and not found.idle:
            run = new_run("a", slot=found.slot, started_at=self.now)
            record_ended_run(self.database, run, RunStatus.FAILED)
            model.decided |= {expected: "run"} if expected is not None else {}
        self.check()

    def turn(self) -> None:
        """Let something happen."""
        what = self.draw.random()
        step = self.draw.choice([HOUR // 6, HOUR, 7 * HOUR, 30 * HOUR])
        if what < 0.1:
            until = self.draw.choice([None, self.now + step])
            self.model.end_pauses(self.now)
            self.model.pauses.append([self.now, until, None])
            pauses.pause(
                self.database, pauses.Pause("flow", self.now, "ann", until, "moving", None)
            )
        elif what < 0.25:
            self.unpause()
        elif what < 0.3:
            self.now -= self.draw.randrange(HOUR)  # the clock is set back
        else:
            self.now += self.draw.randrange(step)
            if self.draw.random() < 0.3:  # to the very moment
                self.now = max(slot for slot in self.model.slots if slot <= self.now)
            self.wake()

    def unpause(self) -> None:
        """End the pause, if there is one."""
        self.model.end_pauses(self.now)
        pauses.unpause(self.database, "flow", at_us=self.now, by="bob")


@pytest.fixture
def memory() -> Iterator[Database]:
    """Give a store in memory."""
    with closing(memory_store(Path("/proc/none/runs.db"))) as database:
        yield database


@pytest.mark.parametrize("seed", range(24))
def test_slots_are_as_the_rules_say(memory: Database, seed: int) -> None:
    """Over boots, kills, pauses, broken files, a clock set back: each is decided once."""
    world = World(memory, seed)
    for _ in range(TURNS):
        world.turn()
    world.unpause()
    world.now += 40 * HOUR
    while world.settled() is not None:
        world.wake()
    decided, first = world.model.decided, world.model.since(world.now)
    assert [slot for slot in sorted(decided) if first <= slot <= world.now] == [
        slot for slot in world.model.slots if first <= slot <= world.now
    ]
    runs = memory.raw.execute("SELECT slot FROM run_rows WHERE slot IS NOT NULL").fetchall()
    assert sorted(slot for (slot,) in runs) == sorted(
        slot for slot, what in decided.items() if what == "run"
    )
