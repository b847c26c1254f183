"""No step process outlives its engine unseen: the warden ends it, or the next command does."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import AlreadyRunning
from engine.session import orphans
from engine.workers import procfs, warden_program
from store.connection import Database
from store.database import open_writer
from tests.system.project import Project, is_alive, wait_for

WAITS = """
WAITS = "echo pid:$$ >> effects.txt; echo on >> effects.txt; sleep 60; sleep 60"
"""

TREE = """
import subprocess

TREE = r'''
sleep 61 > /dev/null 2>&1 & echo "pid:$!" >> effects.txt
setsid sleep 62 > /dev/null 2>&1 & echo "pid:$!" >> effects.txt
bash -mc 'sleep 63 > /dev/null 2>&1 & echo "pid:$!" >> effects.txt'
env -i setsid bash -c 'sleep 64 > /dev/null 2>&1 & echo "pid:$!" >> effects.txt'
trap '' TERM
'''

def isolated(ctx):
    effect(f"pid:{os.getpid()}")
    effect(f"pid:{os.getppid()}")
    subprocess.run(["bash", "-c", TREE])
    effect("on")
    time.sleep(60)

workflow = (
    Workflow("flow")
    .add(Step("service", shell("setsid sleep 30 > /dev/null 2>&1 & echo $! > service")))
    .add(Step("command", shell(TREE + WAITS), ["service"]))
    .add(Step("isolated", isolated, ["service"], isolate=True))
)
"""


def warden_of(engine: int) -> int:
    """Find the warden of an engine."""
    for child in procfs.children_of(engine):
        if b"warden_program" in Path(f"/proc/{child}/cmdline").read_bytes():
            return child
    raise AssertionError("no warden")


@pytest.fixture(autouse=True)
def _tidy(project: Project) -> Iterator[None]:
    yield
    found = project.pids()
    for name in ("service", "orphan"):
        path = project.root / name
        if path.exists():
            found.append(int(path.read_text()))
    for pid in found:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


ATTEMPTS = "SELECT count(*) FROM attempts"
SLOW_TO_LOAD = """
if "engine.cli.forkserver" in sys.modules and not Path("go").exists():
    effect("loading")
    time.sleep(20)

def isolated(ctx):
    return 1

