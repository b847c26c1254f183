"""Runs of chosen steps, and steps that a person marks as done: what runs, what is recorded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.checker import Checker, read_log
from tests.system.project import Project, notes, statuses

FLOW = """\
def fetch(ctx):
    effect("fetch")
    ctx["rows"] = 3
    return "raw"

def transform(ctx):
    effect("transform")
    if not Path("go").exists():
        raise ValueError("not yet")
    return f"{ctx['fetch']}:{ctx['rows']}"

def end(ctx):
    effect(f"end={ctx['transform']}")

workflow = (
    Workflow("flow", params={"day": "a day"})
    .add(Step("fetch", fetch))
    .add(Step("transform", transform, depends_on=["fetch"], retries=0))
    .add(Step("end", end, depends_on=["transform"]))
)
"""
GRAPH = {"fetch": [], "transform": ["fetch"], "end": ["transform"]}


@pytest.fixture
def failed(project: Project) -> Project:
    """Give a project whose first run has failed in its second of three steps."""
    project.write("flow", FLOW)
    assert project.run("run", "flow", "-q").code == 1
    assert project.effects() == ["fetch", "transform"]
    return project


def said(text: str) -> list[str]:
    """Give the lines of a table, each with one space between its words."""
    return [" ".join(line.split()) for line in text.splitlines()]


def digest(folder: Path) -> dict[str, str]:
    """Give every file below a folder and what is in it; SQLite's own two beside a store aside."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


# -- run --only -----------------------------------------------------------------------------------


def test_one_step_of_three(failed: Project) -> None:
    """Only the chosen step runs, on what the last run left; the preview says it before."""
    (failed.root / "go").touch()
    result = failed.run("run", "flow", "--only", "transform")
    assert result.code == 0
    assert failed.effects() == ["fetch", "transform", "transform"]
    assert said(result.err)[:5] == [
        "starting anew: asked for: only transform",
        "STEP WHAT WHY",
        "fetch ↻ cached not chosen; ok in run 1",
        "transform ▶ would run chosen",
        "end – not chosen skipped in run 1",
    ]
    report = failed.run("show", "2", "--json").report
    assert (report["resumed_from"], report["root_run"]) == (None, 2)
    assert report["only_steps"] == ["transform"]
    assert statuses(report) == {"fetch": "cached", "transform": "ok", "end": "skipped"}
    assert notes(report) == {
        "fetch": "not chosen; ok in run 1",
        "transform": "",
        "end": "not chosen; skipped in run 1",
    }
    assert failed.rows("SELECT only_steps FROM runs ORDER BY id") == [("",), ('["transform"]',)]
    assert failed.run("show", "2").out.startswith("flow, run 2 (only transform)\n")
    assert "✓ flow, run 2 (only transform): ok" in result.out
    assert said(failed.run("history").out)[1].endswith("only transform")
    assert "✓ ok (only transform), " in failed.run("list").out


def test_a_missing_upstream(failed: Project) -> None:
    """It ends with 2 before anything, and names the two ways out, which both work."""
    result = failed.run("run", "flow", "--only", "end")
    assert (result.code, result.out, result.err) == (
        2,
        "",
        (
            "error: --only: 'end' needs 'transform', which is neither chosen nor done"
            " (failed in run 1)\n"
            "hint: choose it too: --only transform,end; or say that it is done:"
            " --mark-done transform\n"
        ),
    )
    assert failed.rows("SELECT count(*) FROM runs") == [(1,)]
    marked = ["--mark-done", "transform", "--output", "transform=by hand"]
    assert statuses(failed.report("flow", "--only", "end", *marked)) == {
        "fetch": "cached",
        "transform": "ok",
        "end": "ok",
    }
    (failed.root / "go").touch()
    assert failed.run("run", "flow", "-q", "--only", "transform, end").code == 0
    assert failed.effects()[2:] == ["end=by", "hand", "transform", "end=raw:3"]


def test_killed_it_leaves_the_whole_run_as_it_was(failed: Project) -> None:
    """It is recorded as interrupted, with its own command; the next run goes on from the other."""
    killed = failed.run(
        "run", "flow", "-q", "--only", "transform", KAHNBAN_FAILPOINTS="attempt-begun:kill"
    )
    assert killed.code == -9
    (failed.root / "go").touch()
    assert failed.report("flow")["resumed_from"] == 1
    assert failed.rows("SELECT status, only_steps FROM runs WHERE id = 2") == [
        ("interrupted", '["transform"]')
    ]
    report = failed.run("show", "2", "--json").report
    assert report["resume_command"].endswith("run flow --only transform --set 'day=a day'")


# -- run --mark-done ------------------------------------------------------------------------------

MARK = ["--mark-done", "transform", "--output", "transform=given", "--output", "n=5"]


