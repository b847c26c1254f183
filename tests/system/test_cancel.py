"""`cancel` from another terminal: what runs is stopped at once, what cleans up still runs."""

from __future__ import annotations

import getpass
import json
import signal
import time

import pytest

from tests.system import old_store
from tests.system.project import Project, notes, statuses, wait_for

WHO = f"cancelled by {getpass.getuser()}"
OBEYED_S = 1.0
MACHINE_S = 1.0  # what a busy machine may add

WORKFLOW = '''
def loops(ctx):
    effect("loops")
    while not Path("go").exists():
        time.sleep(0.01)

def tidy(ctx):
    effect("tidy")
    while not Path("tidied").exists():
        time.sleep(0.01)

command = """
trap 'echo term >> effects.txt; exit 1' TERM
echo shell >> effects.txt
until [ -e go ]; do sleep 0.05; done
"""
workflow = (
    Workflow("flow")
    .add(Step("loops", loops))
    .add(Step("shell", shell(command)))
    .add(Step("next", does("next"), depends_on=["loops"]))
    .add(Step("tidy", tidy, depends_on=["next", "shell"], trigger_rule="all_done"))
    .add(Step("last", does("last"), depends_on=["tidy"]))
)
'''


def test_from_another_terminal(project: Project) -> None:
    """Thread and command are stopped within a second, cleanup runs, nothing else starts."""
    project.write("flow", WORKFLOW)
    (project.root / "tidied").touch()
    process = project.start("run", "flow", "--json")
    for text in ("loops", "shell"):
        project.wait_for_effect(text)
    result = project.run("cancel", "flow")
    assert (result.code, result.out) == (0, "run 1 is cancelled\n"), result.err
    ended = project.end(process, time.monotonic())
    assert ended.code == 1
    assert statuses(ended.report) == {
        "loops": "interrupted",
        "shell": "interrupted",
        "next": "cancelled",
        "tidy": "ok",
        "last": "cancelled",
    }
    assert notes(ended.report) == {
        "loops": WHO,
        "shell": WHO,
        "next": "not started",
        "tidy": "",
        "last": "not started",
    }
    assert project.effects() in (
        ["loops", "shell", "term", "tidy"],
        ["shell", "loops", "term", "tidy"],
    )
    assert project.rows("SELECT status, note FROM runs") == [("cancelled", WHO)]
    for step in ("loops", "shell"):
        (took_us,) = project.rows(
            "SELECT a.finished_at - c.asked_at FROM attempt_rows a JOIN cancel_rows c"
            " USING (run_id) JOIN definition_steps d USING (position)"
            f" WHERE d.name = '{step}'"
        )[0]
        assert 0 < took_us / 1e6 < OBEYED_S + MACHINE_S


def test_a_cancelled_run_is_not_continued_unless_asked_for(project: Project) -> None:
    """A plain run starts anew; `--resume` goes on from it."""
    project.write("flow", WORKFLOW)
    (project.root / "tidied").touch()
    process = project.start("run", "flow")
    project.wait_for_effect("shell")
    project.run("cancel", "1")
    project.end(process, time.monotonic())
    (project.root / "go").touch()
    anew = project.report("flow")
    assert (anew["status"], anew["resumed_from"]) == ("ok", None)
    resumed = project.report("flow", "--resume", "1")
    assert (resumed["status"], resumed["resumed_from"]) == ("ok", 1)
    assert statuses(resumed) == dict.fromkeys(("loops", "shell", "next", "tidy", "last"), "ok")


def test_a_signal_ends_the_cleanup(project: Project) -> None:
    """The command says what still runs when it stops looking on; a signal stops that too."""
    project.write("flow", WORKFLOW)
    process = project.start("run", "flow")
    project.wait_for_effect("shell")
    asking = project.start("cancel", "flow")
    project.wait_for_effect("tidy")
    told = project.stopped(asking, signal.SIGINT)
    see = "see `python -m engine show 1`"
    assert (told.code, told.out) == (0, f"run 1 is stopping: tidy still runs; {see}\n")
    process.send_signal(signal.SIGINT)
    ended = project.stopped(process, signal.SIGTERM)
    assert ended.code == 1
    assert project.rows("SELECT status, note FROM runs") == [("cancelled", WHO)]
    rows = dict(project.rows("SELECT step, note FROM step_runs"))
    assert rows["tidy"] == "stopped by SIGINT"
    again = project.run("cancel", "1")
    assert (again.code, again.out) == (0, "run 1 has ended: cancelled\n")


