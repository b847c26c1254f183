"""Slots in the store: claimed once, passed over once; pauses; none lost and none doubled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import SlotTaken
from engine.model import Definition, RunStatus
from engine.session.limits import Begun, lateness_of, moments_of
from engine.session.schedules.calendars import facts
from engine.session.schedules.slots import Unloaded, judge, settle, settle_unloaded
from engine.slots import Catchup
from store import pauses, slots
from store.connection import Database
from store.history import History
from store.journal import begin_run, record_ended_run
from store.memory import memory_store
from tests.fakes import FakeClock
from tests.store.filled import a_run, new_run, us

HOUR = 3_600_000_000
SLOT = us(0.0)


@pytest.fixture
def memory() -> Iterator[Database]:
    """Give a store in memory."""
    with closing(memory_store(Path("/proc/none/runs.db"))) as database:
        yield database


def rows(database: Database) -> list[tuple[object, ...]]:
    """Give what is decided: slot in hours of the clock, run, reason."""
    found = database.raw.execute("SELECT slot, run_id, reason FROM slot_rows ORDER BY slot")
    return [((slot - SLOT) / HOUR, run_id, reason) for slot, run_id, reason in found]


# -- claims ---------------------------------------------------------------------------------------


def test_a_slot_is_claimed_by_the_run_that_begins(memory: Database) -> None:
    """In one transaction: a second run of that slot leaves nothing behind, however it would end."""
    run_id = begin_run(memory, new_run(slot=SLOT))
    assert rows(memory) == [(0.0, run_id, "")]
    assert History(memory).run(run_id)["slot"] == "2011-11-14T00:00:00.000Z"
    with pytest.raises(SlotTaken):
        begin_run(memory, new_run(slot=SLOT))
    with pytest.raises(SlotTaken):
        record_ended_run(memory, new_run(slot=SLOT), RunStatus.SKIPPED)
    assert History(memory).last_number("flow") == run_id
    assert slots.decided(memory, "flow", SLOT) == (run_id, "")
    assert slots.decided(memory, "flow", SLOT + 1) is None
    slots.check_free(memory, "flow", SLOT + 1)
    with pytest.raises(SlotTaken):
        slots.check_free(memory, "flow", SLOT)
    assert begin_run(memory, new_run(slot=SLOT, workflow="other")) == run_id + 1


def test_a_continued_run_keeps_its_slot(memory: Database) -> None:
    """It is of the same slot, which stays the first run's."""
    first = a_run(memory, "failed", slot=SLOT)
    past = History(memory).past(first)
    second = begin_run(memory, new_run(slot=past.slot, resumed_from=first, root_run=first))
    assert History(memory).run(second)["slot"] == "2011-11-14T00:00:00.000Z"
    assert rows(memory) == [(0.0, first, "")]


def test_what_was_decided_stays(memory: Database) -> None:
    """To pass over a slot that has a run, or a reason, changes nothing."""
    run_id = begin_run(memory, new_run(slot=SLOT))
    for reason in ("missed", "paused"):
        with memory.write() as cursor:
            slots.pass_over(cursor, "flow", [(SLOT, reason), (SLOT + HOUR, reason)], SLOT)
    assert rows(memory) == [(0.0, run_id, ""), (1.0, None, "missed")]


def test_old_slots_are_forgotten(memory: Database) -> None:
    """Those without a run that is kept go; the newest stays, which tells what is due."""
    run_id = begin_run(memory, new_run(slot=SLOT))
    with memory.write() as cursor:
        passed = [(SLOT + hour * HOUR, "missed") for hour in (1, 2, 3)]
        slots.pass_over(cursor, "flow", passed, SLOT)
    slots.let_go(memory, "flow", SLOT + 2 * HOUR, SLOT + 9 * HOUR)
    assert [slot for slot, *_ in rows(memory)] == [0.0, 2.0, 3.0]
    slots.let_go(memory, "flow", SLOT + 9 * HOUR, SLOT + 9 * HOUR)
    assert rows(memory) == [(0.0, run_id, ""), (3.0, None, "missed")]


def test_a_slot_of_a_clock_that_was_ahead_drives_out_none(memory: Database) -> None:
    """Of a rare schedule the last real slot would go, and be due again."""
    yearly = Definition("flow", (), schedule="*-01-01 00:00:00", tz="UTC", catchup=Catchup.NONE)
    year = 8_760 * HOUR
    settle(memory, yearly, SLOT)
    settle(memory, yearly, SLOT + year)  # the slot of this year is passed over
    settle(memory, yearly, SLOT + 5 * year)  # by a clock that is ahead
    now, before = SLOT + year + 99 * HOUR, rows(memory)
    while slots.let_go(memory, "flow", now - HOUR, now):
        pass
    assert rows(memory) == before[1:]
    assert settle(memory, yearly, now)[0].slot is None
    assert rows(memory) == before[1:2]