def test_a_marked_step_is_done(failed: Project) -> None:
    """It is ok without an attempt, with its values, and what builds on it runs."""
    result = failed.run("run", "flow", *MARK)
    assert result.code == 0
    assert failed.effects() == ["fetch", "transform", "end=given"]
    assert said(result.err)[:5] == [
        "going on: run 1 failed",
        "STEP WHAT WHY",
        "fetch ↻ reuse ok in run 1",
        'transform ✓ marked as done transform="given", n=5',
        "end ▶ redo skipped in run 1 (dependency failed: transform)",
    ]
    user = failed.rows("SELECT user FROM runs")[0][0]
    row = "SELECT s.status, s.note, marked_by, attempts, s.duration_s, s.finished_at = r.started_at"
    assert failed.rows(
        f"{row} FROM step_runs s JOIN runs r ON r.id = s.run_id WHERE run_id = 2"
        " AND step = 'transform'"
    ) == [("ok", f"marked as done by {user}", user, 0, 0.0, 1)]
    assert failed.rows(
        "SELECT key, data FROM outputs WHERE run_id = 2 AND step = 'transform' ORDER BY key"
    ) == [("n", b"5"), ("transform", b'"given"')]
    assert failed.rows("SELECT sum(attempts) FROM step_stats WHERE step = 'transform'") == [(1,)]
    assert failed.run("db", "verify").code == 0
    shown = failed.run("show", "2", "--json").report
    assert [step["marked_by"] for step in shown["steps"]] == [None, user, None]


def test_shown_dry(failed: Project) -> None:
    """The dry run shows what would become of each step, and changes not a byte."""
    before = digest(failed.root)
    dry = failed.report("flow", "--dry-run", "--fresh", *MARK)
    assert digest(failed.root) == before
    assert [(step["status"], step["note"]) for step in dry["steps"]] == [
        ("dry-run", "would run"),
        ("ok", 'marked as done; transform="given", n=5'),
        ("dry-run", "would run"),
    ]


KILLED = FLOW.replace(
    'effect(f"end',
    'os.kill(os.getpid(), signal.SIGKILL) if not Path("go").exists() else effect(f"end',
)


def test_a_mark_outlives_a_kill(project: Project) -> None:
    """The mark and its values are in the first transaction: a resume finds them."""
    project.write("flow", KILLED)
    assert project.run("run", "flow", "-q", *MARK).code == -9
    (project.root / "go").touch()
    report = project.report("flow", "--resume", "1")
    assert statuses(report) == {"fetch": "cached", "transform": "cached", "end": "ok"}
    assert project.effects() == ["fetch", "end=given"]
    log = read_log(project.store)
    told = Checker(GRAPH)
    told.read(log)
    assert told.faults == []
    marked = [(entry.run_id, entry.step) for entry in log if entry.marked]
    assert marked == [(1, "transform")]


def test_killed_before_anything_ran(project: Project) -> None:
    """A mark holds although a step above it runs first now: it was no result of that one."""
    project.write("flow", FLOW)
    killed = project.run("run", "flow", "-q", *MARK, KAHNBAN_FAILPOINTS="run-begun:kill")
    assert killed.code == -9
    assert statuses(project.report("flow")) == {"fetch": "ok", "transform": "cached", "end": "ok"}
    assert project.effects() == ["fetch", "end=given"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["--output", "a=1", "--mark-done", "end"],
            (
                "error: --output: give the step first: --mark-done STEP --output K=V\n"
                "hint: see `python -m engine run --help`\n"
            ),
        ),
        (
            ["--scheduled", "--only", "end", "--mark-done", "fetch"],
            (
                "error: --scheduled always starts anew, with all steps\n"
                "hint: leave out --only and --mark-done\n"
            ),
        ),
        (
            ["--only", "fetch,ennd"],
            (
                "error: --only: 'flow' has no step 'ennd' (did you mean 'end'?)\n"
                "hint: its steps: fetch, transform, end\n"
            ),
        ),
        (
            ["--mark-done", "end", "--output", "token=open sesame"],
            (
                "error: value for 'token' cannot be stored: a registered secret\n"
                "hint: read it with ctx.secret(NAME) in the step that needs it\n"
            ),
        ),
    ],
)
def test_refused(project: Project, arguments: list[str], error: str) -> None:
    """What cannot be done as asked ends with 2 and one clear error, and no run is recorded."""
    project.write("flow", FLOW)
    project.home.mkdir(mode=0o700)
    env = project.home / "env"
    env.write_text("TOKEN=open sesame\n")
    env.chmod(0o600)
    result = project.run("run", "flow", *arguments)
    assert (result.code, result.out, result.err) == (2, "", error)
    assert not project.store.exists()
