"""Clocks that are set, days that are short or long, and years far away."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from engine.model import Definition
from engine.schedule.calendar import on_calendar
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
@pytest.mark.parametrize(
    ("at", "zone", "after", "starts"),
    [
        # the hour that is left out: no start that day
        ("02:30", "Europe/Berlin", "2026-03-27 12:00", ["03-28 01:30", "03-30 00:30"]),
        ("02:30", "America/Chicago", "2026-03-07 00:00", ["03-07 08:30", "03-09 07:30"]),
        # the hour that comes twice: one start
        ("02:30", "Europe/Berlin", "2026-10-24 12:00", ["10-25 00:30", "10-26 01:30"]),
        ("01:30", "America/Chicago", "2026-10-31 12:00", ["11-01 06:30", "11-02 07:30"]),
        # outside of both, and in UTC: one start a day
        ("08:00", "Europe/Berlin", "2026-03-28 12:00", ["03-29 06:00", "03-30 06:00"]),
        ("02:30", "UTC", "2026-03-28 12:00", ["03-29 02:30", "03-30 02:30"]),
    ],
)
def test_days_of_23_and_25_hours(at: str, zone: str, after: str, starts: list[str]) -> None:
    """The timer's own calendar, asked of systemd: what docs/schedule.md says of such days."""
    calendar = on_calendar(Definition("daily", (), schedule=f"*-*-* {at}:00", timezone=zone))
    said = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=2", f"--base-time={after} UTC", calendar],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C"},
    ).stdout
    found = re.findall(r"(?:Next elapse|Iter\. #2): \w+ \d{4}-(\d\d-\d\d \d\d:\d\d):00 UTC", said)
    assert found == starts