# -- what is noted --------------------------------------------------------------------------------


def test_another_schedule_counts_from_when_it_is_noted(memory: Database) -> None:
    """Slots of the new one before that were promised by nobody; the same one changes nothing."""
    hourly = Definition("flow", (), schedule="*-*-* *:00:00 UTC", catchup=Catchup.ALL)
    due, _ = settle(memory, hourly, SLOT + HOUR // 2)
    assert due.slot == SLOT
    a_run(memory, slot=SLOT)
    quarters = replace(hourly, schedule="*-*-* *:0/15:00 UTC")
    due, _ = settle(memory, quarters, SLOT + 5 * HOUR)
    assert (due.slot, due.left, due.passed) == (SLOT + 5 * HOUR, 0, ())
    due, _ = settle(memory, quarters, SLOT + 5 * HOUR + HOUR // 4)  # the run was not begun
    assert (due.slot, due.left, due.passed) == (SLOT + 5 * HOUR, 1, ())


def test_a_schedule_that_was_forgotten_has_no_slot_twice(memory: Database) -> None:
    """Noted again, its newest slot is still that of the run it had; a dry run says so, too."""
    flow = Definition("flow", (), schedule="*-*-* *:00:00", tz="UTC")
    a_run(memory, slot=settle(memory, flow, SLOT)[0].slot)
    with memory.write() as cursor:
        slots.forget(cursor, "flow")
    assert judge(memory, flow, SLOT + 1).due.slot is None
    due, why = settle(memory, flow, SLOT + 1)
    assert (due.slot, why) == (
        None,
        "no slot is due: that of 2011-11-14 00:00 UTC is that of run 1",
    )
    assert settle(memory, flow, SLOT + HOUR)[0].slot == SLOT + HOUR


def test_a_clock_that_was_ahead_holds_up_nothing(memory: Database) -> None:
    """A schedule noted by it, with its slot, counts as if it were new once the clock is right."""
    flow = Definition("flow", (), schedule="*-*-* *:00:00", tz="UTC", catchup=Catchup.ALL)
    a_run(memory, slot=settle(memory, flow, SLOT + 10_000 * HOUR)[0].slot)
    due, _ = settle(memory, flow, SLOT + 3 * HOUR)
    assert (due.slot, due.left) == (SLOT + 3 * HOUR, 0)
    due, _ = settle(memory, flow, SLOT + 5 * HOUR)  # the run was not begun
    assert (due.slot, due.left) == (SLOT + 3 * HOUR, 2)


def test_what_a_clock_that_was_ahead_passed_over_is_due_again(memory: Database) -> None:
    """Else nothing would run, nor be missing, until it has come so far; its own run stays."""
    flow = Definition("flow", (), schedule="*-*-* *:00:00", tz="UTC")
    a_run(memory, slot=settle(memory, flow, SLOT)[0].slot)
    far = a_run(memory, at=240 * 3600.0, slot=settle(memory, flow, SLOT + 240 * HOUR)[0].slot)
    assert len(rows(memory)) == 241
    a_run(memory, at=7200.0, slot=settle(memory, flow, SLOT + 2 * HOUR)[0].slot)
    told = [row[:2] for row in rows(memory)]
    assert told == [(0.0, 1), (1.0, None), (2.0, far + 1), (240.0, far)]
    assert settle(memory, flow, SLOT + 2 * HOUR)[0].slot is None


def test_a_schedule_that_this_machine_cannot_read_has_no_slot(memory: Database) -> None:
    """Of a workflow that cannot be loaded, so that its failure is recorded all the same."""
    with memory.write() as cursor:
        slots.note(cursor, "flow", ("08:00", "Mars/Base"), {"pause_after": 2}, SLOT)
    assert settle_unloaded(memory, "flow", SLOT + 99 * HOUR) == Unloaded(pause_after=2)


def test_what_nothing_is_due_for_is_said(memory: Database) -> None:
    """By what became of the newest slot; a clock that was set back is told of."""
    flow = Definition("flow", (), schedule="*-*-* *:00:00", tz="UTC")
    with memory.write() as cursor:
        slots.note(cursor, "new", ("*-*-* *:00:00", "UTC"), facts(flow), SLOT)
    _, why = settle(memory, replace(flow, name="new"), SLOT + 1)
    assert why == "no slot is due yet, the first is that of 2011-11-14 01:00 UTC"
    run_id = a_run(memory, slot=settle(memory, flow, SLOT + 1)[0].slot)
    _, why = settle(memory, flow, SLOT + 2)
    assert why == f"no slot is due: that of 2011-11-14 00:00 UTC is that of run {run_id}"
    with memory.write() as cursor:
        slots.pass_over(cursor, "flow", [(SLOT + 3 * HOUR, "missed")], SLOT)
    _, why = settle(memory, flow, SLOT + 2)
    assert why.endswith(f"run {run_id}; the clock is behind, 2011-11-14 03:00 UTC was due already")
    assert settle(memory, flow, SLOT + 2 * HOUR)[0].slot == SLOT + 2 * HOUR  # never had one
    _, why = settle(memory, flow, SLOT + 3 * HOUR)
    assert why == "no slot is due: that of 2011-11-14 03:00 UTC was passed over (missed)"


def test_a_workflow_that_cannot_be_loaded_stays_noted_as_it_was(memory: Database) -> None:
    """Its failure takes the slot; deadline and ping are as in the file that was right."""
    definition = Definition(
        *("flow", ()), schedule="hourly", tz="UTC", deadline="09:30", ping="PING", pause_after=3
    )
    assert settle(memory, definition, SLOT)[0].slot == SLOT
    noted = History(memory).noted()
    a_run(memory, slot=SLOT)
    assert settle_unloaded(memory, "flow", SLOT + 2 * HOUR) == Unloaded(
        SLOT + 2 * HOUR, pause_after=3, ping="PING"
    )
    assert rows(memory)[1:] == [(1.0, None, "missed: only the newest is caught up")]
    assert History(memory).noted() == noted


# -- pauses ---------------------------------------------------------------------------------------


def pause(at: int, until: int | None = None) -> pauses.Pause:
    """Make a pause of ann's."""
    return pauses.Pause("flow", at, "ann", until, "moving", None)


def test_a_pause_holds_until_it_is_ended(memory: Database) -> None:
    """Its slots get no run, and the reason; those after it do."""
    flow = Definition("flow", (), schedule="*-*-* *:00:00", tz="UTC", catchup=Catchup.ALL)
    a_run(memory, slot=settle(memory, flow, SLOT)[0].slot)
    pauses.pause(memory, pause(SLOT + HOUR // 2))
    due, why = settle(memory, flow, SLOT + 2 * HOUR)
    assert due.slot is None
    assert why == "paused by ann: moving (until `schedule unpause flow`)"
    reason = "paused by ann: moving"
    assert rows(memory)[1:] == [(1.0, None, reason), (2.0, None, reason)]
    was = pauses.unpause(memory, "flow", at_us=SLOT + 3 * HOUR + 1, by="bob")
    assert was is not None
    assert was.reason == "moving"
    assert settle(memory, flow, SLOT + 4 * HOUR)[0].slot == SLOT + 4 * HOUR
    assert rows(memory)[3:] == [(3.0, None, reason)]  # it was due while nobody looked
    told = memory.raw.execute("SELECT paused_at, paused_by, reason, ended_at, ended_by FROM pauses")
    assert told.fetchall() == [
        ("2011-11-14T00:30:00.000Z", "ann", "moving", "2011-11-14T03:00:00.000Z", "bob")
    ]


def test_a_pause_may_end_by_itself(memory: Database) -> None:
    """From its date on it is none; another pause takes the place of one that is on."""
    flow = Definition("flow", (), schedule="*-*-* *:00:00", tz="UTC")
    a_run(memory, slot=settle(memory, flow, SLOT)[0].slot)
    pauses.pause(memory, pause(SLOT, until=SLOT + 9 * HOUR))
    pauses.pause(memory, pause(SLOT + 1, until=SLOT + 2 * HOUR))
    _, why = settle(memory, flow, SLOT + HOUR)
    assert why == "paused by ann: moving (until 2011-11-14 02:00 UTC)"
    with memory.read() as cursor:
        assert pauses.all_current(cursor, SLOT + HOUR).keys() == {"flow"}
        assert pauses.all_current(cursor, SLOT + 2 * HOUR) == {}
    assert settle(memory, flow, SLOT + 2 * HOUR)[0].slot == SLOT + 2 * HOUR
    assert pauses.unpause(memory, "flow", at_us=SLOT + 3 * HOUR, by="bob") is None
    ends = memory.raw.execute("SELECT ended_at, ended_by FROM pauses ORDER BY paused_at").fetchall()
    assert ends == [("2011-11-14T00:00:00.000Z", "ann"), ("2011-11-14T02:00:00.000Z", "ann")]


def test_a_pause_holds_the_first_slot_of_a_new_schedule(memory: Database) -> None:
    """Though it is over when that is looked for."""
    flow = Definition("flow", (), schedule="*-*-* 00:00:00", tz="UTC")
    pauses.pause(memory, pause(SLOT - HOUR, until=SLOT + HOUR))
    due, _ = settle(memory, flow, SLOT + 2 * HOUR)
    assert (due.slot, due.passed) == (None, ((SLOT, "paused by ann: moving"),))


def test_failures_in_a_row_pause(memory: Database) -> None:
    """Failed runs of the timer count since a run went well, or a pause was ended; told once."""

    def paused(at: float) -> bool:
        new = pauses.Pause("flow", us(at), "pause_after", None, "2 runs failed", None)
        return pauses.pause_if_failing(memory, new, 2, {"headline": "é"}, ["slack", "email"])

    def timer(status: str, at: float) -> int:
        return a_run(memory, status, at=at, started_by="timer")

    timer("failed", 0.0)
    a_run(memory, "failed", at=10.0)  # by hand
    assert not paused(15.0)
    a_run(memory, "ok", at=20.0)
    timer("failed", 30.0)
    assert not paused(35.0)
    last = timer("failed", 40.0)
    assert paused(45.0)
    assert not paused(46.0)
    alerts = "SELECT run_id, channel, status, kind, workflow, facts FROM alerts"
    facts = '{"headline":"é"}'
    assert memory.raw.execute(alerts).fetchall() == [
        (last, channel, "pending", "paused", "flow", facts) for channel in ("slack", "email")
    ]
    pauses.unpause(memory, "flow", at_us=us(50.0), by="ann")
    timer("failed", 60.0)
    assert not paused(65.0)
    timer("failed", 70.0)
    assert paused(75.0)


def test_a_clock_that_was_ahead_silences_no_pause(memory: Database) -> None:
    """Neither a pause made by it nor what it told keeps a reminder back once it is right."""
    made = pauses.Pause("flow", us(900.0), "pause_after", None, "2 runs failed", None)

    def told(at: float) -> bool:
        return pauses.remind(memory, made, {}, ["slack"], (us(at), 50_000_000))

    assert told(960.0)
    assert told(100.0)
    assert not told(140.0)
    assert told(150.0)


# -- late -----------------------------------------------------------------------------------------


def test_of_a_catch_up_one_run_is_told_of_as_late(memory: Database) -> None:
    """The first that begins past its deadline; a run of its own is told of, and one that gets late.

    Thirty runs that are caught up would be thirty messages that say the same.
    """
    flow = Definition("flow", (), schedule="*-*-* *:00:00", tz="UTC", deadline=600.0)
    clock: Any = FakeClock(0.0)
    going: Any = SimpleNamespace(
        compiled=SimpleNamespace(definition=flow, graph=SimpleNamespace(names=())),
        environment=SimpleNamespace(clock=clock),
    )

    def late(slot_h: float, at_s: float) -> int:
        slot = round(SLOT + slot_h * HOUR)
        run_id = a_run(memory, at=at_s, slot=slot)
        found = lateness_of(going, History(memory), Begun(run_id, at_s, slot))
        return 0 if found is None else len(found.due(at_s + 3_600.0, ()))

    assert [late(hour, 18_000.0 + hour) for hour in (1, 2, 3)] == [1, 0, 0]
    assert late(5, 18_010.0) == 1
    assert late(5.5, 36_000.0) == 1


def test_a_slot_from_before_its_schedule_was_known_is_not_late(memory: Database) -> None:
    """A new workflow's first run was told late for yesterday's slot; one on time is held to it."""
    flow = Definition("flow", (), schedule="*-*-* *:00:00", tz="UTC", deadline=600.0)
    clock: Any = FakeClock(0.0)

    def late(slot: int, began_us: int) -> int:
        begun = Begun(1, clock.instant(began_us), slot)
        return len(moments_of(flow, begun, History(memory), clock))

    assert settle(memory, flow, SLOT + HOUR // 2)[0].slot == SLOT
    assert late(SLOT, SLOT + HOUR // 2) == 0
    assert late(SLOT, SLOT + 1) == 1
    assert late(SLOT + HOUR, SLOT + HOUR * 3 // 2) == 1
