"""A disk that is full, at any of the store's writes: nothing recorded is lost, and all goes on."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from engine import Step, Workflow
from engine.clock import SystemClock
from engine.errors import StoreFull
from store import reserve
from store.connection import Database
from store.database import open_reader, open_writer
from store.history import History
from tests.store.filled import begun, dead_owner
from tests.system.alert_servers import answer
from tests.system.alert_servers import hook as webhook
from tests.system.project import PRELUDE, Project, statuses

PAGE_BYTES = 4096


class Limit:
    """Lets the store's file grow no further from its n-th write on, until there is room again."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.writes = 0
        self.at = at
        self.lifted = False
        write: Callable[[Database], AbstractContextManager[Any]] = Database.write
        give_up = reserve.give_up

        def limited(database: Database) -> AbstractContextManager[Any]:
            self.writes += 1
            if self.writes == self.at and not self.lifted:
                self.allow(database, 0)
            return write(database)

        def given_up(database: Database) -> None:
            if reserve.file_of(database.path).exists():
                self.allow(database, reserve.SIZE_BYTES // PAGE_BYTES)
            give_up(database)

        patch.setattr(Database, "write", limited)
        patch.setattr(reserve, "give_up", given_up)

    def allow(self, database: Database, more: int) -> None:
        """Let the file grow by so many pages; SQLite keeps that for one connection."""
        pages = database.raw.execute("PRAGMA page_count").fetchone()[0]
        database.raw.execute(f"PRAGMA max_page_count = {pages + more}")


def flow(effects: list[str]) -> Workflow:
    """Make three steps, one after the other, each of which leaves more than a page."""

    def body(name: str) -> Callable[[Any], str]:
        def run(_: Any) -> str:
            effects.append(name)
            return name * 30_000

        return run

    return (
        Workflow("flow")
        .add(Step("a", body("a")))
        .add(Step("b", body("b"), depends_on=["a"]))
        .add(Step("c", body("c"), depends_on=["b"]))
    )


def told(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Give the newest run and its steps' statuses."""
    reader = open_reader(path)
    history = History(reader)
    run = history.run(history.find("latest"))
    steps = {row["step"]: row["status"] for row in history.steps(run["run_id"])}
    reader.close()
    return run, steps


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_full_at_each_write_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Wherever it strikes, the end is recorded, and the next run does only what was not.

    A run has five writes: its beginning with a large context, the first claim, and three ends.
    """
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs.db"
    url = f"sqlite:///{path}"
    effects: list[str] = []
    context = {"large": "x" * 30_000}
    with monkeypatch.context() as patch:
        limit = Limit(patch, at)
        with pytest.raises(StoreFull) as caught:
            flow(effects).run(context, store=url)
    assert limit.writes >= at
    assert caught.value.exit_code == 3
    assert caught.value.message == f"the disk of the store '{path}' is full"
    done: set[str] = set()
    if at > 1:
        run, steps = told(path)
        assert (run["status"], run["note"]) == ("interrupted", caught.value.message)
        assert not reserve.file_of(path).exists()
        done = {step for step, status in steps.items() if status == "ok"}
    assert len(done) == max(0, at - 3)
    report = flow(effects).run(context, store=url)
    assert (report["status"], report["run_id"]) == ("ok", 1 if at == 1 else 2)
    assert {step for step, status in statuses(report).items() if status == "cached"} == done
    assert all(Counter(effects)[step] == 1 for step in done)
    assert reserve.file_of(path).stat().st_size == reserve.SIZE_BYTES


def test_without_a_reserve_the_run_is_seen_to_be_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not even its end fits, it is told directly, and recorded by the next command."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs.db"
    url = f"sqlite:///{path}"
    effects: list[str] = []
    with webhook(answer(200, "ok")) as hook, monkeypatch.context() as patch:
        patch.setenv("SLACK_WEBHOOK_URL", hook.url)
        Limit(patch, 3)
        patch.setattr(reserve, "keep", lambda _path: None)
        patch.setattr(Database, "checkpoint", lambda _self: None)
        patch.setattr("store.reconcile.queue_alerts", _full)
        with pytest.raises(StoreFull) as caught:
            flow(effects).run(store=url)
        assert caught.value.alerted
        told_by = [body["text"] for body in hook.bodies]
    assert len(told_by) == 1
    assert told_by[0].startswith("a run of flow was stopped and could not be recorded")
    assert told(path)[0]["status"] == "interrupted"
    assert flow(effects).run(store=url)["status"] == "ok"


def _full(*_: object) -> None:
    raise StoreFull("no room for its end either")


class Full:
    """Lets no write of the store be made from the n-th on, as a disk without a single byte does."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.writes = 0
        write: Callable[[Database], AbstractContextManager[Any]] = Database.write

        def refused(database: Database) -> AbstractContextManager[Any]:
            self.writes += 1
            if self.writes >= at:
                raise StoreFull("the disk is full")
            return write(database)

        patch.setattr(Database, "write", refused)


@pytest.mark.parametrize(("at", "left"), [(6, "pending"), (7, "sending")])
def test_full_while_an_alert_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, left: str
) -> None:
    """The run's outcome stands; the alert is due again, once more at most."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/runs.db"
    with webhook(answer(200, "ok")) as hook:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", hook.url)
        with monkeypatch.context() as patch:
            Full(patch, at)
            assert flow([]).run(store=url)["status"] == "ok"
        reader = open_reader(tmp_path / "runs.db")
        assert [row["status"] for row in History(reader).alerts()] == [left]
        reader.close()
        assert flow([]).run(store=url)["status"] == "ok"
        assert len(hook.bodies) == (2 if left == "pending" else 3)


def test_full_while_a_dead_run_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is begun on top of what could not be recorded; later it is."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs.db"
    database = open_writer(path)
    begun(database, "a b", owner=dead_owner(), started_at=SystemClock().stamp(0.0))
    database.close()
    effects: list[str] = []
    with monkeypatch.context() as patch:
        Full(patch, 1)
        with pytest.raises(StoreFull):
            flow(effects).run(store=f"sqlite:///{path}")
    assert effects == []
    assert told(path)[0]["note"].endswith("the next run records that")
    assert flow(effects).run(store=f"sqlite:///{path}")["status"] == "ok"


# -- real disks -----------------------------------------------------------------------------------

FILLING = (
    PRELUDE
    + """
def fill(ctx):
    effect("fill")
    if Path("filled").exists():
        return
    Path("filled").touch()
    with open(Path(os.environ["HOME_DISK"]) / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass

workflow = (
    Workflow("flow")
    .add(Step("first", does("first")))
    .add(Step("fill", fill, depends_on=["first"]))
    .add(Step("large", lambda ctx: "x" * 60_000, depends_on=["fill"]))
    .add(Step("last", does("last"), depends_on=["large"]))
)
"""
)

ON_A_SMALL_DISK = """
import json, os, subprocess, sys
from pathlib import Path
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "none", str(disk)], check=True)

