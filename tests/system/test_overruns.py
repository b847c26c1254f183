"""Steps past their limit, for real: retries beside their threads, many of them, odd ends."""

from __future__ import annotations

import os
import signal
import time

import pytest

from engine.live import LEFT_MAX
from tests.system.project import Project, is_alive, notes, statuses, wait_for


def test_what_a_retry_does_while_its_thread_runs(project: Project) -> None:
    """One waits for its thread, however long; one runs beside it; neither takes a late result."""
    project.write(
        "flow",
        """
from tenacity import wait_fixed

def slow(name):
    def body(ctx):
        effect(f"{name}{ctx.attempt}")
        if ctx.attempt == 1:
            try:
                time.sleep(1.1 if name == "wait" else 0.7)  # all is told at the end
            finally:
                effect(f"{name}-late")
        return ctx.attempt
    return body

def step(name, policy):
    more = {"timeout": 0.2, "retries": 1, "wait": wait_fixed(0.1), "on_overrun": policy}
    return Step(name, slow(name), **more)

workflow = Workflow("flow").add(step("wait", "wait")).add(step("abandon", "abandon"))
""",
    )
    report = project.report("flow")
    assert statuses(report) == {"wait": "ok", "abandon": "ok"}
    effects = project.effects()
    assert effects.index("wait-late") < effects.index("wait2")
    assert effects.index("abandon2") < effects.index("abandon-late")
    assert sorted(effects) == [
        "abandon-late",
        "abandon1",
        "abandon2",
        "wait-late",
        "wait1",
        "wait2",
    ]
    assert project.rows("SELECT step, number, outcome FROM attempts ORDER BY 1, 2") == [
        ("abandon", 1, "timed_out"),
        ("abandon", 2, "ok"),
        ("wait", 1, "timed_out"),
        ("wait", 2, "ok"),
    ]


HANGS = """
import threading
free = threading.Lock()
free.acquire()

def hang(ctx):
    free.acquire()

workflow = Workflow("flow")
for number in range(COUNT):
    workflow.add(Step(f"hang{number}", hang, timeout=0.03, retries=0))
for number in range(20):
    workflow.add(Step(f"s{number}", does(f"s{number}")))
workflow.add(Step("last", does("last"), depends_on=[f"s{n}" for n in range(20)]))
workflow.add(Step("end", does("end"), depends_on=[f"hang{n}" for n in range(COUNT)]))
"""


def test_many_hung_steps_take_no_worker_from_the_others(project: Project) -> None:
    """Fifty threads that nothing can end: all others run, and the command ends all the same."""
    project.write("flow", HANGS.replace("COUNT", "50"))
    process = project.start("run", "flow", "--workers", "4", "--json")
    result = project.end(process, time.monotonic())
    assert result.code == 1
    report = result.report
    found = statuses(report)
    assert [found[f"hang{n}"] for n in range(50)] == ["failed"] * 50
    assert [found[f"s{n}"] for n in range(20)] == ["ok"] * 20
    assert (found["last"], found["end"]) == ("ok", "skipped")
    assert report["threads_left"] == 50


def test_too_many_hung_steps_stop_the_run(project: Project) -> None:
    """The run does not leave threads behind without end: it is failed and says why."""
    project.write("flow", HANGS.replace("COUNT", "200"))
    report = project.report("flow", "--workers", "30", code=1)
    found = statuses(report)
    left = report["threads_left"]
    assert LEFT_MAX < left <= LEFT_MAX + 30
    assert report["status"] == "failed"
    assert report["note"].startswith("stopped: 1")
    assert report["note"].endswith(" threads of timed-out steps are still running")
    hung = [found[f"hang{n}"] for n in range(200)]
    assert hung.count("failed") > LEFT_MAX
    assert hung.count("cancelled") > 0
    assert notes(report)["end"] == "not started"


@pytest.mark.parametrize(("ends", "code"), [("pass", 0), ("raise ValueError('no')", 1)])
def test_a_thread_of_the_steps_own_keeps_no_command_from_its_end(
    project: Project, ends: str, code: int
) -> None:
    """A thread that is no daemon and never ends: the code is right, and all was printed."""
    project.write(
        "flow",
        f"""
import threading

def leaves(ctx):
    threading.Thread(target=time.sleep, args=(600,)).start()
    {ends}

workflow = Workflow("flow").add(Step("leaves", leaves, retries=0))
""",
    )
    result = project.run("run", "flow", "--json")
    assert result.code == code
    assert result.report["status"] == ("ok" if code == 0 else "failed")
    assert result.seconds < 20


