"""Clocks that are set, days that are short or long, and years far away."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.model import Definition
from engine.schedule.firings import firings, zone_of
from engine.schedule.reading import schedule_of
from engine.schedule.unit_parts import Installation
from engine.schedule.units import units
from tests.system.project import Project, statuses

JUMPS = """
def jumps(ctx):
    real = time.time
    time.time = lambda: real() + SECONDS
    effect("jumped")
    time.sleep(0.2)

def loops(ctx):
    while True:
        pass

def again(ctx):
    if ctx.attempt == 1:
        raise ValueError("once")

workflow = (
    Workflow("flow")
    .add(Step("jumps", jumps))
    .add(Step("slow", does("slow", 0.2), ["jumps"], timeout=20))
    .add(Step("loops", loops, ["jumps"], retries=0, timeout=0.3))
    .add(Step("again", again, ["jumps"], retries=1, backoff=0))
    .add(Step("last", does("last"), ["slow", "again"]))
)
"""


@pytest.mark.parametrize("seconds", [-3_600, 86_400])
def test_a_clock_that_is_set_in_mid_run(project: Project, seconds: int) -> None:
    """Durations, limits, retries and order are those of the time that has passed."""
    project.write("flow", JUMPS.replace("SECONDS", str(seconds)))
    report = project.report("flow", code=1)
    assert statuses(report) == {
        **dict.fromkeys(["jumps", "slow", "again", "last"], "ok"),
        "loops": "failed",
    }
    took = {step["name"]: step["duration_s"] for step in report["steps"]}
    assert all(0 <= duration_s < 5 for duration_s in took.values()), took
    assert min(took["jumps"], took["slow"]) >= 0.2
    assert took["loops"] >= 0.3
    assert 0 < report["duration_s"] < 15
    rows = project.rows("SELECT step, started_at, finished_at FROM attempts ORDER BY finished_at")
    assert all(started <= finished for _, started, finished in rows)
    assert rows[0][0] == "jumps"
    assert [step for step, _, _ in rows if step in ("slow", "last")] == ["slow", "last"]
    assert project.rows("SELECT count(*) FROM attempts WHERE step = 'again'") == [(2,)]


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)
@pytest.mark.parametrize("schedule", ["02:30", "01:30", "*:30", "*:0/20", "00/2:00", "30 2 1 * 0"])
@pytest.mark.parametrize(
    ("zone", "after"),
    [
        ("Europe/Berlin", "2026-03-28 22:00"),
        ("Europe/Berlin", "2026-10-24 21:00"),
        ("America/Chicago", "2026-03-08 05:00"),
        ("America/Chicago", "2026-11-01 04:00"),
    ],
)
def test_days_of_23_and_25_hours(schedule: str, zone: str, after: str) -> None:
    """The timer's own lines, asked of systemd, wake us at every slot of such days."""
    definition = Definition("daily", (), schedule=schedule, tz=zone)
    here = Path("/srv")
    where: Installation = {
        "command": ["/bin/kahnban"],
        "root": here,
        "home": here / "var",
        "store_url": None,
        "user": None,
        "system": False,
    }
    timer = units(definition, **where)["kahnban-daily.timer"]
    calendars = re.findall("^OnCalendar=(.*)$", timer, re.MULTILINE)
    said = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=25", f"--base-time={after} UTC", *calendars],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C"},
    ).stdout
    woken = set(re.findall(r"(?:elapse|Iter\. #\d+): \w+ ([-0-9]+ [:0-9]+) UTC", said))
    begin = datetime.fromisoformat(after).replace(tzinfo=UTC)
    read = schedule_of(definition)
    slots = [*firings(read, zone_of(read), begin, begin + timedelta(hours=7))]
    assert slots
    assert {f"{slot:%F %T}" for slot in slots} <= woken


FAR = """
workflow = Workflow("flow", tz="Pacific/Kiritimati", params={"day": Param(date, "today")})
workflow.add(Step("a", lambda ctx: print(ctx.params["day"])))
"""


def test_a_runs_zone_outlives_its_file(project: Project) -> None:
    """The console, both logs and later looks tell its times in it; `today` is its day there."""
    path = project.write("flow", FAR)
    done = project.run("run", "flow", TZ="America/Chicago")
    assert done.code == 0, done.err
    path.unlink()
    assert re.search(r"^\d\d:\d\d:\d\d \+14 INFO    run 1 of flow ok$", done.err, re.MULTILINE)
    kept = (project.home / "logs" / "flow.log").read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+14:00 INFO    run 1 of flow ok", kept[-2])
    ((zone, started),) = project.rows("SELECT zone, started_at FROM runs")
    began = datetime.fromisoformat(started) + timedelta(hours=14)
    assert zone == "Pacific/Kiritimati"
    printed = (project.home / "logs" / "flow" / "1" / "a.1.log").read_text()
    assert re.fullmatch(rf"\d\d:\d\d:\d\d\+14:00 out     {began:%F}\n", printed)
    shown = project.run("show", "1", TZ="America/Chicago").out
    assert re.search(rf"^  started    \w+ {began:%H:%M} Pacific/Kiritimati$", shown, re.MULTILINE)