def run(*words):
    done = subprocess.run([sys.executable, "-m", "engine", *words], capture_output=True, text=True)
    return [done.returncode, done.stdout, done.stderr]

told = {"full": run("run", "flow", "--scheduled"), "show": run("show", "--json")}
told["reserve_left"] = (disk / "runs.db.reserve").exists()
(disk / "filler").unlink()
told["again"] = run("run", "flow", "--json")
told["reserve_back"] = (disk / "runs.db.reserve").exists()
told["verify"] = run("db", "verify")
print(json.dumps(told))
"""


def in_own_mounts(program: str, *arguments: object, cwd: Path, env: dict[str, str]) -> str:
    """Run a Python program that may mount what it likes; it is all gone with it."""
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if os.geteuid() != 0 or probe.returncode:
        pytest.skip("only root can mount a disk of its own")
    words = ["unshare", "-m", sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(
        words, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_stops_the_run_and_tells(project: Project) -> None:
    """A real one: the end is recorded in the reserve's room, and the alert of it goes out."""
    project.write("flow", FILLING, prelude="")
    disk = project.root / "disk"
    disk.mkdir()
    with webhook(answer(200, "ok")) as hook:
        env = project.env(
            ENGINE_HOME=str(disk), HOME_DISK=str(disk), SLACK_WEBHOOK_URL=hook.url,
            PYTHONDONTWRITEBYTECODE="1",
        )  # fmt: skip
        told = json.loads(in_own_mounts(ON_A_SMALL_DISK, disk, cwd=project.root, env=env))
        texts = [body["text"] for body in hook.bodies]
    code, _, err = told["full"]
    assert code == 3, err
    full = f"the disk of the store '{disk}/runs.db' is full"
    assert f"error: {full}\nhint: make space, then run the same command again" in err
    shown = json.loads(told["show"][1])
    assert (shown["status"], shown["note"]) == ("interrupted", full)
    assert statuses(shown)["fill"] in ("ok", "interrupted")
    assert not told["reserve_left"]
    assert [text.split()[:2] for text in texts] == [["flow", "interrupted"], ["flow", "recovered"]]
    assert texts[0].startswith(f"flow interrupted at fill: {full.partition('/')[0]}")
    code, out, err = told["again"]
    assert code == 0, err
    assert statuses(json.loads(out))["first"] == "cached"
    assert project.effects().count("first") == 1
    assert told["reserve_back"]
    assert told["verify"][0] == 0, told["verify"]


def test_a_limit_on_the_size_of_files(project: Project) -> None:
    """No root is needed for that one; the run is over, and what it recorded is gone on from."""
    project.write(
        "flow",
        """
workflow = Workflow("flow")
for number in range(8):
    ups = [f"s{number - 1}"] if number else []
    body = lambda ctx, name=f"s{number}": (effect(name), name * 40_000)[1]
    workflow.add(Step(f"s{number}", body, depends_on=ups))
""",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "run", "flow"],
        cwd=project.root,
        env=project.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (420_000, 420_000))
    result = project.end(process, time.monotonic())
    assert result.code == 3, result.err
    assert f"error: the disk of the store '{project.store}' took no more: disk I/O" in result.err
    before = {row[0] for row in project.rows("SELECT step FROM step_runs WHERE status = 'ok'")}
    assert before
    assert project.rows("SELECT status FROM runs") == [("interrupted",)]
    report = project.report("flow")
    assert {name for name, status in statuses(report).items() if status == "cached"} == before
    assert all(project.effects().count(name) == 1 for name in before)


# -- disks that cannot be written -----------------------------------------------------------------

READ_ONLY = """
import json, subprocess, sys
folder = sys.argv[1]
subprocess.run(["mount", "--bind", folder, folder], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)

def run(*words):
    done = subprocess.run([sys.executable, "-m", "engine", *words], capture_output=True, text=True)
    return [done.returncode, done.stdout, done.stderr]

print(json.dumps(run("run", "flow")))
"""


def test_a_disk_mounted_read_only(project: Project) -> None:
    """Nothing is begun, and code and words say why."""
    project.chain()
    open_writer(project.store).close()
    env = project.env(PYTHONDONTWRITEBYTECODE="1")
    code, _, err = json.loads(in_own_mounts(READ_ONLY, project.home, cwd=project.root, env=env))
    assert code == 3
    assert f"error: the store '{project.store}' cannot be written: its file is read-only" in err
    assert project.effects() == []
