"""The engine killed, halted or made to fail at each fail-point: the next run goes on from there."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import failpoints
from store import locks
from store.version import REVISIONS
from tests import checker
from tests.checker import chains, effects_of, read_log
from tests.system import old_store
from tests.system.alert_servers import Hook, hook
from tests.system.project import Project, Result, marked, wait_for

GRAPH = {"make": [], "flaky": ["make"], "say": [], "end": ["flaky", "say"]}

FLOW = """
def done(ctx, step):
    effect(f"{ctx.run_id}/{step}/{ctx.attempt}")

def make(ctx):
    done(ctx, "make")
    with ctx.output("made.txt") as file:
        file.write("made")
    return 1

def flaky(ctx):
    done(ctx, "flaky")
    if ctx.attempt == 1:
        raise ValueError("not yet")
    return ctx["make"] + 1

def end(ctx):
    done(ctx, "end")
    return ctx["flaky"] + ctx["said"]

SAY = '''
echo "$KAHNBAN_RUN_ID/say/$KAHNBAN_ATTEMPT" >>effects.txt
echo '{"said": 3}' >"$KAHNBAN_OUTPUT"
'''

workflow = (
    Workflow("flow")
    .add(Step("make", make))
    .add(Step("flaky", flaky, depends_on=["make"], retries=5, backoff=0.01))
    .add(Step("say", shell(SAY)))
    .add(Step("end", end, depends_on=["flaky", "say"]))
)
"""

EVERY_RUN = [name for name in failpoints.NAMES if not name.startswith(("upgrade-", "migration-"))]
WORDS = [*EVERY_RUN, "tick-before-commit@3", "tick-after-commit@3"]


@pytest.fixture
def server() -> Iterator[Hook]:
    """Serve a webhook, so that each run has an alert to send."""
    with hook() as served:
        yield served


def with_fault(project: Project, url: str, word: str, action: str) -> Result:
    """Run the workflow with a fail-point armed."""
    name, _, hit = word.partition("@")
    armed = f"{name}:{action}@{hit or 1}"
    return project.run("run", "flow", "-q", KAHNBAN_FAILPOINTS=armed, SLACK_WEBHOOK_URL=url)


def await_halt(process: subprocess.Popen[str]) -> None:
    """Wait until a process has halted itself."""
    stat = Path(f"/proc/{process.pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", 30)


def await_idle(process: subprocess.Popen[str]) -> None:
    """Wait until a process computes next to nothing: it has imported what its end needs."""
    stat, before = Path(f"/proc/{process.pid}/stat"), -1

    def is_idle() -> bool:
        nonlocal before
        time.sleep(0.25)
        computed = sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13]))  # in 10 ms
        before, last = computed, before
        return last >= 0 and computed - last <= 5

    wait_for(is_idle, 30)


def gone_on(project: Project, url: str) -> None:
    """Run again, unless all is done; then hold everything against what must be."""
    result = project.run("run", "flow", "-q", "--once", SLACK_WEBHOOK_URL=url)
    assert result.code == 0, result.err
    (chain,) = chains(read_log(project.store))
    assert checker.faults(chain, effects_of(project.effects()), GRAPH) == []
    latest = project.rows("SELECT max(id) FROM runs")[0][0]
    assert project.rows(f"SELECT status FROM runs WHERE id = {latest}") == [("ok",)]
    assert project.rows("SELECT count(*) FROM runs WHERE status = 'running'") == [(0,)]
    found = project.rows(f"SELECT step, status FROM step_runs WHERE run_id = {latest}")
    assert {status for _, status in found} <= {"ok", "cached"}
    assert (project.root / "made.txt").read_text() == "made"
    assert list(locks.held_names(project.store)) == []
    value = "SELECT data FROM outputs WHERE step = 'end' AND key = 'end'"
    assert project.rows(value) == [(b"5",)]


@pytest.mark.parametrize("word", WORDS)
def test_killed_there_and_run_again(project: Project, server: Hook, word: str) -> None:
    """All is done in the end, nothing that was ok twice; each run's alert goes out once.

    A kill between claiming and recording repeats it, marked: it may have been sent.
    """
    project.write("flow", FLOW)
    assert with_fault(project, server.url, word, "kill").code == -signal.SIGKILL
    gone_on(project, server.url)
    told = [body["text"] for body in server.bodies]
    runs = project.rows("SELECT count(*) FROM runs")[0][0]
    assert project.rows("SELECT DISTINCT status FROM alerts") == [("sent",)]
    assert len(told) == runs + (word == "alert-sent"), told
    assert sum("(may be a repeat)" in text for text in told) == word.startswith("alert-")


def test_killed_as_a_command_begins(project: Project) -> None:
    """A process that the engine has just started, and not even noted, dies with it."""
    project.write("flow", 'workflow = Workflow("flow").add(Step("a", shell("sleep 30")))')
    begun = time.monotonic()
    engine = project.start(
        "run", "flow", "-q", KAHNBAN_FAILPOINTS="command-begun:stop", MARK="killed-as-it-begins"
    )
    await_halt(engine)
    assert len(marked("killed-as-it-begins")) >= 2
    engine.kill()
    assert project.end(engine, begun).code == -signal.SIGKILL
    wait_for(lambda: marked("killed-as-it-begins") == [], 5)


def test_killed_and_only_asked(project: Project, server: Hook) -> None:
    """A run whose engine was killed is shown as interrupted, by a command that only reads."""
    project.write("flow", FLOW)
    with_fault(project, server.url, "attempt-begun", "kill")
    before = project.rows("SELECT id, status, events FROM runs")
    result = project.run("show", "latest", "--json")
    assert result.report["status"] == "interrupted"
    assert result.seconds < 5  # told, not waited for: there is no lease to run out
    assert (
        project.rows("SELECT id, status, events FROM runs")
        == before
        == [(1, "running", before[0][2])]
    )


def test_gone_on_with_twice_at_once(project: Project, server: Hook) -> None:
    """Of two that go on from a dead run at once, one does and the other exits 75."""
    project.write("flow", FLOW)
    with_fault(project, server.url, "attempt-begun@2", "kill")
    halts = {"KAHNBAN_FAILPOINTS": "run-begun:stop"}  # whichever is first: no matter how slow
    begun = time.monotonic()
    both = [project.start("run", "flow", "-q", **halts) for _ in range(2)]
    wait_for(lambda: any(process.poll() is not None for process in both), 60)
    second, first = sorted(both, key=lambda process: process.poll() is None)
    refused = project.end(second, begun)
    assert refused.code == 75
    assert "of 'flow' is" in refused.error
    await_halt(first)
    first.send_signal(signal.SIGCONT)
    assert project.end(first, begun).code == 0
    gone_on(project, server.url)


@pytest.mark.parametrize("word", ["tick-after-commit@2"])
def test_halted_and_let_go_on(project: Project, server: Hook, word: str) -> None:
    """A halted engine is no dead one: nobody takes its place, and it goes on where it was."""
    project.write("flow", FLOW)
    name, _, hit = word.partition("@")
    armed = f"{name}:stop@{hit or 1}"
    begun = time.monotonic()
    halted = project.start("run", "flow", "-q", KAHNBAN_FAILPOINTS=armed)
    await_halt(halted)
    assert project.run("show", "latest", "--json").report["status"] == "running"
    assert project.run("run", "flow", "-q").code == 75
    halted.send_signal(signal.SIGCONT)
    assert project.end(halted, begun).code == 0
    assert project.rows("SELECT id, status FROM runs") == [(1, "ok")]
    gone_on(project, server.url)


LIMITS = """
def thread(ctx):
    effect("thread")
    for _ in range(40):
        time.sleep(0.05)

