"""Timeouts: the verdict in time, what cannot be stopped left behind, the rest going on."""

from __future__ import annotations

import signal
import time
from datetime import datetime
from typing import Any

from tests.system.project import Project, is_alive, notes, statuses, wait_for

FOREVER = """
import threading

def forever(ctx):
    threading.Event().wait()

workflow = Workflow("flow").add(Step("forever", forever, timeout=1, retries=0))
for number in range(7):
    workflow.add(Step(f"s{number}", does(f"s{number}", 0.2)))
workflow.add(Step("after", does("after"), depends_on=["forever", "s1"]))
"""


def step_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    """Find a step in a report."""
    found: dict[str, Any] = next(step for step in report["steps"] if step["name"] == name)
    return found


def test_waits_for_ever_beside_others(project: Project) -> None:
    """A step that nothing can stop is left behind: the others finish, the command ends."""
    project.write("flow", FOREVER)
    process = project.start("run", "flow", "--workers", "2", "--json")
    result = project.end(process, time.monotonic())
    gone = time.time()
    report = result.report
    assert result.code == 1
    assert gone - datetime.fromisoformat(report["finished"]).timestamp() < 2
    assert statuses(report) == {
        "forever": "failed",
        **{f"s{number}": "ok" for number in range(7)},
        "after": "skipped",
    }
    assert notes(report)["forever"] == "timed out; its thread is still running"
    assert notes(report)["after"] == "dependency failed: forever"
    assert report["threads_left"] == 1
    assert 0.8 < step_of(report, "forever")["duration_s"] < 1.2
    assert project.rows("SELECT outcome FROM attempts WHERE step = 'forever'") == [("timed_out",)]
    assert report["duration_s"] < 2.0  # a lane was given in the left one's place


def test_the_report_says_that_a_thread_was_left(project: Project) -> None:
    """People are told too."""
    project.write("flow", FOREVER)
    result = project.run("run", "flow")
    assert result.code == 1
    assert "1 thread was left running" in result.out


def test_pure_python_is_stopped(project: Project) -> None:
    """A loop in Python is stopped, its late writes count for nothing, and it may be retried."""
    project.write(
        "flow",
        """
def loops(ctx):
    effect("loops")
    while not Path("go").exists():
        pass
    return 1

def swallows(ctx):
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pass
    except Exception:
        effect("swallowed")

def late(ctx):
    try:
        while True:
            pass
    finally:
        try:
            ctx["late"] = 1
        except BaseException as error:
            effect(type(error).__name__)

workflow = (
    Workflow("flow")
    .add(Step("loops", loops, timeout=0.5, retries=1, backoff=0))
    .add(Step("swallows", swallows, ["loops"], 0, 0.5, "all_done"))
    .add(Step("late", late, ["swallows"], 0, 0.5, "all_done"))
    .add(Step("reads", lambda ctx: effect(str("late" in ctx)), ["late"], trigger_rule="all_done"))
)
""",
    )
    report = project.report("flow", code=1)
    assert statuses(report) == {
        "loops": "failed",
        "swallows": "failed",
        "late": "failed",
        "reads": "ok",
    }
    assert report["threads_left"] == 0
    assert step_of(report, "loops")["attempts"] == 2
    assert notes(report)["swallows"] == "timed out after 0.5s"
    effects = project.effects()
    assert effects.count("loops") == 2
    assert "swallowed" not in effects
    assert "False" in effects
    for (duration_s,) in project.rows("SELECT duration_s FROM attempts WHERE step <> 'reads'"):
        assert 0.5 <= duration_s < 0.7


def test_retry_waits_for_the_thread(project: Project) -> None:
    """A step that could not be stopped is retried if its thread has ended by then, else failed."""
    project.write(
        "flow",
        """
def sleeps(seconds):
    def body(ctx):
        if ctx.attempt == 1:
            time.sleep(seconds)
        return ctx.attempt
    return body

from tenacity import wait_fixed
workflow = (
    Workflow("flow")
    .add(Step("ended", sleeps(0.8), timeout=0.3, retries=1, wait=wait_fixed(1)))
    .add(Step("still", sleeps(30), timeout=0.3, retries=1, wait=wait_fixed(0.4)))
)
""",
    )
    report = project.report("flow", code=1)
    assert statuses(report) == {"ended": "ok", "still": "failed"}
    assert step_of(report, "ended")["attempts"] == 2
    assert step_of(report, "still")["attempts"] == 1
    assert notes(report)["still"] == "timed out; its thread is still running"
    assert report["threads_left"] == 1


def test_commands_end_with_their_whole_group(project: Project) -> None:
    """A command past its limit gets TERM, then KILL, and so does all that it has started."""
    project.write(
        "flow",
        '''
stubborn = """
trap '' TERM
(trap '' TERM; echo $BASHPID > grandchild; while :; do sleep 0.1; done) &
echo $$ > child
while :; do sleep 0.1; done
"""
workflow = (
    Workflow("flow")
    .add(Step("polite", shell("echo $$ > polite; exec sleep 60"), timeout=0.5, retries=0))
    .add(Step("stubborn", shell(stubborn), timeout=0.5, grace=1.5, retries=0))
)
''',
    )
    report = project.report("flow", code=1)
    assert statuses(report) == {"polite": "failed", "stubborn": "failed"}
    took_s = {name: step_of(report, name)["duration_s"] for name in ("polite", "stubborn")}
    assert took_s["polite"] < took_s["stubborn"] - 0.5  # of a grace of 1.5
    assert 1.9 < took_s["stubborn"] < 3
    assert dict(project.rows("SELECT step, outcome FROM attempts")) == {
        "polite": "timed_out",
        "stubborn": "timed_out",
    }
    for name in ("polite", "child", "grandchild"):
        assert not is_alive(int((project.root / name).read_text())), name
    assert report["threads_left"] == 0


def test_killed_engine_takes_its_commands_along(project: Project) -> None:
    """A command does not outlive an engine that is killed."""
    project.write(
        "flow", 'workflow = Workflow("flow").add(Step("a", shell("echo $$ > pid; exec sleep 60")))'
    )
    process = project.start("run", "flow")
    path = project.root / "pid"
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
    pid = int(path.read_text())
    assert is_alive(pid)
    assert project.stopped(process, signal.SIGKILL).code == -signal.SIGKILL
    wait_for(lambda: not is_alive(pid))
