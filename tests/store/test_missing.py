"""Scheduled runs that never came: each slot told of once, and only where nobody decided on it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import store.missing
import store.schedules
from engine.alert import AlertKind, AlertRow, Failure
from engine.alerts.content import Section
from engine.alerts.kinds import of_alert
from engine.alerts.letter import render_plain
from engine.events import Claim
from engine.model import RunStatus
from engine.ports import Paths
from engine.secrets import Secrets
from engine.session import Environment, watching
from engine.session.schedules import missing
from store import locks, pauses, slots
from store.connection import Database
from store.history import History
from store.journal import record_ended_run
from store.memory import memory_store
from store.outbox import StoredOutbox
from tests.fakes import FakeClock
from tests.store.filled import a_run, begun, dead_owner, new_run, python, us

HOUR = 3600.0
SLOT = us(0.0)
HOOK = {"SLACK_WEBHOOK_URL": "https://example.org/hook"}
AT_ONCE = HOOK | {"ENGINE_REMIND_AFTER": "0.001s"}  # tells each slot as it is missing


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
    first = ("flow: the run of 2011-11-14 01:00 UTC never came", 1)
    assert told(memory) == [first]
    for hours in (2.5, 24.5):
        missing.notice(memory, at(hours * HOUR))
    assert told(memory) == [first]
    memory.raw.execute("UPDATE alert_rows SET created_at = created_at - ?", (25 * HOUR * 1e6,))
    missing.notice(memory, at(4.5 * HOUR))
    after = "flow: 3 runs never came, 2011-11-14 02:00 UTC to 2011-11-14 04:00 UTC"
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


def test_what_another_process_has_just_told_is_not_told_again(memory: Database) -> None:
    """Two that looked at once: the later may know of one more, and leaves it to the next."""
    hourly(memory)
    early, late = at(1.5 * HOUR, AT_ONCE), at(2.5 * HOUR, AT_ONCE)
    seen = {name: missing.look(memory, each) for name, each in (("one", early), ("two", late))}
    for name, each in (("one", early), ("two", late)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(missing, "look", lambda *_, name=name, **__: seen[name])
            missing.notice(memory, each)
    assert [count for _, count in told(memory)] == [1]
    missing.notice(memory, late)
    assert [count for _, count in told(memory)] == [1, 1]


RACER = """
import sys
from pathlib import Path
from engine.session.schedules import missing
from store.database import open_writer
from tests.store.test_missing import HOUR, at

