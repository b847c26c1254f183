"""Runs of chosen steps, and steps that a person marks as done: what runs, what is recorded."""

from __future__ import annotations

import hashlib
import shlex
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


def test_a_run_of_chosen_steps_decides_nothing(failed: Project) -> None:
    """Nothing goes on from it; the next run goes on from the last whole run."""
    (failed.root / "go").touch()
    assert failed.run("run", "flow", "-q", "--only", "transform").code == 0
    result = failed.run("run", "flow", "--resume", "2")
    assert (result.code, result.error) == (
        2,
        (
            "error: run 2 was one of chosen steps (--only), which nothing goes on from\n"
            "hint: run flow --only transform\n"
        ),
    )
    report = failed.report("flow", "--once")
    assert (report["resumed_from"], report["previous_status"]) == (1, "failed")
    assert failed.effects()[-2:] == ["transform", "end=raw:3"]


def test_what_is_kept_is_as_it_was(failed: Project) -> None:
    """A changed step that is not chosen is taken over all the same."""
    failed.write("flow", FLOW.replace('return "raw"', 'return "new"'))
    (failed.root / "go").touch()
    report = failed.report("flow", "--only", "transform", "--only", "end")
    assert statuses(report) == {"fetch": "cached", "transform": "ok", "end": "ok"}
    assert failed.effects()[2:] == ["transform", "end=raw:3"]


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


def test_without_an_earlier_run(project: Project) -> None:
    """The first steps can be chosen, those that build on others lack them."""
    project.write("flow", FLOW)
    result = project.run("run", "flow", "--only", "transform")
    assert result.code == 2
    assert "'transform' needs 'fetch', which is neither chosen nor done (has not run)" in result.err
    dry = project.report("flow", "--only", "fetch", "--dry-run")
    assert [(row["step"], row["what"], row["why"]) for row in dry["plan"]] == [
        ("fetch", "would run", "chosen"),
        ("transform", "not chosen", ""),
        ("end", "not chosen", ""),
    ]


def test_a_failed_one_gives_its_whole_command(failed: Project) -> None:
    """It is the same command, complete: parameters, marks and their values; and it works."""
    result = failed.run(
        *("run", "flow", "--only", "fetch,end", "--set", "day=it's"),
        *("--mark-done", "transform", "--output", "n=[1, 2]", "--output", "other=two words"),
    )
    assert result.code == 1  # `end` finds no value of `transform`
    (line,) = [row for row in result.out.splitlines() if row.startswith("to run them again: ")]
    words = shlex.split(line.removeprefix("to run them again: "))
    expected = ["run", "flow", "--only", "fetch,end", "--set", "day=it's"]
    expected += ["--mark-done", "transform", "--output", "n=[1, 2]", "--output", "other=two words"]
    assert words[-len(expected) :] == expected
    again = failed.run(*words[words.index("-m") + 2 :], "--output", "transform=x")
    assert again.code == 0, again.err
    assert failed.effects()[-1] == "end=x"


RULES = """\
workflow = (
    Workflow("flow")
    .add(Step("bad", broken, retries=0))
    .add(Step("mine", lambda ctx: None, when=lambda ctx: False))
    .add(Step("under", does("under"), depends_on=["mine"]))
    .add(Step("help", does("help"), depends_on=["bad"], trigger_rule="one_failed"))
    .add(Step("tidy", does("tidy"), depends_on=["bad"], trigger_rule="all_done"))
    .add(Step("join", does("join"), depends_on=["mine", "under"], trigger_rule="none_failed"))
    .add(Step("after", does("after"), depends_on=["mine"]))
    .add(Step("calm", does("calm"), depends_on=["mine"], trigger_rule="one_failed"))
)
"""


def test_each_trigger_rule(project: Project) -> None:
    """An upstream that is not chosen counts as it ended in the last run."""
    project.write("flow", RULES)
    assert project.run("run", "flow", "-q").code == 1
    chosen = ["help", "tidy", "join", "after", "calm"]
    dry = project.report("flow", "--dry-run", "--only", ",".join(chosen))
    before = len(project.effects())
    report = project.report("flow", "--only", ",".join(chosen))
    assert report["status"] == "ok"
    assert {name: statuses(report)[name] for name in chosen} == {
        "help": "ok",
        "tidy": "ok",
        "join": "ok",
        "after": "skipped",
        "calm": "skipped",
    }
    assert sorted(project.effects()[before:]) == ["help", "join", "tidy"]
    assert notes(report)["after"] == "dependency skipped: mine"
    assert notes(report)["calm"] == "no dependency failed"
    assert notes(report)["bad"] == "not chosen; failed in run 1"
    assert {row["step"]: row["what"] for row in dry["plan"]} == {
        "bad": "not chosen",
        "mine": "not chosen",
        "under": "not chosen",
        "help": "would run",
        "tidy": "would run",
        "join": "would run",
        "after": "skipped",
        "calm": "would run if a dependency fails",
    }


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


def test_what_was_done_with_other_values_is_redone(failed: Project) -> None:
    """A step that had been ok runs again if one above it is marked; so it does with `--from`."""
    assert failed.run("run", "flow", "-q", *MARK).code == 0
    other = ["--mark-done", "transform", "--output", "transform=other"]
    report = failed.report("flow", "--from", "fetch", *other)
    assert (report["resumed_from"], failed.effects()[3:]) == (2, ["fetch", "end=other"])
    assert notes(report)["end"] == "redone: 'transform' is marked as done"


def test_a_mark_holds_until_the_step_changes(project: Project) -> None:
    """Later runs of the chain reuse it; other code of the step makes it run."""
    source = FLOW.replace('effect(f"end', 'Path("end").read_text(); effect(f"end')
    source = source.replace('depends_on=["transform"])', 'depends_on=["transform"], retries=0)')
    project.write("flow", source)
    assert project.run("run", "flow", "-q", *MARK).code == 1
    assert notes(project.report("flow", code=1))["transform"] == "ok in run 1"
    project.write("flow", source.replace('"not yet"', '"no longer"'))
    (project.root / "go").touch()
    (project.root / "end").touch()
    report = project.report("flow")
    assert notes(report)["transform"] == "redone: code changed"
    assert project.effects() == ["fetch", "transform", "end=raw:3"]


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
                "error: argument --output: give the step first: --mark-done STEP --output K=V\n"
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
