"""Runs of a timer: their slots, what is caught up, pauses."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from engine.slots import Catchup
from store import locks, pauses
from store.database import open_writer
from tests.system.project import CHECKOUT, Project, wait_for

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
    plan = project.run("run", "flow", "--scheduled", "--dry-run").out.splitlines()
    assert project.run("run", "flow", "--scheduled").code == 0
    days = [word[:10] for word in project.effects() if not word.startswith("sh:")]
    assert plan[0].startswith(f"dry run of flow: nothing is changed (scheduled for {days[1]} 00:00")
    last = f"2 slots would be run, one after the other, the last is {days[2]} 00:00 C"
    assert plan[1].startswith(last)
    assert plan[2] == f"with day = {days[1]}"
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


def test_a_stop_leaves_the_other_missed_slots_due(project: Project) -> None:
    """What is said is that no other run was begun: the one that was on has ended, and well."""
    step = 'Step("a", does("a", 0.4))'
    options = 'schedule="*-*-* 00:00:00", catchup="all"'
    project.write("flow", f'workflow = Workflow("flow", {options}).add({step})')
    assert project.run("run", "flow", "--scheduled").code == 0
    missed(project, 2)
    process = project.start("run", "flow", "--scheduled")
    wait_for(lambda: len(project.effects()) > 1)
    result = project.stopped(process, signal.SIGTERM)
    assert result.code == 143
    said = "error: stopped before another run was begun; nothing is left half done"
    assert result.err.splitlines()[-1] == said
    assert project.rows("SELECT status FROM runs") == [("ok",), ("ok",)]
    assert project.rows("SELECT run_id FROM slots ORDER BY slot") == [(1,), (2,)]


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
    told = "a scheduled run failed"
    assert project.rows("SELECT paused_by, reason FROM pauses WHERE ended_at IS NULL") == [
        ("pause_after", told)
    ]


def test_the_line_for_a_crontab_works_as_cron_runs_it(tmp_path: Path) -> None:
    """By sh, in another folder, with hardly any environment, at a path that cron would break."""
    project = Project(tmp_path / "50% off, ü")
    workflow = 'Workflow("flow", schedule="0 0 * * *").add(Step("a", shell("echo $HOME")))'
    project.write("flow", f"workflow = {workflow}\n")
    line = project.run("schedule", "show", "flow").out.splitlines()[-2]
    fields, command = line[:10], line[10:].replace("\\%", "%")
    assert fields == "0 0 * * * "
    given = {"HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=given, cwd="/", capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert project.rows("SELECT status, slot IS NULL FROM runs") == [("ok", 0)]
    assert str(tmp_path) in (project.home / "logs/flow/1/a.1.log").read_text()
    project.write("flow", "workflow = broken(1) +")
    again = project.run("run", "flow", "--scheduled")
    assert (again.code, again.err) == (0, "")  # nothing is due: no failure, each time it is asked
    assert again.out == "nothing to do: no slot is due; and it could not begin, see `check`\n"
    assert project.rows("SELECT count(*) FROM runs") == [(1,)]


def test_a_workflow_without_a_schedule_is_paused_too(project: Project) -> None:
    """Cron alone says when it runs: a pause holds it all the same, and `pause_after` makes one."""
    text = 'workflow = Workflow("bare", pause_after=1).add(Step("a", broken, retries=0))'
    project.write("bare", text)
    with closing(open_writer(project.store)) as store:
        pauses.pause(store, pauses.Pause("bare", 1, "ann", None, "moving", None))
    told = "nothing to do: paused by ann: moving (until `schedule unpause bare`)\n"
    result = project.run("run", "bare", "--scheduled")
    assert (result.code, result.out) == (0, told)
    with closing(open_writer(project.store)) as store:
        pauses.unpause(store, "bare", at_us=2, by="ann")
    assert project.run("run", "bare", "--scheduled").code == 1
    assert project.rows("SELECT status FROM runs") == [("failed",)]
    assert project.rows("SELECT paused_by FROM pauses WHERE ended_at IS NULL") == [("pause_after",)]


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


def test_a_slot_is_not_lost_to_a_run_that_is_just_starting(project: Project) -> None:
    """Who has the lock and no run yet may never begin one: the slot is waited for, and then run."""
    flow(project, 'catchup="latest"')
    assert project.run("schedule", "pause", "flow").code == 0
    assert project.run("schedule", "unpause", "flow").code == 0
    lock = locks.acquire(project.store, "flow")
    assert lock is not None
    begun = time.monotonic()
    timer = project.start("run", "flow", "--scheduled")
    noted = "SELECT 1 FROM schedule_rows"  # by the timer, which then asks for the lock
    wait_for(lambda: bool(project.rows(noted)))
    with pytest.raises(subprocess.TimeoutExpired):
        timer.wait(0.5)
    assert project.rows("SELECT 1 FROM slot_rows UNION SELECT 1 FROM run_rows") == []
    lock.release()
    assert project.end(timer, begun).code == 0
    assert project.rows("SELECT run_id FROM slots") == [(1,)]
    assert project.rows("SELECT status, note FROM runs") == [("ok", "")]


RACE = """
def body(ctx):
    effect(f"NAME:{ctx.slot:%H:%M:%S}")

workflow = Workflow("NAME", schedule="*:*:*", tz="UTC", catchup="NAME").add(Step("a", body))
"""


def test_timers_at_once_run_each_slot_once(project: Project) -> None:
    """Started in the same instant: one run a slot, the others end with 0 and one line of result."""
    for name in Catchup:
        project.write(name, RACE.replace("NAME", name))
    for _ in range(2):
        begun = time.monotonic()
        timers = [project.start("run", name, "--scheduled") for name in list(Catchup) * 2]
        ends = [project.end(timer, begun) for timer in timers]
        assert [each.code for each in ends] == [0] * 6, [each.err for each in ends]
        idle = [each.out for each in ends if each.out.startswith("nothing to do: no slot is due")]
        assert all(text.count("\n") == 1 for text in idle)
    runs = project.rows("SELECT id, workflow, slot FROM runs WHERE slot IS NOT NULL")
    claimed = "SELECT run_id, workflow, slot FROM slots WHERE run_id IS NOT NULL"
    assert sorted(project.rows(claimed)) == sorted(runs)
    kept = "SELECT workflow || ':' || substr(slot, 12, 8) FROM runs WHERE status = 'ok'"
    assert sorted(project.effects()) == sorted(what for (what,) in project.rows(kept))
    assert len(project.effects()) == len(set(project.effects())) >= 3
    assert project.run("db", "verify").code == 0