database, command = open_writer(Path(sys.argv[1])), at(30.5 * HOUR)
print("ready", flush=True)
sys.stdin.readline()
missing.notice(database, command)
"""


def test_two_processes_tell_each_slot_once(database: Database) -> None:
    """That look at the same moment, for each of twenty workflows."""
    with database.write() as cursor:
        for number in range(20):
            slots.note(cursor, f"flow{number}", ("hourly", "UTC"), {}, SLOT)
    racers = [python(RACER, database.path) for _ in range(2)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.communicate("go\n", timeout=30)
        assert racer.returncode == 0
    rows = database.raw.execute("SELECT workflow, facts FROM alert_rows").fetchall()
    assert sorted(name for name, _ in rows) == sorted(f"flow{number}" for number in range(20))
    assert {json.loads(facts)["slots"] for _, facts in rows} == {30}


def test_what_a_clock_that_was_ahead_told_silences_nothing(memory: Database) -> None:
    """What is missing by the right clock is told of, though a slot far ahead was, too."""
    hourly(memory)
    missing.notice(memory, at(100 * HOUR))
    missing.notice(memory, at(1.5 * HOUR))
    missing.notice(memory, at(1.6 * HOUR))
    assert [count for _, count in told(memory)] == [99, 1]
    with memory.write() as cursor:
        slots.note(cursor, "flow", ("*-*-* *:30:00", "UTC"), {}, us(1000 * HOUR))
    assert [one.count for one in missing.look(memory, at(2.7 * HOUR))] == [3]


def test_a_timers_run_of_no_schedule_forgets_the_one_there_was(memory: Database) -> None:
    """The file names none any more: nothing is due, and nothing missing."""
    hourly(memory)
    assert [one.count for one in missing.look(memory, at(2.5 * HOUR))] == [2]
    a_run(memory, started_by="timer", at=2.5 * HOUR)
    assert missing.look(memory, at(9 * HOUR)) == []


def test_a_timer_that_is_off_is_told_once_a_day(memory: Database) -> None:
    """However often it was to come; that it stays away again is told at once."""
    hourly(memory, "*-*-* *:0/5:00")
    for hour in range(1, 49):
        missing.notice(memory, at(hour * HOUR))
    assert [count for _, count in told(memory)] == [11, 288]
    a_run(memory, at=50 * HOUR, slot=us(50 * HOUR))
    missing.notice(memory, at(50.5 * HOUR))
    assert [count for _, count in told(memory)] == [11, 288, 5]


def test_many_workflows_are_one_message(memory: Database, caplog: pytest.LogCaptureFixture) -> None:
    """As where all timers of a user are off; each of them counts as told of, and is told again."""
    with memory.write() as cursor:
        for number in range(12):
            slots.note(cursor, f"flow.ü-{number}", ("*-*-* *:00:00", "UTC"), {}, SLOT)
    missing.notice(memory, at(1.5 * HOUR))
    assert caplog.messages[-1] == "2 more workflows did not run; see `watch`"
    box = StoredOutbox(memory, now_us=lambda: us(0.0), payload=lambda due: {"facts": due.facts})
    (row,) = box.claim()
    content = of_alert(row)
    assert content.title == "12 alerts: 12 missing"
    lines = render_plain(content).split("\n")
    assert lines[3] == "  flow.ü-0: the run of 2011-11-14 01:00 UTC never came"
    box.sent(row.id)
    missing.notice(memory, at(2.5 * HOUR))
    assert box.claim() == []
    missing.notice(memory, at(2.5 * HOUR, AT_ONCE))
    (row,) = box.claim()
    assert set(row.payload["facts"]["told"].values()) == {us(2 * HOUR)}
    box.failed(row.id, Failure("no answer"))
    missing.notice(memory, at(3.5 * HOUR, AT_ONCE))
    (row,) = box.claim()  # of a long outage there is one in the end
    assert row.payload["facts"]["counts"] == {"missing": 24}
    assert set(row.payload["facts"]["told"].values()) == {us(3 * HOUR)}


def test_a_pause_that_a_list_told_of_is_not_told_again_at_once(memory: Database) -> None:
    """It counts as told, without an alert of its own; what a clock ahead says does not."""
    day = (us(24 * HOUR), us(24 * HOUR) - us(0.0))
    paused = [pauses.Pause(f"flow{n}", us(0.0), "ann", None, "x", None) for n in range(12)]
    facts = {"headline": "x", "body": ""}
    assert [pauses.remind(memory, one, facts, ["slack"], day) for one in paused] == [True] * 12
    box = StoredOutbox(memory, now_us=lambda: us(0.0), payload=lambda due: {"facts": due.facts})
    (row,) = box.claim()
    assert row.payload["facts"]["counts"] == {"paused": 12}
    assert [pauses.remind(memory, one, facts, ["slack"], day) for one in paused] == [False] * 12
    ahead = replace(paused[0], paused_at=us(9_999 * HOUR))
    later = (us(48 * HOUR), day[1])
    assert [pauses.remind(memory, ahead, facts, ["slack"], later) for _ in "ab"] == [True, False]


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
    assert told(memory) == [("flow: the run of 2011-11-14 03:00 UTC never came", 1)]


def test_what_is_being_caught_up_is_not_missing(memory: Database) -> None:
    """Between two runs of it none is on, and whoever looks then is not to say that none came."""
    hourly(memory)
    a_run(memory, at=5.5 * HOUR, slot=us(HOUR))
    missing.notice(memory, at(5.5 * HOUR + 3))
    assert told(memory) == []
    missing.notice(memory, at(5.5 * HOUR + 303))
    assert [count for _, count in told(memory)] == [4]


def test_what_a_timer_came_for_in_vain_is_not_missing(memory: Database) -> None:
    """Its failure tells of it: of a broken file, slots that are all caught up stay due."""
    hourly(memory)
    failed = new_run(at=2 * HOUR, started_by="timer", note="SyntaxError")
    record_ended_run(memory, failed, RunStatus.FAILED)
    assert missing.look(memory, at(2.9 * HOUR)) == []
    (one,) = missing.look(memory, at(4.5 * HOUR))
    assert missing.which(one).startswith("2 runs never came, 2011-11-14 03:00 UTC to")
    record_ended_run(
        memory, replace(failed, started_by="hand", started_at=us(4 * HOUR)), RunStatus.FAILED
    )
    assert missing.look(memory, at(4.5 * HOUR))[0].count == 2


def test_nothing_is_missing_that_may_still_come(memory: Database) -> None:
    """While a run is on, which may be catching up, or when the machine has only just begun.

    A run whose engine is dead is not on, whether a command has recorded that or not.
    """
    hourly(memory)
    just_begun = at(60.0)
    clock: Any = just_begun.clock
    clock.wall_s = 9 * HOUR
    missing.notice(memory, just_begun)
    on = begun(memory, owner=locks.this_process("none.lock").to_text())
    missing.notice(memory, at(9 * HOUR))
    assert told(memory) == []
    memory.raw.execute("UPDATE run_rows SET owner = ? WHERE id = ?", (dead_owner(), on.run_id))
    assert [one.count for one in missing.look(memory, at(9 * HOUR))] == [8]


def test_without_a_channel_each_command_says_it(
    memory: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Once; nothing is recorded: a channel set up later is told, and once it is, no line is."""
    hourly(memory)
    with caplog.at_level(logging.WARNING, "engine.run"):
        for settings in ({}, {}, HOOK, HOOK):
            command = at(1.5 * HOUR, settings)
            missing.notice(memory, command)
            missing.notice(memory, command)
    line = "flow: the run of 2011-11-14 01:00 UTC never came; see `watch`"
    assert [entry.getMessage() for entry in caplog.records] == [line] * 3
    assert len(told(memory)) == 1


