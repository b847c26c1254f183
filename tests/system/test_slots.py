"""Runs of a timer: their slots, what is caught up, pauses."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.project import Project

FLOW = """
def told(ctx):
    effect(f"{ctx.slot:%Y-%m-%dT%H:%M%z}={ctx.params['day']}")

workflow = (
    Workflow("flow", schedule="*-*-* 00:00:00", tz="America/Chicago", OPTIONS,
             params={"day": Param(date, "today")})
    .add(Step("told", told, retries=0, isolate=True))
    .add(Step("shell", shell('echo "sh:$KAHNBAN_SLOT" >> effects.txt'), retries=0))
)
"""
DAY = 86_400_000_000


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give an empty project."""
    return Project(tmp_path)


def flow(project: Project, options: str) -> None:
    """Write the workflow, due at midnight."""
    project.write("flow", FLOW.replace("OPTIONS", options))


def missed(project: Project, days: int) -> None:
    """Turn the store into that of a machine which has been off for some days."""
    with closing(sqlite3.connect(project.store)) as store, store:
        store.execute("UPDATE slot_rows SET slot = slot - ?", (days * DAY,))
        store.execute("UPDATE schedule_rows SET noted_at = noted_at - ?", (days * DAY,))


def test_missed_slots_are_caught_up_in_order(project: Project) -> None:
    """Each run has its slot and that day's parameters; another timer finds nothing due."""
    flow(project, 'catchup="all"')
    assert project.run("run", "flow", "--scheduled").code == 0
    again = project.run("run", "flow", "--scheduled")
    assert again.code == 0
    assert again.out.startswith("nothing to do: no slot is due: that of 20")
    assert again.out.endswith("is that of run 1\n")
    missed(project, 2)
    assert project.run("run", "flow", "--scheduled").code == 0
    slots = [slot for (slot,) in project.rows("SELECT slot FROM runs ORDER BY id")]
    assert slots[1] < slots[2] == slots[0]
    told = project.effects()
    times = [word for word in told if not word.startswith("sh:")]
    assert len(times) == 3
    assert all(time[:10] == time[-10:] and time[11:16] == "00:00" for time in times)
    assert sorted(times[1:]) == times[1:]
    assert [word[3:19] for word in told if word.startswith("sh:")] == [time[:16] for time in times]
    claimed = "SELECT run_id, reason FROM slots ORDER BY slot"
    assert project.rows(claimed) == [(1, ""), (2, ""), (3, "")]


def test_a_paused_schedule_runs_nothing(project: Project) -> None:
    """Not even where the workflow is broken: one line, the reason in the store, no run; `list`."""
    flow(project, "pause_after=1")
    paused = project.run("schedule", "pause", "flow", "--until", "2999-01-01", "--reason", "moving")
    user = project.rows("SELECT paused_by FROM pauses")[0][0]
    told = f"paused by {user}: moving (until 2999-01-01 00:00 CST)"
    assert paused.out == f"'flow' is {told}\n"
    result = project.run("run", "flow", "--scheduled")
    assert (result.code, result.out, result.err) == (0, f"nothing to do: {told}\n", "")
    assert f"\n'flow' is {told}\n" in project.run("schedule", "verify", "flow").out
    assert f"paused by {user} until 2999-01-01 " in project.run("list").out
    project.write("flow", "workflow = broken(1)")
    assert project.run("run", "flow", "--scheduled").code == 0
    assert project.rows("SELECT count(*) FROM runs") == [(0,)]
    assert project.rows("SELECT run_id, reason FROM slots") == [(None, f"paused by {user}: moving")]
    assert project.run("schedule", "unpause", "flow").out == (
        f"'flow' is no longer paused by {user}: moving\n"
    )
    missed(project, 1)
    assert project.run("run", "flow", "--scheduled").code == 2  # its failure has the slot
    assert project.rows("SELECT status, slot IS NOT NULL FROM runs") == [("failed", 1)]
    told = "1 scheduled run in a row failed"
    assert project.rows("SELECT paused_by, reason FROM pauses WHERE ended_at IS NULL") == [
        ("pause_after", told)
    ]


ON = """
def wait(ctx):
    effect("on")
    while not times("go"):
        time.sleep(0.02)

workflow = Workflow("flow", schedule="yearly", OPTIONS).add(Step("wait", wait))
"""


def test_a_slot_that_finds_a_run_on_is_skipped(project: Project) -> None:
    """The run recorded as skipped has it; where all are caught up, it stays due."""
    project.write("flow", ON.replace("OPTIONS", 'catchup="all"'))
    begun = time.monotonic()
    by_hand = project.start("run", "flow")
    project.wait_for_effect("on")
    assert project.run("run", "flow", "--scheduled").code == 0
    skipped = "SELECT id, status, slot IS NULL FROM runs WHERE started_by = 'timer'"
    assert project.rows(skipped) == [(2, "skipped", 1)]
    project.write("flow", ON.replace("OPTIONS", ""))
    assert project.run("run", "flow", "--scheduled").code == 0
    assert project.rows(skipped) == [(2, "skipped", 1), (3, "skipped", 0)]
    assert project.rows("SELECT run_id, reason FROM slots") == [(3, "")]
    (project.root / "effects.txt").write_text("go")
    assert project.end(by_hand, begun).code == 0
