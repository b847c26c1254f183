"""Stores that lost commits, were copied, replaced or taken away, as the command meets them."""

from __future__ import annotations

import shlex
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from tests.system.project import Project

FLOW = """
workflow = Workflow("flow")
for number in range(6):
    ups = [f"s{number - 1}"] if number else []
    workflow.add(Step(f"s{number}", does(f"s{number}", 0.05 if number < 5 else 20), depends_on=ups))
"""


@pytest.fixture
def killed(project: Project) -> Project:
    """Give a project whose run was killed in its last step, with its commits in the log."""
    project.write("flow", FLOW)
    process = project.start("run", "flow")
    project.wait_for_effect("s5")
    project.stopped(process, signal.SIGKILL)
    return project


def said(project: Project, code: int, *command: str) -> str:
    """Give what a command says on stderr."""
    result = project.run(*command)
    assert result.code == code, result.err
    return result.err


WAITS = """
def waits(ctx):
    effect("a")
    while not Path("go").exists():
        time.sleep(0.01)

workflow = Workflow("flow").add(Step("a", waits)).add(Step("b", does("b"), depends_on=["a"]))
"""

LOST = "run 1 of 'flow' had 16 events"


def test_lost_commits_are_found_by_the_next_command(killed: Project) -> None:
    """A bit flipped in the log, then no log at all: nothing is written, and looking says so."""
    log = killed.store.with_name("runs.db-wal")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    killed.store.with_name("runs.db-shm").unlink()
    before = killed.store.read_bytes()
    assert f"in it: {LOST}, the store has " in said(killed, 3, "run", "flow")
    assert log.read_bytes() == data
    told = f"the store has lost what was recorded: {LOST}"
    assert f"{told}, the store has " in said(killed, 0, "show", "latest")
    log.unlink()
    killed.store.with_name("runs.db-shm").unlink()
    err = said(killed, 3, "run", "flow")
    assert f"the store '{killed.store}' has lost what was recorded in it: {LOST} and is gone" in err
    assert told in said(killed, 0, "history")
    assert told in said(killed, 0, "run", "flow", "--dry-run")
    assert killed.store.read_bytes() == before
    assert killed.effects() == [f"s{number}" for number in range(6)]


def test_a_copied_project_does_not_go_on_as_the_first(project: Project, tmp_path: Path) -> None:
    """Its runs are the first's to go on with."""
    project.chain()
    assert project.run("run", "flow").code == 1
    copy = Project(tmp_path / "second")
    shutil.rmtree(copy.root)
    shutil.copytree(project.root, copy.root)
    err = said(copy, 3, "run", "flow")
    assert f"error: the store '{copy.store}' is a copy or was moved: it belongs at" in err
    command = f"db restore {copy.store} --store sqlite:///{copy.store}"
    seen = [f"`python -m engine {words}`" for words in ("history", "show", command)]
    assert f"hint: look at it with {seen[0]} and {seen[1]}; {seen[2]} goes on with it here" in err


def test_a_store_replaced_under_a_run_ends_it(project: Project) -> None:
    """Another file at its place does not get the run's commits, nor is it taken for the store."""
    project.write("flow", WAITS)
    process = project.start("run", "flow")
    project.wait_for_effect("a")
    other = project.root / "other.db"
    raw = sqlite3.connect(other)
    raw.execute("CREATE TABLE other (x)")
    raw.commit()
    raw.close()
    before = other.read_bytes()
    other.replace(project.store)
    (project.root / "go").touch()
    result = project.end(process, time.monotonic())
    assert result.code == 3
    assert "was removed or replaced while it was open" in result.err
    assert "b" not in project.effects()
    assert project.store.read_bytes() == before


def test_no_empty_store_is_made_while_a_removed_one_is_in_use(project: Project) -> None:
    """Neither by the run that ends, nor by a command meanwhile: its log is still there."""
    project.write("flow", WAITS)
    project.write("more", 'workflow = Workflow("more").add(Step("a", does("more")))')
    process = project.start("run", "flow")
    project.wait_for_effect("a")
    project.store.unlink()
    err = said(project, 3, "run", "more")
    assert f"the store '{project.store}' is gone, but its write-ahead log" in err
    (project.root / "go").touch()
    assert project.end(process, time.monotonic()).code == 3
    assert not project.store.exists()


def test_a_fresh_start_takes_no_earlier_runs_logs_for_its_own(project: Project) -> None:
    """Who removes the store keeps the logs: what they tell is told of no other run."""
    project.chain()
    assert project.run("run", "flow").code == 1
    for path in project.home.glob("runs.db*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (project.root / "go").touch()
    assert project.report("flow")["run_id"] == 2
    assert "not yet" not in project.run("logs", "flow").out


def test_the_hint_for_a_store_elsewhere_can_be_pasted(project: Project) -> None:
    """It goes on with the store that was named, and puts it in no other's place."""
    project.write("flow", "workflow = Workflow('flow').add(Step('a', does('a')))")
    assert project.report("flow")["run_id"] == 1
    for _ in range(2):
        project.report("flow", "--store", "sqlite:///first.db")
    (project.root / "first.db").rename(project.root / "second.db")
    refused = project.run("run", "flow", "--store", "sqlite:///second.db")
    assert refused.code == 3
    command = refused.error.split("`")[5]
    pasted = shlex.split(command.removeprefix("python -m engine --store sqlite:///second.db "))
    assert project.run(*pasted).code == 0
    again = project.report("flow", "--store", "sqlite:///second.db")
    assert again["status"] == "ok"
    assert project.rows("SELECT id FROM runs") == [(1,)]


@pytest.mark.parametrize(
    "command",
    [
        ("history",),
        ("show",),
        ("run", "flow", "--dry-run"),
        ("db", "verify"),
        ("alerts", "send"),
    ],
)
def test_a_log_without_its_store_is_no_empty_history(
    project: Project, command: tuple[str, ...]
) -> None:
    """Somebody removed the one file and not the other: every command says so."""
    project.write("flow", FLOW)
    project.home.mkdir()
    log = project.home / "runs.db-wal"
    log.write_bytes(b"a log")
    told = f"error: the store '{project.store}' is gone, but its write-ahead log 'runs.db-wal'"
    assert told in said(project, 3, *command)
    assert log.read_bytes() == b"a log"
    assert not project.store.exists()