workflow = Workflow("flow").add(Step("isolated", isolated, isolate=True))
"""


def test_the_next_engine_is_none_of_the_last_ones_processes(project: Project) -> None:
    """Stopped at once and started again, a run is not killed by what still tidies up.

    The fork server is loading, so that the warden has to wait for it; meanwhile the next engine
    opens the same locks, and carries no marker either.
    """
    project.write("flow", SLOW_TO_LOAD)
    first = project.start("run", "flow")
    wait_for(lambda: "loading" in project.effects(), 30)
    wait_for(lambda: project.store.exists() and project.rows(ATTEMPTS) == [(1,)], 30)
    warden = warden_of(first.pid)
    first.send_signal(signal.SIGINT)
    time.sleep(0.1)
    stopped = project.stopped(first, signal.SIGINT)
    assert stopped.code == 130
    assert "output cut" not in stopped.err  # of a process that was never there
    (project.root / "go").touch()
    result = project.run("run", "flow", "-q")
    assert result.code == 0, result.err
    wait_for(lambda: not is_alive(warden), 30)


def test_no_step_process_outlives_a_killed_engine(project: Project) -> None:
    """SIGKILL of the engine: a moment later none is left, wherever it has gone.

    What a command that had ended well has left in the background lives on.
    """
    project.write("flow", WAITS + TREE)
    process = project.start("run", "flow")
    wait_for(lambda: project.effects().count("on") == 2)
    found = project.pids()
    assert len(found) == 11
    assert all(map(is_alive, found))
    process.kill()
    begun = time.monotonic()
    wait_for(lambda: not any(map(is_alive, found)))
    assert time.monotonic() - begun < 5
    project.end(process, begun)
    assert is_alive(int((project.root / "service").read_text()))


ORPHAN = """
workflow = (
    Workflow("flow")
    .add(Step("service", shell("setsid sleep 30 > /dev/null 2>&1 & echo $! > service")))
    .add(Step("work", shell(
        '''
if [ -e orphan ]; then
    state="/proc/$(cat orphan)/status"
    if [ -e "$state" ] && ! grep -q "^State:.[ZX]" "$state"; then echo together >> effects.txt; fi
    echo again >> effects.txt
    exit 0
fi
echo $$ > orphan
CLEARED setsid sleep 60 > /dev/null 2>&1 &
echo "pid:$!" >> effects.txt
echo on >> effects.txt
sleep 60; true
'''), ["service"]))
)
"""


@pytest.mark.parametrize("cleared", ["", "env -i"])
def test_one_that_does_is_found_named_and_ended_by_the_next_run(
    project: Project, cleared: str
) -> None:
    """With the warden killed too, the next run ends what is left before the step starts again."""
    project.write("flow", ORPHAN.replace("CLEARED", cleared))
    process = project.start("run", "flow")
    project.wait_for_effect("on")
    os.kill(warden_of(process.pid), signal.SIGKILL)
    project.stopped(process, signal.SIGKILL)
    orphan = int((project.root / "orphan").read_text())
    found = [orphan, *project.pids()]
    assert all(map(is_alive, found))
    shown = project.run("show", "latest")
    assert "interrupted" in shown.out
    assert all(map(is_alive, found))  # looking changes nothing
    result = project.run("run", "flow")
    assert result.code == 0
    assert not any(map(is_alive, found))
    assert project.effects()[-1] == "again"
    assert "together" not in project.effects()
    assert f"run 1 of flow: process {orphan} (bash -euo pipefail -c" in result.err
    assert "of step 'work' outlived its engine: ended" in result.err
    assert f"process {found[1]} (sleep 60)" in result.err
    assert is_alive(int((project.root / "service").read_text()))


def test_a_number_that_is_somebody_elses_now_is_taken_as_dead(project: Project) -> None:
    """A run whose engine's number belongs to a stranger is interrupted; the stranger is let be."""
    project.write("flow", ORPHAN.replace("CLEARED", ""))
    process = project.start("run", "flow")
    project.wait_for_effect("on")
    project.stopped(process, signal.SIGKILL)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        with sqlite3.connect(project.store) as connection:
            ((owner,),) = connection.execute("SELECT owner FROM run_rows").fetchall()
            owner = json.dumps({**json.loads(owner), "pid": stranger.pid})
            connection.execute("UPDATE run_rows SET owner = ?", (owner,))
        connection.close()
        shown = project.run("show", "latest")
        result = project.run("run", "flow")
        assert stranger.poll() is None
        stranger.kill()
    assert "interrupted" in shown.out
    assert result.code == 0
    assert project.rows("SELECT status FROM runs ORDER BY id") == [("interrupted",), ("ok",)]


def test_a_killed_warden_is_replaced(project: Project) -> None:
    """The next step process has a warden again."""
    project.write(
        "flow",
        WAITS
        + """
workflow = (
    Workflow("flow")
    .add(Step("first", shell("echo first >> effects.txt; until [ -e go ]; do sleep 0.02; done")))
    .add(Step("second", shell(WAITS), ["first"]))
)
""",
    )
    process = project.start("run", "flow")
    project.wait_for_effect("first")
    first = warden_of(process.pid)
    os.kill(first, signal.SIGKILL)
    (project.root / "go").touch()
    project.wait_for_effect("on")
    assert warden_of(process.pid) != first
    project.stopped(process, signal.SIGKILL)
    wait_for(lambda: not any(map(is_alive, project.pids())))


