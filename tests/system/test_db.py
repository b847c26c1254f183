"""`db backup`, `db restore`, `db prune`, and pruning at a run's end, as a user meets them.

Commands are carried out in this process, and runs too but where one must be on meanwhile.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import Param, Step, Workflow
from engine.cli import options
from engine.errors import AlreadyRunning, UsageError
from engine.session import run_files
from tests.system.project import Project, notes, statuses

DAY_US = 86_400_000_000


@pytest.fixture(autouse=True)
def _in_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("ENGINE_HOME", "ENGINE_STORE", "ENGINE_PIPELINES", "ENGINE_KEEP_DAYS"):
        monkeypatch.delenv(name, raising=False)


def does(*words: str) -> None:
    """Carry out a command."""
    parsed = options.parse(words)
    assert options.resolve(parsed)(parsed) == 0


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Give what carries out a command and tells what it printed."""

    def carried_out(*words: str) -> str:
        capsys.readouterr()
        does(*words)
        return capsys.readouterr().out

    return carried_out


def fetch(ctx: Any) -> str:
    """Get something, and log it."""
    ctx.log.info("fetched")
    return "fetched"


def use(ctx: Any) -> Any:
    """Fail until a file is there."""
    if not Path("go").exists():
        raise ValueError("not yet")
    return ctx["fetch"]


def flow(number: int | None = None, **more: Any) -> dict[str, Any]:
    """Run a workflow of two steps; gives the report."""
    return (
        Workflow("flow", params={"n": Param(int, default=0)})
        .add(Step("fetch", fetch))
        .add(Step("use", use, depends_on=["fetch"], retries=0))
        .run(params={} if number is None else {"n": number}, **more)
    )


def aged(project: Project, days: int, below: int) -> None:
    """Let runs with lower numbers than `below` have happened `days` ago."""
    connection = sqlite3.connect(project.store)
    connection.execute(
        "UPDATE run_rows SET started_at = started_at - ?1, finished_at = finished_at - ?1"
        " WHERE id < ?2",
        (days * DAY_US, below),
    )
    connection.commit()
    connection.close()


def left(project: Project) -> tuple[list[str], list[str]]:
    """Runs that have logs, and those that have reports."""
    logs = [path.name for path in project.home.glob("logs/flow/*")]
    return sorted(logs), sorted(p.name.split("-")[1] for p in project.home.glob("reports/*"))


def test_a_backup_in_mid_run_is_gone_on_from_elsewhere(
    project: Project, said: Callable[..., str]
) -> None:
    """The run is in the copy as far as it had come, and ended there; nothing done is redone.

    The run itself goes on, and its store cannot be taken away meanwhile.
    """
    project.write(
        "flow",
        """
def wait(ctx):
    effect("b")
    while not Path("go").exists():
        time.sleep(0.02)

workflow = Workflow("flow").add(Step("a", does("a"))).add(Step("b", wait, depends_on=["a"]))
""",
    )
    running = project.start("run", "flow", "-q")
    project.wait_for_effect("b")
    saved = said("db", "backup")
    with pytest.raises(AlreadyRunning) as refused:
        does("db", "restore", "var/runs.db")
    (project.root / "go").touch()
    assert project.end(running, time.monotonic()).code == 0
    (backup,) = project.home.glob("backups/runs-????????-??????.db")
    size_kb = backup.stat().st_size / 1000
    assert saved == f"saved '{backup}': 1 run, {size_kb:.0f} kB\n"
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700
    message = f"the store '{project.store}' cannot be restored: 'flow' is on"
    assert refused.value.message == message
    other = project.root / "other" / "runs.db"
    assert said("db", "restore", str(backup), "--store", f"sqlite:///{other}") == (
        f"restored '{other}' from '{backup}': 1 run\nrun 1 of flow was on; it is interrupted now\n"
    )
    report = project.report("flow", "--store", f"sqlite:///{other}")
    assert statuses(report) == {"a": "cached", "b": "ok"}
    assert (report["run_id"], report["resumed_from"]) == (2, 1)
    assert project.effects() == ["a", "b", "b"]


def test_numbers_of_lost_runs_do_not_come_back(project: Project, said: Callable[..., str]) -> None:
    """Their logs, reports and idempotency keys are still about."""
    flow()
    does("db", "backup", "saved.db")
    with pytest.raises(UsageError, match=r"saved\.db' is there already"):
        does("db", "backup", "saved.db")
    flow(fresh=True)
    (project.home / "logs" / "flow" / "7").mkdir(parents=True)
    assert said("db", "restore", "saved.db") == (
        f"restored '{project.store}' from '{project.root / 'saved.db'}': 1 run\n"
        f"the store that was there is kept as '{project.store}.before-restore.1'\n"
    )
    assert flow(fresh=True)["run_id"] == 8


