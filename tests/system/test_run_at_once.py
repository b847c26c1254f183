"""Two runs at once, and runs from a timer."""

from __future__ import annotations

import re
import shutil
import time

from tests.system.project import Project, statuses

WAITS = """
workflow = Workflow("flow").add(Step("a", does("a", 20.0)))
"""
PARAMS = """
workflow = Workflow("flow", params={"date": Param(date, default="today"), "count": Param(int)}).add(
    Step("a", lambda ctx: effect(f"{ctx.params['date']}/{ctx.params['count']}"))
)
"""


def test_second_run_is_75_and_a_timers_is_skipped(project: Project) -> None:
    """While a run is on, one by hand ends with 75 and names it; a timer's is recorded, exit 0."""
    project.write("flow", WAITS)
    begun = time.monotonic()
    first = project.start("run", "flow")
    project.wait_for_effect("a")
    try:
        second = project.run("run", "flow")
        assert second.code == 75
        assert re.match(r"error: run 1 of 'flow' is on since \d{4}-", second.error)
        assert "hint: look at it with `python -m engine show 1`" in second.error
        timed = project.run("run", "flow", "--scheduled", "--json")
        assert timed.code == 0
        assert timed.report["status"] == "skipped"
        assert timed.report["note"].startswith("run 1 of 'flow' is on since ")
        assert "skipped: run 1 of 'flow' is on since " in timed.err
    finally:
        first.kill()
        project.end(first, begun)
    assert project.rows("SELECT id, status FROM runs ORDER BY id")[1] == (2, "skipped")
    assert project.effects() == ["a"]


def test_overlap_by_parameters(project: Project) -> None:
    """With overlap="params" a run with other parameters may run beside; an equal one may not."""
    project.write(
        "flow",
        """
workflow = Workflow("flow", params={"n": 1}, overlap="params").add(
    Step("a", lambda ctx: (effect(f"n{ctx.params['n']}"), time.sleep(20 * (ctx.params["n"] == 1))))
)
""",
    )
    first = project.start("run", "flow")
    project.wait_for_effect("n1")
    try:
        assert project.run("run", "flow", "-q", "--set", "n=2").code == 0
        assert project.run("run", "flow", "-q").code == 75
        assert project.run("run", "flow", "-q", "--resume", "1").code == 75
    finally:
        first.kill()
        project.end(first, time.monotonic())


def test_scheduled_records_what_cannot_begin(project: Project) -> None:
    """From a timer a broken definition or parameter is a failed run, so that somebody sees it."""
    project.write("flow", "raise RuntimeError('torn')")
    assert project.run("run", "flow", "--scheduled").code == 2
    project.write("flow", PARAMS)
    assert project.run("run", "flow", "--scheduled", "--set", "count=many").code == 2
    first, second = project.rows("SELECT status, note FROM runs ORDER BY id")
    assert first[0] == second[0] == "failed"
    assert "RuntimeError: torn" in first[1]
    assert "is 'many', not a whole number" in second[1]
    result = project.run("run", "flow", "--resume", "1")
    assert result.code == 2
    assert result.error == (
        "error: run 1 began no step; there is nothing to go on from\n"
        "hint: start anew: `python -m engine run flow`\n"
    )


def test_scheduled_starts_anew_and_names_the_unfinished(project: Project) -> None:
    """From a timer a run never continues; it names the one left unfinished and its command."""
    project.chain()
    assert project.run("run", "flow", "-q").code == 1
    (project.root / "go").touch()
    result = project.run("run", "flow", "--scheduled", "--json")
    assert result.code == 0
    assert set(statuses(result.report).values()) == {"ok"}
    assert result.report["resumed_from"] is None
    assert "run 1 did not end well; to go on from it: " in result.err
    assert "run flow --resume 1" in result.err


def test_locks_removed_under_a_run(project: Project) -> None:
    """Somebody takes a lock for stale: the run is on all the same, shown so and not run beside."""
    project.write(
        "flow",
        """
def waits(ctx):
    effect("a")
    while not Path("go").exists():
        time.sleep(0.01)

workflow = Workflow("flow").add(Step("a", waits)).add(Step("b", does("b"), depends_on=["a"]))
""",
    )
    project.write("other", "workflow = Workflow('other').add(Step('c', does('c')))")
    begun = time.monotonic()
    first = project.start("run", "flow", "--json")
    project.wait_for_effect("a")
    shutil.rmtree(project.home / "runs.db.locks")
    for _ in range(2):
        second = project.run("run", "flow")
        assert second.code == 75, second.err
        assert "error: run 1 of 'flow' is on since " in second.error
    assert project.report("other")["status"] == "ok"
    assert "running" in project.run("history", "flow").out
    (project.root / "go").touch()
    ended = project.end(first, begun)
    assert ended.code == 0, ended.err
    assert project.effects() == ["a", "c", "b"]
    assert project.report("flow")["note"] == ""
