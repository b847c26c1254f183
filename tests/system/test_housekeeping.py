"""`pipelines/housekeeping.yaml` run for real on this machine, as a command."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine import Step, Workflow
from pipelines._housekeeping.certificates import read
from tests.system.project import statuses

ROOT = Path(__file__).parents[2]
LOOKS = {"disks", "large_files", "logins", "find_certificates", "certificates"}
ALWAYS_OK = {"prune", "disks", "large_files", "find_certificates", "report"}


def call(
    home: Path, *words: str, user: int | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Call the program in this checkout, without the tester's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ENGINE_", "KAHNBAN_"))}
    return subprocess.run(
        [sys.executable, "-m", "engine", "--home", str(home), *words],
        cwd=ROOT,
        env=kept | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def run(home: Path, *words: str, user: int | None = None, **settings: str) -> dict[str, Any]:
    """Run the workflow; it ends well, and every look is done or skipped with a reason."""
    done = call(home, "run", "housekeeping", "--json", *words, user=user, **settings)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    for step in report["steps"]:
        skipped = step["status"] == "skipped" and step["note"]
        assert step["status"] == "ok" or (step["name"] not in ALWAYS_OK and skipped), step
    return report


def told(home: Path) -> tuple[str, dict[str, Any]]:
    """Give the one report, as text and as JSON."""
    (text,) = (home / "reports").glob("housekeeping-*.txt")
    return text.read_text("utf-8"), json.loads(text.with_suffix(".json").read_text("utf-8"))


def test_check_and_dry_run_change_nothing(tmp_path: Path) -> None:
    """The definition is sound, and a dry run names every step without a home being made."""
    home = tmp_path / "home"
    checked = call(home, "check", "housekeeping")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("housekeeping: ok, 8 steps")
    dry = call(home, "run", "housekeeping", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    for name in (*LOOKS, "prune", "report", "tell"):
        assert name in dry.stdout
    assert not home.exists()


def old_runs(home: Path) -> None:
    """Have three runs of a workflow in the store that were long ago, and a backup."""
    url = f"sqlite:///{home}/runs.db"
    workflow = Workflow("old").add(Step("say", lambda ctx: ctx.log.info("old")))
    for _ in range(3):
        assert workflow.run(store=url, fresh=True)["status"] == "ok"
    connection = sqlite3.connect(home / "runs.db")
    long_us = 400 * 86_400 * 1_000_000
    sql = "UPDATE run_rows SET started_at = started_at - ?, finished_at = finished_at - ?"
    connection.execute(sql, (long_us, long_us))
    connection.commit()
    connection.close()
    (home / "backups").mkdir()
    (home / "backups" / "runs-20200101-000000.db").write_text("a backup")


def test_it_runs_twice_and_prunes_what_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old runs go with their logs while the run is on, which stays; so do backups.

    Large files are found under the folders that are named, the engine's own left out.
    """
    home = tmp_path / "home"
    monkeypatch.setenv("ENGINE_HOME", str(home))
    home.mkdir()
    old_runs(home)
    assert len(list(home.glob("logs/old/*"))) == 3
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.iso").write_bytes(os.urandom(3_000_000))
    words = ("--set", f"roots={tmp_path}", "--set", "large_mb=2", "--set", "walk_s=20")
    report = run(home, *words, ENGINE_KEEP_RUNS="1")
    text, kept = told(home)
    (pruned,) = kept["pruned"]["workflows"]
    assert (pruned["workflow"], pruned["runs"], pruned["rows_kept"]) == ("old", [1, 2], [])
    assert "\nold: 2 runs let go, " in text
    assert [path.name for path in home.glob("logs/old/*")] == ["3"]
    assert (home / "backups" / "runs-20200101-000000.db").read_text() == "a backup"
    assert [one["path"] for one in kept["large_files"]["files"]] == [f"{tmp_path}/files/a.iso"]
    assert "\nNOTICE  1 large new file\n" in text
    assert kept["disks"]["disks"]
    for step in report["steps"]:
        if step["status"] == "skipped" and step["name"] != "tell":
            assert step["note"] in text
    again = run(home, *words)
    assert again["run_id"] == report["run_id"] + 1
    assert set(statuses(again)) == {*LOOKS, "prune", "report", "tell"}
    assert "\nnone was due to go\n" in told(home)[0]


def test_a_look_that_fails_keeps_no_other_back(tmp_path: Path) -> None:
    """The run fails, and the report is there and names what was not looked at, and why."""
    home = tmp_path / "home"
    done = call(home, "run", "housekeeping", "--json", "--set", "roots=/no/such")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert statuses(report)["large_files"] == "failed"
    assert statuses(report)["report"] == "ok"
    said = "large new files: ValueError: '/no/such' is not a folder"
    assert said in told(home)[0]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_openssl_really_reads_certificates(tmp_path: Path) -> None:
    """Alone, behind its key, or not at all: a key is no certificate."""
    now = datetime.now(UTC)
    for days in (5, 40):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                *("ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/O=A, B/CN=d{days}.example"),
                *("-days", str(days), "-keyout", f"{days}.key", "-out", f"{days}.pem"),
            ],
            cwd=tmp_path,
            capture_output=True,
            check=True,
        )
    key, alone = tmp_path / "5.key", tmp_path / "40.pem"
    both = tmp_path / "both.pem"
    both.write_text(key.read_text() + (tmp_path / "5.pem").read_text())
    known = read([str(alone), str(both), str(key)], now)
    assert [(one["path"], one["subject"]) for one in known["certificates"]] == [
        (str(both), "d5.example"),
        (str(alone), "d40.example"),
    ]
    assert [round(one["days_left"]) for one in known["certificates"]] == [5, 40]
    assert known["unread"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a plain user")
def test_a_plain_user_gets_a_report_too() -> None:
    """What a user may not see is named, never taken for nothing."""
    nobody = pwd.getpwnam("nobody").pw_uid
    home = Path(tempfile.mkdtemp(prefix="kahnban-housekeeping-"))
    try:
        os.chown(home, nobody, nobody)
        try:
            reached = call(home, "check", "housekeeping", user=nobody).returncode == 0
        except PermissionError:
            reached = False
        if not reached:
            pytest.skip("a plain user cannot reach this checkout or its Python")
        run(home / "var", "--set", "walk_s=1", user=nobody, HOME=str(home))
        assert told(home / "var")[1]["disks"]["disks"]
    finally:
        shutil.rmtree(home)