def process(ctx):
    effect("process")
    time.sleep(2)

workflow = (
    Workflow("flow")
    .add(Step("thread", thread, timeout=4, retries=0))
    .add(Step("process", process, timeout=4, retries=0, isolate=True))
    .add(Step("command", shell("echo command >>effects.txt; sleep 2"), timeout=4, retries=0))
    .add(Step("long", shell("echo long >>effects.txt; sleep 600"), timeout=4, retries=0))
)
"""


def test_halted_past_a_limit(project: Project) -> None:
    """A halt times out nothing that did its work in time; what ran on past its limit is stopped."""
    project.write("flow", LIMITS)
    begun = time.monotonic()
    halted = project.start("run", "flow", "-q")
    steps = ["command", "long", "process", "thread"]
    wait_for(lambda: sorted(project.effects()) == steps, 30)
    await_idle(halted)  # what computes just before a halt may be what holds all up
    halted.send_signal(signal.SIGSTOP)
    await_halt(halted)
    time.sleep(5)
    halted.send_signal(signal.SIGCONT)
    assert project.end(halted, begun).code == 1
    outcomes = dict(project.rows("SELECT step, outcome FROM attempts"))
    assert outcomes == {**dict.fromkeys(steps, "ok"), "long": "timed_out"}


RAISED = {
    "tick-before-commit@3": 3,  # in the loop itself
    "before-publish": 3,
    "attempt-begun": 1,  # of a worker it is the attempt that fails
    "alert-claimed": 0,  # alerts fail no run
}


@pytest.mark.parametrize(("word", "code"), RAISED.items())
def test_an_error_of_the_engine(project: Project, server: Hook, word: str, code: int) -> None:
    """The run is recorded as interrupted by the engine's failure, and the next one goes on."""
    project.write("flow", FLOW)
    result = with_fault(project, server.url, word, "raise")
    assert result.code == code, result.err
    if code == 3:
        why = "the engine failed: FailpointRaised"
        assert project.rows("SELECT status, note FROM runs") == [("interrupted", why)]
        assert "error: the engine failed: FailpointRaised" in result.err
    if code == 1:
        failed = "SELECT error FROM attempts WHERE outcome = 'failed' AND error LIKE 'the engine%'"
        why = "the engine failed to run it: FailpointRaised: raised by a fail-point"
        assert project.rows(failed) == [(why,)]
    gone_on(project, server.url)