def test_prune_lets_go_and_what_is_kept_goes_on(project: Project, said: Callable[..., str]) -> None:
    """A dry run says what would go, the real one does it; a chain goes on afterwards."""
    go = project.root / "go"
    go.touch()
    for number in (1, 2, 1):
        flow(number, fresh=True)
    go.unlink()
    flow()
    flow()
    aged(project, 100, below=6)
    dry = json.loads(said("db", "prune", "--keep-runs", "1", "--dry-run", "--json"))
    assert dry["dry_run"] is True
    (told,) = dry["workflows"]
    assert (told["workflow"], told["runs"], told["rows_kept"]) == ("flow", [1], [2, 3])
    assert (told["rows"], told["stuck"]) == (1 + 2 * 2 + 2 * 2, [])
    assert told["value_bytes"] == 6 * len('"fetched"')
    assert told["file_bytes"] > 1000
    every = ["1", "2", "3", "4", "5"]
    assert left(project) == (every, every)
    assert said("db", "prune", "--keep-runs", "1").startswith(
        "flow: 1 run gone, 2 kept as bare rows (9 rows, 54 B of values, "
    )
    assert left(project) == (["4", "5"], ["4", "5"])
    assert said("db", "prune", "--keep-runs", "1") == "nothing to prune\n"
    go.touch()
    report = flow(resume="5")
    assert notes(report)["fetch"] == "ok in run 4"
    assert statuses(report) == {"fetch": "cached", "use": "ok"}


def test_a_run_prunes_at_its_end(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    said: Callable[..., str],
) -> None:
    """As the settings say; one that makes no sense is a warning, and fails no run."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("ENGINE_KEEP_RUNS", "1")
    for _ in range(3):
        flow(fresh=True)
    aged(project, 8, below=3)
    for days, told in (
        ("", ""),
        ("forever", ""),
        ("0", "old runs were not pruned: ENGINE_KEEP_DAYS is '0'"),
        ("7", "pruned 2 old runs of flow"),
    ):
        caplog.clear()
        monkeypatch.setenv("ENGINE_KEEP_DAYS", days)
        assert flow(fresh=True)["status"] == "failed"
        assert told in caplog.text
        assert ("pruned" in caplog.text) == bool(told)
    assert project.rows("SELECT id FROM runs") == [(3,), (4,), (5,), (6,), (7,)]
    assert left(project) == (["3", "4", "5", "6", "7"], ["3", "4", "5", "6", "7"])
    monkeypatch.setenv("ENGINE_KEEP_DAYS", "forever")
    assert said("db", "prune") == "nothing is pruned: ENGINE_KEEP_DAYS is forever\n"
    most = "9" * 30
    assert said("db", "prune", "--keep-days", most, "--keep-runs", most) == "nothing to prune\n"


def test_logs_that_stay_keep_the_run(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be taken away is said, and the next prune tries again."""
    for _ in range(2):
        flow(fresh=True)
    aged(project, 100, below=2)
    report = project.home / "reports" / "run-1-flow.json"

    def fails(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(run_files, "remove", fails)
        does("db", "prune", "--keep-runs", "1")
    log = project.home / "logs" / "flow" / "1"
    assert capsys.readouterr().err == f"run 1 keeps '{log}': Permission denied\n"
    assert project.rows("SELECT count(*) FROM runs") == [(2,)]
    does("db", "prune", "--keep-runs", "1")
    assert (log.exists(), report.exists()) == (False, False)
    assert project.rows("SELECT count(*) FROM runs") == [(1,)]


def test_a_name_from_the_store_leads_nowhere(tmp_path: Path) -> None:
    """Whatever a store says a workflow is called, nothing outside its own folder is taken away."""
    (tmp_path / "logs" / "flow" / "3").mkdir(parents=True)
    (tmp_path / "outside" / "3").mkdir(parents=True)
    for name in ("../outside", "..", "a/b", "", "flow\n"):
        assert run_files.of_run(tmp_path, name, 3) == []
    assert run_files.of_run(tmp_path, "flow", 3) == [tmp_path / "logs" / "flow" / "3"]


def test_each_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The subcommands of `db` are commands like others; restore wants its FILE."""
    for command in ("upgrade", "backup", "restore", "prune"):
        with pytest.raises(SystemExit):
            options.parse(["db", command, "--help"])
        assert f"db {command} [-h]" in capsys.readouterr().out
    with pytest.raises(UsageError, match="`db restore` needs FILE"):
        options.parse(["db", "restore"])
    with pytest.raises(UsageError, match="'0' is not a whole number above 0"):
        options.parse(["db", "prune", "--keep-days", "0"])


def test_a_backup_by_another_user(project: Project) -> None:
    """Root makes no folder in another's home that its owner could not use; a FILE is root's own."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    project.write("flow", "workflow = Workflow('flow').add(Step('a', does('a')))")
    project.report("flow")
    os.chown(project.store, 65534, 65534)
    refused = project.run("db", "backup")
    assert refused.code == 3
    assert f"error: the store '{project.store}' belongs to user 'nobody'" in refused.err
    assert not (project.home / "backups").exists()
    assert project.run("db", "backup", "saved.db").code == 0
