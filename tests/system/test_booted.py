"""Timers under a real systemd: booted in a container from this machine's own /usr."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.schedule.hardening import WORDS
from tests.system.project import CHECKOUT, Project

FLOW = """
import pathlib

def body(ctx):
    print("slot", ctx.slot.isoformat())
    if pathlib.Path("die").exists():
        pathlib.Path("die").unlink()
        os.kill(os.getpid(), signal.SIGKILL)

workflow = Workflow("NAME", schedule="SCHEDULE", alert_on="failure", hardening="HARD")
workflow.add(Step("a", body))
"""
WEBHOOK = """
import http.server

class Slack(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("posts", "ab") as file:
            file.write(body + b"\\n")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

http.server.HTTPServer(("127.0.0.1", 8099), Slack).serve_forever()
"""
TIMER, SERVICE = "kahnban-flow.timer", "kahnban-flow.service"
NIGHT = "nächt.1"  # a name that systemd cannot have as it is
NIGHTS = "kahnban-n\\xc3\\xa4cht.1.timer"
STAMP = f"/var/lib/systemd/timers/stamp-{NIGHTS}"
ROOT = "/srv/50% 'ü'"  # where the container has the project

# All that there is; but a checkout in a folder for temporary files must stay in sight.
HIDDEN = "private-tmp" if {"tmp"} & set(CHECKOUT.parts[1:3]) else ""
HARD = " ".join(word for word in WORDS if word != HIDDEN)


class Booted:
    """A container with a systemd of its own, and the project in it."""

    def __init__(self, project: Project, init: int) -> None:
        """Speak to the container whose first process is `init`."""
        self.project = project
        self.init = init

    def call(self, *words: str, code: int | None = 0) -> str:
        """Run a command in the container, in the project; gives what it prints."""
        inside = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TZ=UTC"]
        shell = ["sh", "-c", f'cd "{ROOT}" && exec "$@"', "sh", *words]
        done = subprocess.run(
            ["nsenter", "-t", str(self.init), "-a", *inside, *shell],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def engine(self, *words: str, code: int = 0) -> str:
        """Run a command of the engine in the container."""
        return self.call(sys.executable, "-m", "engine", *words, code=code)

    def until(self, true: Callable[[], Any], what: str) -> Any:
        """Wait until something is there, and give it; else show the journal."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if found := true():
                return found
            time.sleep(0.1)
        journal = self.call("journalctl", "-n", "40", "--no-pager", code=None)
        pytest.fail(f"did not come within 30 s: {what}\n{journal}")

    def rows(self, sql: str) -> list[Any]:
        """Ask the store."""
        return self.project.rows(sql) if self.project.store.exists() else []


@pytest.fixture
def booted(project: Project) -> Iterator[Booted]:
    """Boot systemd with the project in it; power it off at the end."""
    if os.geteuid() != 0 or not (shutil.which("systemd-nspawn") and shutil.which("nsenter")):
        pytest.skip("systemd-nspawn needs root and the package systemd-container")
    binds = [f"--bind={project.root}:{ROOT}"]
    folders = dict.fromkeys((str(CHECKOUT), sys.prefix, sys.base_prefix))
    binds += [f"--bind-ro={folder}" for folder in folders if not folder.startswith("/usr")]
    masked = ("systemd-firstboot", "systemd-networkd-wait-online")  # ask, and wait for ever
    kernel = ["systemd.unit=basic.target", *(f"systemd.mask={each}.service" for each in masked)]
    where = ["--volatile=yes", "-D", "/", "--private-network", "--register=no", "--keep-unit"]
    nspawn = subprocess.Popen(
        ["systemd-nspawn", *where, "--console=pipe", *binds, "--boot", *kernel],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        machine = Booted(project, 0)
        children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
        first = machine.until(lambda: children.read_text().split(), "the first process")
        machine.init = int(first[-1])
        state = ["systemctl", "is-system-running"]
        machine.until(lambda: "running" in machine.call(*state, code=None).split(), "the boot")
        yield machine
        os.kill(machine.init, signal.SIGRTMIN + 4)
        nspawn.wait(timeout=20)
    finally:
        if nspawn.poll() is None:
            nspawn.terminate()
            nspawn.wait(timeout=20)


@pytest.mark.slow
def test_timers_under_a_real_systemd(booted: Booted) -> None:
    """Installed, fired, paused, killed and told once, made up for after a stale stamp, removed."""
    project = booted.project
    write(project, "flow", "*:*:0/2")
    write(project, NIGHT, "00:00")
    project.home.mkdir(mode=0o700)
    (project.home / "env").write_text("SLACK_WEBHOOK_URL=http://127.0.0.1:8099/\n")
    (project.home / "env").chmod(0o600)
    (project.root / "webhook.py").write_text(WEBHOOK)
    slack = ["systemd-run", "--unit=slack", f"--working-directory={ROOT}", sys.executable]
    booted.call(*slack, "webhook.py")

    assert f"installed and started: /etc/systemd/system/{TIMER}\nnext: " in booted.engine(
        "schedule", "install", "flow"
    )
    fires(booted)
    pauses(booted)
    dies(booted)
    assert "'flow' are right\n" in booted.engine("schedule", "verify")
    write(project, "flow", "*:*:0/3")
    assert "\n+OnCalendar=*:*:0/3\n" in booted.engine("schedule", "verify", code=1)
    assert "changed and started: " in booted.engine("schedule", "install")
    makes_up(booted)
    watches(booted)
    booted.call("systemctl", "disable", "--now", TIMER)
    told = f"'{TIMER}' is not enabled, or not started: `schedule install` does both\n"
    assert told in booted.engine("schedule", "verify", "flow", code=1)
    assert booted.engine("schedule", "remove").count("stopped and removed: ") == 3
    assert "kahnban" not in booted.call("systemctl", "list-timers", "--all")
    assert booted.call("find", "/etc/systemd/system", "-name", "kahnban*") == ""


def write(project: Project, name: str, schedule: str) -> None:
    """Write a workflow with a schedule."""
    hard = HARD if name == NIGHT else ""
    text = FLOW.replace("NAME", name).replace("SCHEDULE", schedule).replace("HARD", hard)
    project.write(name, text)


def fires(booted: Booted) -> None:
    """The timer's run has its slot, and its lines in the journal are the workflow's."""
    sql = "SELECT started_by, slot FROM runs WHERE workflow = 'flow' AND status = 'ok'"
    by, slot = booted.until(lambda: booted.rows(sql), "a run from the timer")[0]
    assert by == "timer"
    assert slot.endswith(".000Z")
    journal = booted.call("journalctl", "-u", SERVICE, "-o", "json", "--no-pager")
    lines = [json.loads(line) for line in journal.splitlines()]
    own = [line for line in lines if line.get("SYSLOG_IDENTIFIER") == "kahnban-flow"]
    assert any("slot 20" in line["MESSAGE"] for line in own)
    assert {line["_SYSTEMD_UNIT"] for line in own} == {SERVICE}


def pauses(booted: Booted) -> None:
    """While it is paused the timer fires, and no run comes of it."""
    booted.engine("schedule", "pause", "flow", "--reason", "stocktaking")
    sql = "SELECT run_id FROM slots WHERE reason = 'paused by root: stocktaking'"
    assert booted.until(lambda: booted.rows(sql), "a slot passed over")[0] == (None,)
    booted.engine("schedule", "unpause", "flow")


def dies(booted: Booted) -> None:
    """An engine that is killed is told of by the unit of OnFailure=, once."""
    posts = booted.project.root / "posts"
    (booted.project.root / "die").touch()
    booted.until(posts.exists, "the alert")
    dead = "SELECT id FROM runs WHERE status = 'interrupted'"
    ((number,),) = booted.rows(dead)
    later = f"SELECT 1 FROM runs WHERE status = 'ok' AND id > {number} + 1"
    booted.until(lambda: booted.rows(later), "runs after that")
    told = [json.loads(line)["text"] for line in posts.read_text().splitlines()]
    assert [text for text in told if "its engine died" in text] == told[:1]
    sent = f"SELECT count(*) FROM alerts WHERE run_id = {number} AND status = 'sent'"
    assert booted.rows(sent) == [(1,)]
    journal = booted.call("journalctl", "-u", "kahnban.alerts-flow", "--no-pager")
    assert "kahnban: send the alerts flow left" in journal


def makes_up(booted: Booted) -> None:
    """A machine that was off for two days: the newest slot is run, the other passed over."""
    booted.engine("schedule", "install", NIGHT)
    booted.call("systemctl", "stop", NIGHTS)
    with sqlite3.connect(booted.project.store, timeout=20) as store:
        store.execute(
            "UPDATE schedule_rows SET noted_at = noted_at - 2 * 86400000000"
            f" WHERE workflow = '{NIGHT}'"
        )
    store.close()
    booted.call("touch", "--date=2 days ago", STAMP)
    booted.call("systemctl", "start", NIGHTS)
    sql = f"SELECT slot FROM runs WHERE workflow = '{NIGHT}' AND status = 'ok'"
    ((slot,),) = booted.until(lambda: booted.rows(sql), "the run made up for")
    assert slot == f"{time.strftime('%F', time.gmtime())}T00:00:00.000Z"
    passed = booted.rows(f"SELECT run_id FROM slots WHERE workflow = '{NIGHT}' ORDER BY slot")
    assert [run is None for (run,) in passed] == [True, False]


def watches(booted: Booted) -> None:
    """The watch has a timer that is right, and does its work whatever it finds."""
    told = booted.engine("schedule", "install", "--watch")
    timer = told.rpartition("/")[2].strip()
    assert timer in booted.call("systemctl", "list-timers")
    booted.engine("schedule", "verify", "--watch")
    booted.call("systemctl", "start", timer.replace(".timer", ".service"))
    assert booted.call("journalctl", "-t", "kahnban.watch", "-o", "cat", "--no-pager")
