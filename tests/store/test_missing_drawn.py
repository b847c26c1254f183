"""What is missing, over drawn schedules, pauses, runs and boots, on a clock of its own."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from random import Random  # noqa: TID251 - seeded
from typing import Any

import pytest

from engine.model import Definition
from engine.moments import instant, microseconds
from engine.session.schedules import missing
from engine.session.schedules.calendars import firings_of
from engine.session.schedules.slots import settle
from engine.slots import Catchup
from store import locks, pauses
from store.connection import Database
from store.journal import Journal, begin_run
from store.memory import memory_store
from tests.store.filled import end, journal_of, new_run, us
from tests.store.test_missing import AT_ONCE, at

MINUTE = 60_000_000
HOUR = 60 * MINUTE
START = us(0.0) - 16 * 24 * HOUR  # a day before Berlin's change of the clock
FLOWS = (
    ("hourly", "*-*-* *:00:00", "UTC", Catchup.LATEST),
    ("often", "*:0/20", "America/Chicago", Catchup.ALL),
    ("nightly", "02:30", "Europe/Berlin", Catchup.NONE),
)


class World:
    """A machine with three timers that come or do not, and what was told of them."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.draw = database, Random(seed)
        self.now, self.booted = START, START - HOUR
        self.flows = {
            name: Definition(name, (), schedule=calendar, tz=zone, catchup=catchup)
            for name, calendar, zone, catchup in FLOWS
        }
        self.on: dict[str, Journal] = {}
        self.told: dict[str, list[int]] = defaultdict(list)
        self.ended: dict[str, int] = {}
        self.alerts = 0
        for name in self.flows:
            self.wake(name, lives=True)

    def wake(self, name: str, *, lives: bool) -> None:
        """Do as a timer does; the run goes on for a while, or its engine is killed at once."""
        due, _ = settle(self.database, self.flows[name], self.now)
        if due.slot is None or name in self.on:
            return
        owner = locks.this_process("none.lock").to_text() if lives else ""
        run = new_run("a", workflow=name, slot=due.slot, started_at=self.now, owner=owner)
        journal = journal_of(self.database, begin_run(self.database, run))
        if lives:
            self.on[name] = journal

    def turn(self) -> None:
        """Let something happen."""
        what, name = self.draw.random(), self.draw.choice(list(self.flows))
        step = self.draw.choice([7 * MINUTE, HOUR, 26 * HOUR])
        if what < 0.1:
            until = self.draw.choice([None, self.now + step])
            pauses.pause(self.database, pauses.Pause(name, self.now, "ann", until, "", None))
        elif what < 0.2:
            pauses.unpause(self.database, name, at_us=self.now, by="bob")
        elif what < 0.5:
            self.wake(name, lives=what < 0.4)
        else:
            self.now += self.draw.randrange(step // MINUTE) * MINUTE
            if what > 0.9:
                self.booted = self.now - self.draw.randrange(10) * MINUTE
                self.on.clear()
                self.database.raw.execute("UPDATE run_rows SET owner = ''")
            for ended in [each for each in self.on if self.draw.random() < 0.5]:
                end(self.on.pop(ended), "ok", at=(self.now - us(0.0)) / 1e6)
                self.ended[ended] = self.now

    def expected(self, name: str) -> list[int]:
        """Give what is missing of a workflow, by the words of the book."""
        sql = "SELECT max(slot) FROM slot_rows WHERE workflow = ?"
        ((decided,),) = self.database.raw.execute(sql, (name,))
        with self.database.read() as cursor:
            is_paused = pauses.current(cursor, name, self.now) is not None
        lately = max(self.booted, self.ended.get(name, 0))
        if is_paused or name in self.on or self.now - lately < 5 * MINUTE:
            return []
        return [slot for slot in self.slots(name, decided) if not self.held(name, slot)]

    def slots(self, name: str, after: int) -> list[int]:
        """Give the slots that are past for five minutes."""
        until = instant(self.now - 5 * MINUTE)
        return [*map(microseconds, firings_of(self.flows[name])(instant(after), until))]

    def held(self, name: str, slot: int) -> bool:
        """Whether a slot fell into a pause."""
        with self.database.read() as cursor:
            return any(pause.holds(slot) for pause in pauses.since(cursor, name, 0))

    def look(self) -> None:
        """Have `watch` look, then a command; neither misses anything, and nothing is told twice."""
        up_s = (self.now - self.booted) / 1e6
        command = at(up_s, AT_ONCE)
        clock: Any = command.clock
        clock.wall_s = (self.now - us(0.0)) / 1e6 - up_s
        expected = {name: found for name in self.flows if (found := self.expected(name))}
        seen = missing.look(self.database, command)
        assert {one.workflow: (one.first, one.last, one.count) for one in seen} == {
            name: (found[0], found[-1], len(found)) for name, found in expected.items()
        }
        missing.notice(self.database, command)
        sql = "SELECT workflow, facts FROM alert_rows ORDER BY id LIMIT -1 OFFSET ?"
        for name, text in self.database.raw.execute(sql, (self.alerts,)).fetchall():
            facts = json.loads(text)
            new = [slot for slot in expected[name] if facts["slot"] <= slot <= facts["until"]]
            assert (facts["slot"], facts["until"], facts["slots"]) == (new[0], new[-1], len(new))
            assert not set(new) & set(self.told[name])
            self.told[name] += new
            self.alerts += 1
        for name, found in expected.items():
            assert set(found) <= set(self.told[name])


@pytest.mark.parametrize("seed", range(6))
def test_watch_and_the_next_command_agree(seed: int) -> None:
    """About each slot; each has a run, a reason or a pause, or was told of, once."""
    with closing(memory_store(Path("/proc/none/runs.db"))) as database:
        world = World(database, seed)
        for _ in range(40):
            world.turn()
            world.look()
        world.on.clear()
        database.raw.execute("UPDATE run_rows SET owner = ''")
        for name in world.flows:
            pauses.unpause(database, name, at_us=world.now, by="bob")
        world.now += 26 * HOUR
        world.look()
        assert world.alerts > 3
        for name in world.flows:
            sql = "SELECT slot FROM slot_rows WHERE workflow = ?"
            decided = {slot for (slot,) in database.raw.execute(sql, (name,))}
            lost = set(world.slots(name, min(decided))) - decided - set(world.told[name])
            assert [slot for slot in lost if not world.held(name, slot)] == []
