"""A timer's dry run: what would become of each slot, told without writing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine import Step, Workflow
from engine.ports import Paths
from engine.secrets import Secrets
from engine.session import Environment, RunRequest
from engine.session.timer_plan import plan_scheduled
from store import pauses
from store.database import open_writer
from tests.fakes import FakeClock
from tests.store.filled import us
from tests.store.test_missing import hourly

HOUR = 3600.0
DAY = "2011-11-14"
LATEST = "missed: only the newest is caught up"
NONE = "missed: it is not caught up (catchup is none)"


Told = tuple[list[tuple[str, str, str]], list[str], str]


def plan(home: Path, catchup: str, hours: float) -> Told:
    """Plan a workflow of every hour; gives its slots, what is said of them, and the note."""
    flow = Workflow("flow", schedule="*-*-* *:00:00", tz="UTC", catchup=catchup)
    flow.add(Step("a", str))
    clock: Any = FakeClock(hours * HOUR)
    paths = Paths(home, home, f"sqlite:///{home}/runs.db")
    environment = Environment(paths, Secrets.given({"TOKEN": "s3cr3t!"}), clock, {})
    request = RunRequest(dry_run=True, started_by="timer")
    report = plan_scheduled(flow.definition(), request, environment)
    slots = [(row["slot"][11:16], row["what"], row["why"]) for row in report["slots"]]
    return slots, report["slots_told"], report["note"]


def test_without_a_store_the_newest_is_run(tmp_path: Path) -> None:
    """And nothing is made."""
    assert plan(tmp_path, "all", 2.5) == (
        [("02:00", "would run", "")],
        [],
        "scheduled for 2011-11-14 02:00 UTC",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("catchup", "slots", "told", "note"),
    [
        (
            "latest",
            [("01:00", "passed over", LATEST), ("02:00", "would run", "")],
            [f"the slot of 2011-11-14 01:00 UTC would be passed over: {LATEST}"],
            "scheduled for 2011-11-14 02:00 UTC",
        ),
        (
            "all",
            [("01:00", "would run", ""), ("02:00", "would run", "")],
            [f"2 slots would be run, one after the other, the last is {DAY} 02:00 UTC; the first:"],
            "scheduled for 2011-11-14 01:00 UTC",
        ),
        (
            "none",
            [("01:00", "passed over", NONE), ("02:00", "passed over", NONE)],
            [f"2 slots from {DAY} 01:00 UTC to {DAY} 02:00 UTC would be passed over: {NONE}"],
            "of the slots that are due none is to have a run",
        ),
    ],
)
def test_what_would_become_of_each_slot(
    tmp_path: Path, catchup: str, slots: list[tuple[str, str, str]], told: list[str], note: str
) -> None:
    """By the rule of the workflow; the store stays as it is, so that it is said again."""
    tmp_path.chmod(0o700)
    with closing(open_writer(tmp_path / "runs.db")) as database:
        hourly(database)
    assert plan(tmp_path, catchup, 2.9) == (slots, told, note)
    assert plan(tmp_path, catchup, 2.9) == (slots, told, note)
    done = "no slot is due: that of 2011-11-14 00:00 UTC is that of run 1"
    assert plan(tmp_path, catchup, 0.5) == ([], [], done)
    with closing(open_writer(tmp_path / "runs.db")) as database:
        pauses.pause(database, pauses.Pause("flow", us(HOUR / 2), "ann", None, "s3cr3t!", None))
    assert plan(tmp_path, catchup, 1.5) == (
        [("01:00", "passed over", "paused by ann: ***")],
        ["the slot of 2011-11-14 01:00 UTC would be passed over: paused by ann: ***"],
        "paused by ann: *** (until `schedule unpause flow`)",
    )
