"""The daily report run for real: as a command, on this machine, as root and as a plain user."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.system.project import without_packages

ROOT = Path(__file__).parents[2]
SOURCES = {"fetch_host", "fetch_packages", "fetch_services", "fetch_journal", "fetch_store"}
OURS = ("SLACK_WEBHOOK_URL", "SMTP_URL", "MAIL_TO", "MAIL_FROM", "http_proxy", "https_proxy")


def run_daily(
    home: Path, *options: str, user: int | None = None, **settings: str
) -> tuple[int, dict[str, Any], str]:
    """Run the workflow; give exit code, the run's report and what was said on standard error."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in OURS and not name.startswith(("ENGINE_", "KAHNBAN_"))
    }
    environment |= {"ENGINE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", **settings}
    done = subprocess.run(
        [sys.executable, "-m", "engine", "run", "daily", "--workers", "4", "--json", *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    try:
        return done.returncode, json.loads(done.stdout), done.stderr
    except ValueError:
        pytest.fail(f"exit code {done.returncode}: {done.stdout[-2000:]}{done.stderr[-4000:]}")


def check_whole(home: Path, report: dict[str, Any]) -> str:
    """Hold a run and its files against what every run must give; give the digest."""
    steps = {step["name"]: step for step in report["steps"]}
    assert set(steps) == {*SOURCES, "transform", "report", "backup", "deliver"}
    for name, step in steps.items():
        assert step["status"] == "ok" or (name in SOURCES and step["status"] == "skipped"), step
        if step["status"] == "skipped":
            assert step["note"]
    (text,) = (home / "outbox").glob("daily-*.txt")
    (archive,) = (home / "backups").glob("daily-*.tar.gz")
    digest = text.read_text("utf-8")
    html = text.with_suffix(".html").read_text("utf-8")
    for name, step in steps.items():
        if step["status"] == "skipped":
            assert step["note"] in digest, name
    assert html.startswith("<!DOCTYPE html>")
    assert str(archive) in digest
    said = archive.with_name(archive.name + ".sha256").read_text()
    assert said == f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n"
    assert archive.stat().st_mode & 0o077 == 0
    reports = home / "reports"
    assert {one.suffix for one in reports.glob("daily-*")} == {".html", ".txt", ".json"}
    assert not list(home.rglob("*.tmp"))
    assert not list(home.rglob(".daily-scratch*"))
    return digest


def test_the_report_of_this_machine_and_another(tmp_path: Path) -> None:
    """Every step is ok or skipped with a reason; the archived store opens and holds the run.

    A second run sees the first one in the store, and leaves one file of each kind.
    """
    home = tmp_path / "home"
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("hello")
    code, report, said = run_daily(home, "--set", f"backup_paths={tmp_path}")
    assert code == 0, said
    check_whole(home, report)
    assert "`var/outbox/daily-DATE.html`" in (ROOT / "README.md").read_text("utf-8")
    assert len(list((home / "outbox").glob("daily-????-??-??.html"))) == 1
    (archive,) = (home / "backups").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        tar.extract("store/runs.db", tmp_path, filter="data")
    assert f"files{tmp_path}/notes/a.txt" in names
    assert not [name for name in names if name.startswith(f"files{home}/runs.db")]
    copy = sqlite3.connect(tmp_path / "store" / "runs.db")
    assert copy.execute("SELECT workflow FROM runs").fetchall() == [("daily",)]
    copy.close()
    options = ("--set", f"backup_paths={tmp_path / 'notes'}")
    code, report, said = run_daily(home, *options, PATH=without_packages(tmp_path))
    assert code == 0, said
    digest = check_whole(home, report)
    assert [line.split() for line in digest.splitlines() if line.startswith("runs ")] == [
        ["runs", "1"]
    ]


def test_a_path_that_is_not_there_fails_the_backup_alone(tmp_path: Path) -> None:
    """The report is written all the same; nothing is delivered as if all were well."""
    home = tmp_path / "home"
    options = ("--set", "backup_paths=/no/such/folder")
    code, report, _ = run_daily(home, *options, PATH=without_packages(tmp_path))
    steps = {step["name"]: step for step in report["steps"]}
    assert code == 1
    assert (steps["backup"]["status"], steps["backup"]["attempts"]) == ("failed", 1)
    assert "'/no/such/folder' cannot be saved" in steps["backup"]["error"]
    assert steps["report"]["status"] == "ok"
    assert steps["deliver"]["status"] == "skipped"
    assert not (home / "outbox").exists()


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve a webhook on this machine; give its address and what is posted to it."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            posted.append(json.loads(self.rfile.read(size)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/services/T0/B0/s3cr3tt0ken", posted
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_digest_goes_to_slack_where_it_is_configured(
    tmp_path: Path, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    """The day's headline is posted once, and the address is nowhere in the home."""
    url, posted = webhook
    home = tmp_path / "home"
    code, report, said = run_daily(home, SLACK_WEBHOOK_URL=url, PATH=without_packages(tmp_path))
    assert code == 0, said
    headline = check_whole(home, report).partition("\n")[0]
    texts = [one["text"] for one in posted]
    assert [text for text in texts if not text.startswith("daily ")] == [headline]
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"s3cr3tt0ken" not in kept


def reachable(user: int) -> bool:
    """Tell whether a user can run this Python with the engine in this checkout."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import engine.model, sqlalchemy, psutil"],
            cwd=ROOT,
            user=user,
            group=user,
            extra_groups=[],
            capture_output=True,
            check=False,
        )
    except PermissionError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a plain user")
def test_a_plain_user_gets_a_report_too() -> None:
    """Without rights, sources are skipped with the reason; the rest is whole."""
    nobody = pwd.getpwnam("nobody").pw_uid
    if not reachable(nobody):
        pytest.skip("a plain user cannot reach this checkout or its Python")
    home = Path(tempfile.mkdtemp(prefix="kahnban-daily-"))
    try:
        os.chown(home, nobody, nobody)
        code, report, said = run_daily(home / "var", user=nobody, HOME=str(home))
        assert code == 0, said
        check_whole(home / "var", report)
    finally:
        shutil.rmtree(home)
