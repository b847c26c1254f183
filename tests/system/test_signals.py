"""Ctrl-C and SIGTERM: what runs is given a grace, all is recorded, the codes are right."""

from __future__ import annotations

import signal
import time

import pytest

from tests.system.project import Project

WORKFLOW = '''
def stubborn(ctx):
    effect("stubborn")
    while True:
        time.sleep(0.05)

command = """
trap 'echo term >> effects.txt; exit 1' TERM
echo shell >> effects.txt
while :; do sleep 0.05; done
"""
workflow = (
    Workflow("flow")
    .add(Step("short", does("short", 0.5)))
    .add(Step("forever", stubborn))
    .add(Step("shell", shell(command)))
    .add(Step("after", does("after"), depends_on=["short"]))
)
'''


def steps(project: Project) -> dict[str, tuple[str, str]]:
    """Status and note by step."""
    rows = project.rows("SELECT step, status, note FROM step_runs ORDER BY position")
    return {name: (status, note) for name, status, note in rows}


def test_ctrl_c(project: Project) -> None:
    """No new steps; a running function may end within the grace, a command gets TERM at once."""
    project.write("flow", WORKFLOW)
    process = project.start("run", "flow")
    for text in ("short", "stubborn", "shell"):
        project.wait_for_effect(text)
    result = project.stopped(process, signal.SIGINT)
    assert result.code == 130
    assert 4.5 < result.seconds < 7  # the grace, since one step would not end by itself
    assert steps(project) == {
        "short": ("ok", ""),
        "forever": ("interrupted", "stopped by SIGINT"),
        "shell": ("interrupted", "stopped by SIGINT"),
        "after": ("cancelled", "not started"),
    }
    assert "term" in project.effects()
    assert project.rows("SELECT status, note FROM runs") == [("interrupted", "stopped by SIGINT")]
    outcomes = dict(project.rows("SELECT step, outcome FROM attempts"))
    assert outcomes == {"short": "ok", "forever": "interrupted", "shell": "interrupted"}
    assert "run flow --resume 1" in result.out
    told = "stopping: what runs has 5s to end; Ctrl-C again ends it at once"
    assert result.err.count(told) == 1


def test_sigterm(project: Project) -> None:
    """SIGTERM does the same, with 143; the run ends as soon as its steps have."""
    project.write("flow", WORKFLOW.replace("while True:", "for _ in range(6):"))
    process = project.start("run", "flow")
    for text in ("short", "stubborn", "shell"):
        project.wait_for_effect(text)
    result = project.stopped(process, signal.SIGTERM)
    assert result.code == 143
    assert result.seconds < 2
    assert steps(project) == {
        "short": ("ok", ""),
        "forever": ("ok", ""),
        "shell": ("interrupted", "stopped by SIGTERM"),
        "after": ("cancelled", "not started"),
    }
    assert project.rows("SELECT status, note FROM runs") == [("interrupted", "stopped by SIGTERM")]


def test_second_signal_ends_at_once(project: Project) -> None:
    """The second Ctrl-C waits for nothing, and still everything is recorded."""
    project.write("flow", WORKFLOW)
    process = project.start("run", "flow")
    for text in ("short", "stubborn", "shell"):
        project.wait_for_effect(text)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    result = project.stopped(process, signal.SIGINT)
    assert result.code == 130
    assert result.seconds < 1.5
    found = steps(project)
    assert {name: status for name, (status, _) in found.items()} == {
        "short": "interrupted",
        "forever": "interrupted",
        "shell": "interrupted",
        "after": "cancelled",
    }
    assert project.rows("SELECT status FROM runs") == [("interrupted",)]
    assert project.rows("SELECT count(*) FROM attempts WHERE outcome IS NULL") == [(0,)]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_signal_while_the_file_is_loaded(
    project: Project, number: signal.Signals, code: int
) -> None:
    """A signal before the run has begun ends with the right code, one line, and no run."""
    project.write("flow", 'effect("loading")\ntime.sleep(20)\nworkflow = None')
    process = project.start("run", "flow")
    project.wait_for_effect("loading")
    result = project.stopped(process, number)
    assert result.code == code
    assert result.seconds < 1
    assert result.err == "error: stopped before anything was begun; nothing is left half done\n"
    assert not project.store.exists()


def test_signal_at_any_moment_of_the_start(project: Project) -> None:
    """Wherever in its start a run is stopped, the code is right and nothing is left running."""
    project.write("flow", 'workflow = Workflow("flow").add(Step("a", does("a", 30.0)))')
    for delay_s in (0.12, 0.16, 0.2, 0.24, 0.28, 0.32):
        process = project.start("run", "flow", "--fresh")
        time.sleep(delay_s)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        result = project.stopped(process, signal.SIGINT)
        # Before and after our own code Python dies of the signal itself: a shell says 130 too.
        before_ours = result.err.startswith("Could not import runpy module\n")  # a slow machine
        assert before_ours or result.code in (130, -signal.SIGINT), (delay_s, result.err)
        assert result.seconds < 1.5
    if project.store.exists():
        assert project.rows("SELECT count(*) FROM runs WHERE status <> 'interrupted'") == [(0,)]
        assert project.rows("SELECT count(*) FROM attempts WHERE outcome IS NULL") == [(0,)]