def test_many_slots_are_one_alert(memory: Database) -> None:
    """Of a timer that was off for long: the first and the last are named, not all are counted."""
    hourly(memory, "*-*-* *:*:00")
    missing.notice(memory, at(48 * HOUR))
    missing.notice(memory, at(48 * HOUR + 30))
    many = "flow: over 1,000 runs never came, 2011-11-14 00:01 UTC to 2011-11-15 23:55 UTC"
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


def test_what_is_late_is_shown_by_the_limits_of_its_run(
    memory: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a schedule, too; a run of a backfill is never late."""
    monkeypatch.setattr("store.locks.alive", lambda *_: True)
    limits = "[60.0,[[0,0,30.0]]]"
    for name, backfill in (("flow", None), ("part", 1)):
        journal = begun(memory, "a", workflow=name, backfill=backfill, limits=limits)
        journal.commit_tick([Claim(0, 1, 0.0, report=False)])
    history = History(memory)
    assert watching.look(memory, history, at(29.0))["late"] == []
    texts = [one["text"] for one in watching.look(memory, history, at(61.0))["late"]]
    assert texts == [
        "run 1 of flow: it has run for 1m 00s, its max_duration",
        "a of run 1 of flow has run for 1m 01s, its max_duration is 30.0s",
    ]


def test_of_a_workflow_with_many_runs_few_are_looked_at(memory: Database) -> None:
    """Each run's end asks which ended lately: of one every minute 100,000 are kept."""
    used = "INDEX ix_run_rows_age (workflow=? AND status=? AND pruned_at=? AND finished_at>?"
    for sql, values in ((store.missing._WAITED, (0, 0)), (store.schedules._FOLLOWS, (0,))):
        plan = memory.raw.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
        steps = [step for *_, step in plan if " r " in step or "run_rows" in step]
        assert [step for step in steps if used not in step] == []
        assert steps
    plan = memory.raw.execute(f"EXPLAIN QUERY PLAN {store.missing._TOLD}", ("flow", 0)).fetchall()
    used = "SEARCH alert_rows USING INDEX ix_alert_rows_run_id (run_id=?)"
    assert [step for *_, step in plan] == [used]  # alerts of runs are not looked at