def test_one_that_cannot_be_ended_holds_the_command_up(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What holds the steps lock and cannot be seen is waited for; then exit code 75 says so."""
    project.write("flow", ORPHAN.replace("CLEARED", ""))
    process = project.start("run", "flow")
    project.wait_for_effect("on")
    os.kill(warden_of(process.pid), signal.SIGKILL)
    project.stopped(process, signal.SIGKILL)
    monkeypatch.setattr(orphans, "ROUNDS_MAX", 3)
    monkeypatch.setattr(procfs, "processes", dict)  # as under another user, who sees none
    database: Database = open_writer(project.store)
    try:
        with pytest.raises(AlreadyRunning, match="still runs and cannot be ended: one that this"):
            orphans.end_orphans(database, None)
        monkeypatch.undo()
        orphans.end_orphans(database, None)
    finally:
        database.close()
    assert not is_alive(int((project.root / "orphan").read_text()))


def test_engine_stopped_twice_leaves_nothing(project: Project) -> None:
    """The second Ctrl-C ends the engine at once, and its step processes with it."""
    project.write("flow", WAITS + TREE)
    process = project.start("run", "flow")
    wait_for(lambda: project.effects().count("on") == 2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    result = project.stopped(process, signal.SIGINT)
    assert result.code == 130
    wait_for(lambda: not any(map(is_alive, project.pids())))


def test_a_child_that_comes_out_of_a_thread_step_does_nothing_more(project: Project) -> None:
    """It is a copy of the engine, with a copy of its queue: each step is still done once."""
    project.write(
        "flow",
        """
def forks(ctx):
    effect("forks")
    pid = os.fork()
    if pid:
        effect(f"pid:{pid}")
    elif ctx["raises"]:
        raise ValueError("in the child")

workflow = Workflow("flow")
for at in range(100):
    workflow.add(Step(f"before{at}", does(f"before{at}")))
workflow.add(Step("raises", lambda ctx: ctx.run_id == 1))
workflow.add(Step("forks", forks, ["raises"]))
for at in range(100):
    workflow.add(Step(f"after{at}", does(f"after{at}"), ["raises"]))
""",
    )
    for run in (1, 2):
        project.report("flow", "--workers", "1", "--fresh")
        wait_for(lambda: not any(map(is_alive, project.pids())))
        done = [word for word in project.effects() if not word.startswith("pid:")]
        assert len(done) == 201 * run


def test_a_thread_step_can_end_what_it_has_forked(project: Project) -> None:
    """SIGTERM ends it; Ctrl-C, which a terminal sends to all, is left to the engine."""
    project.write(
        "flow",
        """
import ctypes, multiprocessing

def blocks():
    mutex, lock = ctypes.create_string_buffer(64), ctypes.CDLL(None).pthread_mutex_lock
    lock(mutex)
    lock(mutex)  # for ever, in C, where no handler of Python's runs

def ends(ctx):
    child = multiprocessing.get_context("fork").Process(target=blocks)
    child.start()
    effect(f"pid:{child.pid}")
    os.kill(child.pid, signal.SIGINT)
    child.join(0.3)
    effect(child.exitcode)
    child.terminate()
    child.join(30)
    effect(child.exitcode)

workflow = Workflow("flow").add(Step("ends", ends))
""",
    )
    project.report("flow")
    assert project.effects()[1:] == ["None", str(-signal.SIGTERM)]


def test_a_thread_steps_fork_keeps_nothing_alive(project: Project) -> None:
    """A child forked in a thread holds neither pipe: warden and fork server see the engine die."""
    project.write(
        "flow",
        WAITS
        + """
def forks(ctx):
    pid = os.fork()
    if pid == 0:
        effect(f"fork:{os.getpid()}")
        time.sleep(20)
        os._exit(0)

workflow = (
    Workflow("flow")
    .add(Step("forks", forks))
    .add(Step("waits", shell(WAITS), ["forks"]))
)
""",
    )
    process = project.start("run", "flow")
    project.wait_for_effect("on")
    process.kill()
    wait_for(lambda: not any(map(is_alive, project.pids())))
    for word in project.effects():
        if word.startswith("fork:"):
            os.kill(int(word[5:]), signal.SIGKILL)
    process.communicate()


def test_the_fork_server_is_left_to_do_its_part() -> None:
    """Killed first, it left orphans that carry no marker, have no lock and no session in common."""
    engine = f"boot-{os.getpid()}-1"
    words = ["bash", "-c", "sleep 0.3"]
    with subprocess.Popen(words, env={"KAHNBAN_ENGINE": engine}) as server:
        assert warden_program.end_all(engine, None, lambda _: False) == []
        assert server.wait() == 0


def test_what_is_below_a_step_process_is_ended_with_it() -> None:
    """A child that has cleared its environment is found by its parent."""
    engine = f"boot-{os.getpid()}-2"
    marker = procfs.Marker(engine, "1/0/1")
    script = "env -i setsid sleep 60 & echo $!; wait"
    with subprocess.Popen(
        ["bash", "-c", script],
        env={**os.environ, **marker.variables()},
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert warden_program.left(engine, None, {"1/0/1"}.__contains__) == []
        found = [each.process.pid for each in warden_program.left(engine, None, lambda _: False)]
        assert sorted(found) == sorted([parent.pid, child])
        assert warden_program.end_all(engine, None, lambda _: False) == []
        assert not is_alive(child)
        assert parent.wait() == -signal.SIGKILL


def test_processes_are_told_by_more_than_their_number() -> None:
    """A process is signalled only if it still is the one that was seen."""
    with subprocess.Popen(["sleep", "60"]) as child:
        found = procfs.look_at(child.pid)
        assert found is not None
        assert not procfs.send(found._replace(started=found.started - 1), signal.SIGKILL)
        assert child.poll() is None
        assert procfs.send(found, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    assert not procfs.send(found, signal.SIGKILL)