def test_calls_that_hold_the_interpreter_or_wait_for_a_child(project: Project) -> None:
    """The verdict comes as soon as a thread may run again; a child that is waited for is ended."""
    project.write(
        "flow",
        """
import socket, subprocess, threading

def counts(ctx):
    number = (1 << 1_000_000) // 3
    while True:
        number * number  # holds the interpreter's lock all the time

def child(ctx):
    trap = "trap 'echo child-term >> effects.txt; exit 1' TERM"
    subprocess.run(f"{trap}; sleep 60 & wait", shell=True)
    effect("went on")

def stubborn(ctx):
    effect("stubborn")
    subprocess.run("trap '' TERM; echo $$ > stubborn; while :; do sleep 60; done", shell=True)

def reads(ctx):
    one, other = socket.socketpair()
    one.recv(1)

workflow = Workflow("flow")
for body in (counts, child, stubborn, reads):
    workflow.add(Step(body.__name__, body, timeout=0.5, retries=0))
""",
    )
    report = project.report("flow", code=1)
    names = ("counts", "child", "stubborn", "reads")
    assert statuses(report) == dict.fromkeys(names, "failed")
    assert notes(report)["reads"] == "timed out; its thread is still running"
    assert notes(report)["stubborn"] == "timed out; its thread is still running"
    assert project.rows("SELECT DISTINCT outcome FROM attempts") == [("timed_out",)]
    assert sorted(project.effects()) == ["child-term", "stubborn"]
    assert not is_alive(int((project.root / "stubborn").read_text()))


def test_what_an_earlier_step_left_in_the_background_lives(project: Project) -> None:
    """A lane's thread serves many steps: one that is stopped takes only its own children along."""
    project.write(
        "flow",
        """
import subprocess

def starts(ctx):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(["sleep", "60"], **quiet).pid

def hangs(ctx):
    Path("service").write_text(str(ctx["starts"]))
    time.sleep(0.2)
    subprocess.run(["sleep", "60"])

workflow = (
    Workflow("flow")
    .add(Step("starts", starts))
    .add(Step("between", does("between", 0.2), ["starts"]))
    .add(Step("hangs", hangs, ["starts", "between"], timeout=1, retries=0))
)
""",
    )
    report = project.report("flow", "--workers", "1", code=1)
    assert notes(report)["hangs"] == "timed out after 1s"
    service = int((project.root / "service").read_text())
    assert is_alive(service)
    os.kill(service, signal.SIGKILL)


def test_signals_are_the_engines_own(project: Project) -> None:
    """A step that sets a handler fails, one that blocks signals in its thread blocks them there."""
    project.write(
        "flow",
        """
def sets(ctx):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

def blocks(ctx):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    effect("blocked")
    while True:
        time.sleep(0.02)

workflow = (
    Workflow("flow")
    .add(Step("sets", sets, retries=0))
    .add(Step("blocks", blocks))
    .add(Step("waits", lambda ctx: (_ for _ in ()).throw(RetryAfter(3600))))
)
""",
    )
    process = project.start("run", "flow")
    project.wait_for_effect("blocked")
    wait_for(
        lambda: (
            project.rows("SELECT count(*) FROM step_runs WHERE status = 'backing_off'") == [(1,)]
        )
    )
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)  # signals of one number that come together are one
    assert project.stopped(process, signal.SIGTERM).code == 143
    rows = dict(project.rows("SELECT step, note FROM step_runs"))
    assert rows["sets"].startswith("ValueError: signal only works in main thread")
    assert rows["blocks"] == "stopped by SIGTERM"


def test_a_stop_waits_for_no_retry(project: Project) -> None:
    """Ten steps that wait an hour for their retry end at once, and keep what is left of it."""
    project.write(
        "flow",
        """
def later(ctx):
    raise RetryAfter(3600)

workflow = Workflow("flow")
for number in range(10):
    workflow.add(Step(f"s{number}", later))
""",
    )
    process = project.start("run", "flow")
    waiting = "SELECT count(*) FROM step_runs WHERE status = 'backing_off'"
    wait_for(lambda: project.store.exists() and project.rows(waiting) == [(10,)])
    result = project.stopped(process, signal.SIGINT)
    assert result.code == 130
    assert result.seconds < 3
    rows = project.rows("SELECT DISTINCT status, note FROM step_runs")
    assert rows == [("interrupted", "stopped before its retry")]


def test_an_error_in_the_engines_own_loop(project: Project) -> None:
    """The run is recorded with the error, the command ends with 3, the next run goes on."""
    project.write(
        "flow",
        """
from engine.scheduler import Scheduler
tick = Scheduler.tick

def breaks(self, now, events, **more):
    if "failing" in " ".join(self.plan.graph.names) and Path("effects.txt").exists():
        if not Path("go").exists() and "first" in Path("effects.txt").read_text():
            raise RuntimeError("planted")
    return tick(self, now, events, **more)

Scheduler.tick = breaks

def second(ctx):
    effect("second")

workflow = (
    Workflow("flow")
    .add(Step("zero", does("zero")))
    .add(Step("first", does("first"), depends_on=["zero"]))
    .add(Step("failing", second, depends_on=["first"]))
)
""",
    )
    result = project.run("run", "flow")
    assert result.code == 3
    assert "error: the engine failed: RuntimeError" in result.error
    assert project.rows("SELECT status, note FROM runs") == [
        ("interrupted", "the engine failed: RuntimeError")
    ]
    (project.root / "go").touch()
    report = project.report("flow")
    assert (report["status"], report["resumed_from"]) == ("ok", 1)
    assert statuses(report) == {"zero": "cached", "first": "ok", "failing": "ok"}