def test_a_misspelt_fail_point_is_refused(project: Project) -> None:
    """Nothing is run and nothing made: a test that names no fail-point would test nothing."""
    project.write("flow", FLOW)
    result = project.run("run", "flow", KAHNBAN_FAILPOINTS="run-begin:kill")
    assert result.code == 2
    assert "error: there is no fail-point 'run-begin'" in result.err
    assert not project.home.exists()


# -- upgrades -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["upgrade-before-copy", "upgrade-after-copy", "migration-statement@9"]
)
def test_killed_in_an_upgrade(
    project: Project, server: Hook, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """The store is as it was, or newer as a whole; the next run upgrades it, and has the past."""
    project.write("flow", FLOW)
    old_store.make(project.store, monkeypatch)
    assert with_fault(project, server.url, word, "kill").code == -signal.SIGKILL
    version = "SELECT version_num FROM alembic_version"
    assert project.rows(version) == [("0001",)]
    assert project.rows("SELECT count(*) FROM pragma_table_info('run_rows')") == [(16,)]
    result = project.run("run", "flow", "-q", "--fresh")
    assert result.code == 0, result.err
    assert project.rows(version) == [(REVISIONS[-1],)]
    assert project.rows("PRAGMA integrity_check") == [("ok",)]
    assert project.rows("SELECT id, status, note FROM runs")[0] == (1, "failed", "of old")
    copy = sqlite3.connect(max(project.home.glob("*.before-upgrade-from-0001.*")))
    assert copy.execute("SELECT note FROM run_rows").fetchall() == [("of old",)]
    copy.close()
