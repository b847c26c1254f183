"""Scheduled runs that never came: each slot told of once, and only where nobody decided on it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.alert import AlertKind, AlertRow
from engine.alerts.content import Section
from engine.alerts.incidents import of_alert
from engine.ports import Paths
from engine.secrets import Secrets
from engine.session import Environment, missing
from store import pauses, slots
from store.connection import Database
from store.memory import memory_store
from tests.fakes import FakeClock
from tests.store.filled import a_run, begun, us

HOUR = 3600.0
SLOT = us(0.0)
HOOK = {"SLACK_WEBHOOK_URL": "https://example.org/hook"}


@pytest.fixture
def memory() -> Iterator[Database]:
    """Give a store in memory."""
    with closing(memory_store(Path("/proc/none/runs.db"))) as database:
        yield database


def at(seconds: float, settings: dict[str, str] = HOOK) -> Environment:
    """Give an environment at a moment: so long after the first slot, and since the machine runs."""
    clock: Any = FakeClock(seconds)
    folder = Path("/proc/none")
    paths = Paths(folder, folder, "sqlite:////proc/none/runs.db")
    return Environment(paths, Secrets.given(settings), clock, {})


def hourly(database: Database, calendar: str = "*-*-* *:00:00") -> None:
    """Have a schedule that was noted at midnight, when its first run came."""
    with database.write() as cursor:
        slots.note(cursor, "flow", (calendar, "UTC"), {}, SLOT - 1)
    a_run(database, slot=SLOT)


def told(database: Database) -> list[tuple[str, int]]:
    """Give the alerts: what they say, and of how many slots."""
    rows = database.raw.execute(
        "SELECT run_id, workflow, facts FROM alert_rows WHERE kind = 'missing' ORDER BY id"
    ).fetchall()
    assert all(row[:2] == (None, "flow") for row in rows)
    facts = [json.loads(row[2]) for row in rows]
    return [(each["headline"], each["slots"]) for each in facts]


def test_each_slot_is_told_of_once(memory: Database) -> None:
    """When its timer has had time to come; more that follow are another alert."""
    hourly(memory)
    missing.notice(memory, at(HOUR + 299))
    assert told(memory) == []
    for seconds in (301, 302, 900):
        missing.notice(memory, at(HOUR + seconds))
    first = ("flow did not run: that of 2011-11-14 01:00 UTC never came", 1)
    assert told(memory) == [first]
    missing.notice(memory, at(4.5 * HOUR))
    after = "flow did not run: 3 never came, 2011-11-14 02:00 UTC to 2011-11-14 04:00 UTC"
    assert told(memory) == [first, (after, 3)]
    assert [one.count for one in missing.look(memory, at(4.5 * HOUR))] == [4]
    a_run(memory, slot=us(4 * HOUR))
    assert missing.look(memory, at(4.5 * HOUR)) == []
    facts = json.loads(memory.raw.execute("SELECT facts FROM alert_rows").fetchone()[0])
    assert facts["body"] == "Nothing has come to run it: its timer may be off, removed or broken."
    alert = AlertRow(1, "slack", {"facts": facts}, 0, kind=AlertKind.MISSING)
    assert [
        part.body for part in of_alert(alert).parts if isinstance(part, Section) and part.mono
    ] == [
        f"python -m engine {words}"
        for words in ("run flow --scheduled", "schedule verify flow", "schedule remove flow")
    ]


def test_what_is_paused_is_not_missing(memory: Database) -> None:
    """Not while it is, nor are the slots of a pause that is over."""
    hourly(memory)
    pause = pauses.Pause("flow", SLOT + 1, "ann", None, "moving", None)
    pauses.pause(memory, pause)
    missing.notice(memory, at(2.5 * HOUR))
    pauses.unpause(memory, "flow", at_us=us(2.5 * HOUR), by="ann")
    missing.notice(memory, at(2.6 * HOUR))
    assert told(memory) == []
    missing.notice(memory, at(3.5 * HOUR))
    assert told(memory) == [("flow did not run: that of 2011-11-14 03:00 UTC never came", 1)]


def test_nothing_is_missing_that_may_still_come(memory: Database) -> None:
    """While a run is on, which may be catching up, or when the machine has only just begun."""
    hourly(memory)
    just_begun = at(60.0)
    clock: Any = just_begun.clock
    clock.wall_s = 9 * HOUR
    missing.notice(memory, just_begun)
    begun(memory)
    missing.notice(memory, at(9 * HOUR))
    assert told(memory) == []


def test_without_a_channel_each_command_says_it(
    memory: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is recorded: a channel that is set up later is told; once it is, no line is."""
    hourly(memory)
    with caplog.at_level(logging.WARNING, "engine.run"):
        for settings in ({}, {}, HOOK, HOOK):
            missing.notice(memory, at(1.5 * HOUR, settings))
    line = "flow did not run: that of 2011-11-14 01:00 UTC never came; see `watch`"
    assert [entry.getMessage() for entry in caplog.records] == [line] * 3
    assert len(told(memory)) == 1


def test_many_slots_are_one_alert(memory: Database) -> None:
    """Of a timer that was off for long: the first and the last are named, not all are counted."""
    hourly(memory, "*-*-* *:*:00")
    missing.notice(memory, at(48 * HOUR))
    missing.notice(memory, at(48 * HOUR + 30))
    many = "flow did not run: over 1,000 never came, 2011-11-14 00:01 UTC to 2011-11-15 23:55 UTC"
    assert told(memory) == [(many, 1001)]


def test_a_schedule_that_is_forgotten_is_not_waited_for(memory: Database) -> None:
    """As `schedule remove` does; one that cannot be read any more hides no other."""
    hourly(memory)
    with memory.write() as cursor:
        slots.note(cursor, "broken", ("when the cows come home", ""), {}, SLOT - 1)
    assert [one.workflow for one in missing.look(memory, at(1.5 * HOUR))] == ["flow"]
    with memory.write() as cursor:
        slots.forget(cursor, "flow")
    assert missing.look(memory, at(1.5 * HOUR)) == []