def test_nothing_to_cancel(project: Project) -> None:
    """A dead engine is said to be dead, an ended run to have ended; no run is a wrong use."""
    project.write("flow", "workflow = Workflow('flow').add(Step('a', does('a', 60)))\n")
    project.write("short", "workflow = Workflow('short').add(Step('a', does('short')))\n")
    missing = project.run("cancel", "latest")
    assert missing.code == 3
    assert f"error: there is no store at '{project.store}' yet" in missing.err
    assert not project.store.exists()
    process = project.start("run", "flow")
    project.wait_for_effect("a")
    process.kill()
    process.communicate()
    dead = project.run("cancel", "flow")
    died = f"its engine died (process {process.pid}); it is recorded as interrupted"
    assert (dead.code, dead.out) == (0, f"run 1 is not on: {died}\n")
    assert project.rows("SELECT status FROM runs") == [("interrupted",)]
    assert project.rows("SELECT count(*) FROM cancel_rows") == [(0,)]
    project.report("short")
    ended = project.run("cancel", "short")
    assert (ended.code, ended.out) == (0, "run 2 has ended: ok\n")
    unknown = project.run("cancel", "7")
    assert (unknown.code, unknown.error) == (
        2,
        "error: there is no run 7\nhint: see `python -m engine history` for the runs\n",
    )


@pytest.mark.parametrize("arguments", [(), ("1", "2")])
def test_one_run_is_named(project: Project, arguments: tuple[str, ...]) -> None:
    """There is no default: what is cancelled is said."""
    result = project.run("cancel", *arguments)
    assert result.code == 2
    assert "see `python -m engine" in result.err


def test_the_engine_dies_before_it_has_obeyed(project: Project) -> None:
    """What was to end for good has ended for good: shown and recorded as cancelled, not gone on."""
    project.write("flow", WORKFLOW)
    process = project.start("run", "flow")
    project.wait_for_effect("shell")
    process.send_signal(signal.SIGSTOP)
    asking = project.start("cancel", "flow")
    wait_for(lambda: project.rows("SELECT count(*) FROM cancel_rows") == [(1,)])
    process.kill()
    process.communicate()
    told = project.end(asking, time.monotonic())
    died = f"{WHO}; its engine died (process {process.pid})"
    assert (told.code, told.out) == (0, f"run 1 is not on: {died}; the next run records that\n")
    shown = json.loads(project.run("history", "--json").out)[0]
    assert (shown["status"], shown["note"]) == ("cancelled", f"{died}; the next run records that")
    plan = project.run("run", "flow", "--dry-run")
    assert "(run 1 with these parameters is cancelled)" in plan.out, plan.err
    again = project.run("cancel", "flow")
    assert (again.code, again.out) == (
        0,
        f"run 1 is not on: {died}; it is recorded as cancelled\n",
    )
    assert project.rows("SELECT status, note FROM runs") == [
        ("cancelled", f"{died}; the end is the last thing it recorded")
    ]
    steps = dict(project.rows("SELECT step, status FROM step_runs"))
    assert steps["shell"] == "interrupted"
    assert steps["next"] == "cancelled"
    (project.root / "go").touch()
    (project.root / "tidied").touch()
    assert project.report("flow")["resumed_from"] is None
    assert project.report("flow", "--resume", "1")["resumed_from"] == 1


def test_one_that_is_on_comes_before_later_ones(project: Project) -> None:
    """A timer's start meanwhile, skipped, is the newest run and not the one that is meant."""
    project.write("flow", WORKFLOW)
    (project.root / "tidied").touch()
    process = project.start("run", "flow")
    project.wait_for_effect("shell")
    skipped = project.run("run", "flow", "--scheduled")
    assert skipped.code == 0, skipped.err
    assert project.rows("SELECT id, status FROM runs") == [(1, "running"), (2, "skipped")]
    told = project.run("cancel", "flow")
    assert (told.code, told.out) == (0, "run 1 is cancelled\n")
    project.end(process, time.monotonic())


def test_an_older_store_is_said_to_be_upgraded(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `cancel` as by every command that writes: a copy of the whole store now lies beside it."""
    old_store.make(project.store, monkeypatch)
    told = project.run("cancel", "1")
    assert (told.code, told.out) == (0, "run 1 has ended: failed\n")
    copy = f"{project.store}.before-upgrade-from-0001.1"
    assert told.err == (
        f"the store is upgraded from version 0001 to 0007; as it was, it is kept as '{copy}'\n"
    )
