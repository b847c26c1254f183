"""What the dashboard tells of schedules: paused, missing; and of failures that go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.model import Definition
from engine.ports import Paths
from engine.secrets import Secrets
from engine.serve.looking import Look
from engine.serve.standing import Standing, passed_of, standing_of, troubles_of
from engine.session import Environment
from engine.session.schedules import pausing
from engine.slots import PAUSED_BY_ITSELF
from store import pauses, slots
from store.connection import Database
from store.history import History
from store.memory import memory_store
from store.trends import Trends
from tests.fakes import FakeClock
from tests.store.filled import a_run, us

HOUR = 3600.0


@pytest.fixture
def memory() -> Iterator[Database]:
    """Give a store in memory."""
    with closing(memory_store(Path("/proc/none/runs.db"))) as database:
        yield database


def at(seconds: float) -> Environment:
    """Give an environment so long after midnight."""
    clock: Any = FakeClock(seconds)
    folder = Path("/proc/none")
    paths = Paths(folder, folder, "sqlite:////proc/none/runs.db")
    hook = {"SLACK_WEBHOOK_URL": "https://example.org/hook"}
    return Environment(paths, Secrets.given(hook), clock, {})


def test_pauses_and_what_never_came_are_told(memory: Database) -> None:
    """Each in a few words; a pause's end by the clock of the workflow."""
    for name in ("away", "lost", "failing"):
        with memory.write() as cursor:
            slots.note(cursor, name, ("*-*-* *:00:00", "Asia/Tokyo"), {}, us(0.0) - 1)
        a_run(memory, workflow=name, slot=us(0.0))
    pauses.pause(memory, pauses.Pause("away", us(1.0), "ann", us(9 * HOUR), "ski", None))
    why = pauses.Pause("failing", us(1.0), PAUSED_BY_ITSELF, None, "2 runs failed", None)
    pauses.pause(memory, why)
    assert pausing.reason(why) == "paused by itself: 2 runs failed"
    look = Look(memory, History(memory), Trends(memory))
    assert standing_of(look, at(1.5 * HOUR)) == Standing(
        {
            "away": "paused by ann until today 18:00 JST: ski",
            "failing": "paused by itself: 2 runs failed",
        },
        {"lost": "the run of 2011-11-14 10:00 JST never came"},
    )


def test_slots_without_a_run_are_told(memory: Database) -> None:
    """The newest first, by the clock of the workflow, with the reason; none of other workflows."""
    with memory.write() as cursor:
        slots.note(cursor, "flow", ("*-*-* *:00:00", "Asia/Tokyo"), {}, us(0.0) - 1)
        passed = [(us(hour * HOUR), f"missed {hour}") for hour in range(20)]
        slots.pass_over(cursor, "flow", passed, us(0.0))
    look = Look(memory, History(memory), Trends(memory))
    told = passed_of(look, "flow", at(20 * HOUR).clock.utc())
    assert (len(told), told[0]) == (10, ("today 04:00 JST", "missed 19"))
    assert passed_of(look, "other", at(0.0).clock.utc()) == []


def test_open_incidents_are_told(memory: Database) -> None:
    """With the last of their failures; those of other workflows only on the page of all."""
    a_run(memory, "failed")
    look = Look(memory, History(memory), Trends(memory))
    ((one,), count) = troubles_of(look)
    told = (one.workflow, one.step, one.failures, one.last_run, one.error)
    assert told == ("flow", "a", 1, 1, "ValueError: no luck")
    assert count == 1
    assert troubles_of(look, "flow") == ([one], 1)
    assert troubles_of(look, "other") == ([], 0)


def test_the_message_of_a_pause_has_the_whole_command(memory: Database) -> None:
    """It is read on a phone, far from the project: what is pasted must work anywhere."""
    a_run(memory, "failed", started_by="timer")
    pausing.after_failures(memory, at(9.0), "flow", 1)
    facts = memory.raw.execute("SELECT facts FROM alerts WHERE kind = 'paused'").fetchone()[0]
    assert facts == (
        '{"headline":"the schedule of flow is paused: a scheduled run failed",'
        '"body":"Nothing is run by the schedule until the pause is ended.","ways":'
        '[["to end the pause, once all is mended","python -m engine schedule unpause flow"]]}'
    )


def test_a_run_by_hand_reminds_of_a_pause(
    memory: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Who has mended what paused a schedule hears that it is paused still; nobody else does."""
    flow = Definition("flow", (), schedule="08:00", tz="Asia/Tokyo")
    pausing.mention(memory, at(1.0), flow)
    why = pauses.Pause("flow", us(1.0), PAUSED_BY_ITSELF, us(HOUR), "2 runs failed", None)
    pauses.pause(memory, why)
    pausing.mention(memory, at(2.0), flow)
    pausing.mention(memory, at(2 * HOUR), flow)
    assert caplog.messages == [
        "the schedule of flow is paused by itself: 2 runs failed (until 2011-11-14 10:00 JST)"
    ]
