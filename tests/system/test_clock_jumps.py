"""The wall clock is set in mid-run: durations, limits and order are those of time that passed."""

from __future__ import annotations

import shutil
from datetime import datetime

import pytest

from tests.system.project import Project, statuses

FLOW = """
real = time.time

def jump(seconds):
    def body(ctx):
        effect("jump")
        time.sleep(0.1)
        time.time = lambda: real() + seconds
        return "jumped"
    return body

workflow = (
    Workflow("flow")
    .add(Step("jump", jump(SECONDS)))
    .add(Step("after", does("after", 0.1), depends_on=["jump"], timeout="30s"))
    .add(Step("retried", RETRIED, depends_on=["after"], retries=1, backoff=0.05))
)
"""
RETRIED = "lambda ctx: None if times('retried') else (effect('retried'), broken(ctx))"


def moments(report: dict[str, object]) -> list[datetime]:
    """Give the starts and ends of all steps, in the order in which they came."""
    steps = report["steps"]
    assert isinstance(steps, list)
    return [datetime.fromisoformat(step[key]) for step in steps for key in ("started", "finished")]


@pytest.mark.parametrize("seconds", [-3600, 86_400], ids=["an hour back", "a day on"])
def test_a_clock_set_in_mid_run_changes_nothing(project: Project, seconds: int) -> None:
    """No negative duration, no limit or retry struck early or late, no attempt lost or doubled."""
    project.write("flow", FLOW.replace("SECONDS", str(seconds)).replace("RETRIED", RETRIED))
    report = project.report("flow")
    assert statuses(report) == {"jump": "ok", "after": "ok", "retried": "ok"}
    assert [step["attempts"] for step in report["steps"]] == [1, 1, 2]
    assert moments(report) == sorted(moments(report))
    assert all(0.0 <= step["duration_s"] < 20.0 for step in report["steps"])
    assert 0.0 < report["duration_s"] < 60.0
    rows = project.rows("SELECT seq FROM events ORDER BY seq")
    assert [seq for (seq,) in rows] == list(range(1, len(rows) + 1))


def test_a_machine_whose_clock_is_elsewhere(project: Project) -> None:
    """A whole command under another date records that date, and durations all the same."""
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not on this machine")
    project.chain()
    (project.root / "go").touch()
    result = project.run("run", "flow", "--json", LD_PRELOAD="libfaketime.so.1", FAKETIME="+400d")
    assert result.code == 0
    assert all(0.0 <= step["duration_s"] < 20.0 for step in result.report["steps"])
