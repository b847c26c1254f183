"""The store under a held lock, a long reader, a failing sync and too few descriptors."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests import checker
from tests.checker import chains, effects_of, read_log
from tests.system.project import Project, Result

WRITTEN_MB = int(os.environ.get("KAHNBAN_WRITTEN_MB", "5"))

FLOW = """
def body(name):
    def run(ctx):
        effect(f"{ctx.run_id}/{name}/{ctx.attempt}")
        return name
    return run

workflow = Workflow("flow")
for name, ups in {"a": [], "b": ["a"], "c": ["b"]}.items():
    workflow.add(Step(name, body(name), depends_on=ups, retries=0))
"""
GRAPH = {"a": [], "b": ["a"], "c": ["b"]}

IMPATIENT = """
import sys
from store import connection
connection.BUSY_TIMEOUT_MS = 1_000
from engine.__main__ import main
raise SystemExit(main())
"""


@contextmanager
def write_lock(store: Path) -> Iterator[sqlite3.Connection]:
    """Hold the store's write lock, as another process that is in the middle of something."""
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def whole(project: Project) -> None:
    """Hold the log of all runs against the effects."""
    effects = effects_of(project.effects())
    for chain in chains(read_log(project.store)):
        assert checker.faults(chain, effects, GRAPH) == []
    assert project.rows("PRAGMA integrity_check") == [("ok",)]


def test_a_lock_held_for_a_while_is_waited_for(project: Project) -> None:
    """Another process's transaction of 3 s delays a run, and fails nothing."""
    project.write("flow", FLOW)
    assert project.run("run", "flow", "-q").code == 0
    begun = time.monotonic()
    with write_lock(project.store):
        process = project.start("run", "flow", "-q")
        time.sleep(3)
        assert process.poll() is None
    result = project.end(process, begun)
    assert result.code == 0, result.err
    assert project.rows("SELECT status FROM runs") == [("ok",), ("ok",)]
    whole(project)


def test_a_lock_held_for_ever_is_given_up(project: Project) -> None:
    """After the busy timeout, here 1 s, the run ends with 3 and says what to look for."""
    project.write("flow", FLOW)
    assert project.run("run", "flow", "-q").code == 0
    with write_lock(project.store):
        done = subprocess.run(
            [sys.executable, "-c", IMPATIENT, "run", "flow", "-q"],
            cwd=project.root,
            env=project.env(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 3
    assert f"error: the store '{project.store}' was locked by another process for over 1 s\n" in (
        done.stderr
    )
    assert "hint: look what holds it open (fuser FILE)" in done.stderr
    assert project.rows("SELECT status FROM runs") == [("ok",)]  # none was begun
    assert project.run("run", "flow", "-q").code == 0


BIG = """
def big(ctx):
    return bytes([ctx.run_id]) * 500_000

workflow = Workflow("flow")
for number in range(COUNT):
    workflow.add(Step(f"s{number}", big, depends_on=[f"s{number - 1}"] if number else []))
"""


def test_an_open_reader_slows_no_run(project: Project) -> None:
    """A view held open for a whole run lets the log grow, until the next run folds it."""
    project.write("flow", BIG.replace("COUNT", str(WRITTEN_MB * 2)))
    log = Path(f"{project.store}-wal")
    alone = project.run("run", "flow", "-q")
    assert alone.code == 0
    with closing(sqlite3.connect(f"file:{project.store}?mode=ro", uri=True)) as reader:
        reader.execute("BEGIN")
        seen = reader.execute("SELECT count(*) FROM runs").fetchone()
        watched = project.run("run", "flow", "-q", "--fresh")
        assert watched.code == 0, watched.err
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == seen
        assert log.stat().st_size > WRITTEN_MB * 1_000_000
    print(f"{alone.seconds:.1f} s alone, {watched.seconds:.1f} s under a reader")
    assert watched.seconds < alone.seconds + 8  # to wait for it would take 10
    assert project.run("run", "flow", "-q", "--fresh").code == 0
    assert not log.exists() or log.stat().st_size == 0
    assert project.rows("SELECT status, count(*) FROM runs GROUP BY 1") == [("ok", 3)]


def limited(project: Project, count: int) -> Result:
    """Run with so many descriptors at most."""
    begun = time.monotonic()
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'ulimit -n {count}; exec "$0" -m engine run flow -q', sys.executable],
        cwd=project.root,
        env=project.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return project.end(process, begun)


GREEDY = (
    FLOW
    + """
def greedy(ctx):
    effect(f"{ctx.run_id}/greedy/{ctx.attempt}")
    if not Path("enough").exists():
        files = []
        try:
            while True:
                files.append(open("/dev/null"))
        except OSError:
            time.sleep(0.3)
            raise

workflow.add(Step("greedy", greedy, retries=0))
"""
)


def test_too_many_open_files(project: Project) -> None:
    """A step that takes every descriptor fails, or the run does; what is recorded stays whole."""
    project.write("flow", GREEDY)
    result = limited(project, 30)
    assert result.code in (1, 3), result.err
    assert "Too many open files" in result.out + result.err
    (project.root / "enough").touch()
    assert project.run("run", "flow", "-q").code == 0
    effects = effects_of(project.effects())
    (chain,) = chains(read_log(project.store))
    assert checker.faults(chain, effects, GRAPH | {"greedy": []}) == []
    assert project.rows("PRAGMA integrity_check") == [("ok",)]


ARMS = """
import ctypes
def arm(ctx):
    effect(f"{ctx.run_id}/b/{ctx.attempt}")
    if ctx.run_id == 1:
        ctypes.CDLL(None).shim_arm()
    return "b"
"""


@pytest.mark.parametrize("which", [1, 2])
def test_a_sync_that_fails_once(project: Project, shim: Path, which: int) -> None:
    """A commit whose sync failed is no commit: the run stops, and is never said to be ok."""
    project.write(
        "flow",
        ARMS
        + FLOW.replace("Step(name, body(name)", "Step(name, arm if name == 'b' else body(name)"),
    )
    failing = {
        "LD_PRELOAD": str(shim),
        "SHIM_FOLDER": str(project.home.resolve()),
        "SHIM_FAIL": str(which),
    }
    result = project.run("run", "flow", "-q", **failing)
    assert result.code == 3, result.err
    assert f"error: the disk of the store '{project.store}' failed: disk I/O error" in result.err
    ((status, note),) = project.rows("SELECT status, note FROM runs")
    assert status != "ok"
    assert note.startswith("the disk of the store")
    assert project.run("run", "flow", "-q").code == 0
    whole(project)
