"""`check`, and workflows in YAML and JSON, through real commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.system.project import CHECKOUT, Project, statuses

BAD = CHECKOUT / "tests/bad_definitions"
STEPS = """\
def fetch(ctx):
    print("fetching")
    return {"rows": 3, "day": str(ctx.params["day"])}

def report(ctx):
    with ctx.output("report.txt") as file:
        file.write(f"{ctx['fetch']['rows']} rows of {ctx.params['region']}")
"""
FLOW = """\
params:
  day: {type: date, default: 2026-11-25}
  region: eu
steps:
  - {name: fetch, fn: helpers.steps.fetch, isolate: true}
  - name: report
    fn: helpers.steps.report
    depends_on: [fetch]
  - name: shout
    command: echo "$KAHNBAN_PARAM_region $LEVEL" > "$OUT"
    output: shout.txt
    env: {LEVEL: "3"}
    depends_on: [fetch]
"""


def write(project: Project, name: str, text: str) -> Path:
    """Write a file of the project."""
    path = project.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def flow(project: Project) -> Project:
    """Give a project with a workflow in YAML and the functions that it names."""
    write(project, "pipelines/flow.yaml", FLOW)
    write(project, "helpers/steps.py", STEPS)
    return project


def test_a_workflow_in_yaml_runs(flow: Project) -> None:
    """Functions, isolated ones too, and commands, with parameters and the context."""
    report = flow.report("flow", "--set", "region=us")
    assert statuses(report) == {"fetch": "ok", "report": "ok", "shout": "ok"}
    assert (flow.root / "report.txt").read_text() == "3 rows of us"
    assert (flow.root / "shout.txt").read_text() == "us 3\n"
    again = flow.report("flow", "--set", "region=us", "--from", "report")
    assert statuses(again) == {"fetch": "cached", "report": "ok", "shout": "cached"}


def test_a_changed_command_is_done_again(flow: Project) -> None:
    """A run that goes on sees what has changed in a file, as it does in Python."""
    text = FLOW.replace("depends_on: [fetch]\n", "depends_on: [fetch]\n    retries: 0\n", 1)
    write(flow, "pipelines/flow.yaml", text)
    write(flow, "helpers/steps.py", STEPS.replace("ctx['fetch']['rows']", "ctx['fetch']['no']"))
    assert statuses(flow.report("flow", code=1))["report"] == "failed"
    write(flow, "helpers/steps.py", STEPS)
    write(flow, "pipelines/flow.yaml", text.replace('LEVEL: "3"', 'LEVEL: "4"'))
    assert statuses(flow.report("flow")) == {"fetch": "cached", "report": "ok", "shout": "ok"}
    assert (flow.root / "shout.txt").read_text() == "eu 4\n"


def test_what_is_right_and_what_it_imports(flow: Project) -> None:
    """A workflow's name, its steps, and each module that the file names."""
    result = flow.run("check")
    where = flow.root / "helpers/steps.py"
    assert result.out == f"flow: ok, 3 steps\n  imports helpers.steps from {where}\n"
    assert (result.code, result.err) == (0, "")
    (row,) = json.loads(flow.run("check", "flow", "--json").out)
    assert row == {
        "name": "flow",
        "file": str(flow.root / "pipelines/flow.yaml"),
        "steps": 3,
        "imports": {"helpers.steps": str(where)},
        "faults": [],
    }


def test_every_bad_definition_in_one_go(project: Project) -> None:
    """A folder: each file's verdict, place and words; no traceback, nothing executed or made."""
    folder = project.root / "drafts"
    shutil.copytree(BAD, folder, ignore=shutil.ignore_patterns("expected.json"))
    result = project.run("check", "drafts")
    expected: list[dict[str, Any]] = json.loads((BAD / "expected.json").read_text("utf-8"))
    wrong = [case for case in expected if case["verdict"] not in ("ok", "error-or-string")]
    assert result.code == 2
    assert "Traceback" not in result.err
    assert result.out.splitlines() == [
        "daily: ok, 1 step",
        "daily: ok, 2 steps",
        "täglich: ok, 1 step",
    ]
    for case in wrong:
        place = f":{case['line']}:{case['column']}" if case["line"] else ""
        assert f"error: drafts/{case['file']}{place}" in result.err
    assert result.err.count("error: ") == len(wrong) + 1  # one has two faults
    assert result.err.count("hint: ") == result.err.count("error: ")
    assert not (project.root / "PWNED").exists()
    assert not project.home.exists()


def test_other_programs_of_a_folder_are_not_run(project: Project) -> None:
    """A Python file without a workflow is none, and is not executed to find that out."""
    write(project, "drafts/setup.py", "open('PWNED', 'w')\n")
    write(project, "drafts/flow.py", 'from engine import *\nworkflow = Workflow("flow")\n')
    result = project.run("check", "drafts")
    assert [line[:6] for line in result.err.splitlines()] == ["error:", "hint: "]
    assert "workflow 'flow' has no steps" in result.err
    assert not (project.root / "PWNED").exists()


def test_the_faults_of_a_file(project: Project) -> None:
    """Each with place, line, caret and hint; as JSON, by name, in `list` and as a timer's run."""
    text = "steps:\n  - name: naïve\n    comand: x\n\tretries: 1\n"
    path = write(project, "pipelines/flow.yaml", text.replace("\t", "    "))
    told = (
        f"error: {path}:3:5: step 'naïve': unknown key 'comand'\n"
        "    comand: x\n"
        "    ^\n"
        "hint: did you mean 'command'?\n"
    )
    for words in (["check"], ["check", "flow"], ["check", str(path)], ["run", "flow"]):
        result = project.run(*words)
        assert (result.code, result.out, result.err) == (2, "", told)
    (row,) = json.loads(project.run("check", "--json").out)
    assert row["faults"] == [
        {
            "file": str(path),
            "line": 3,
            "column": 5,
            "message": "step 'naïve': unknown key 'comand'",
            "hint": "did you mean 'command'?",
        }
    ]
    broken = f"✗ flow is broken\n  {path}:3:5: step 'naïve': unknown key 'comand'\n"
    assert project.run("list").out == broken
    assert project.run("run", "flow", "--scheduled").code == 2
    assert project.rows("SELECT status, note FROM runs") == [
        ("failed", f"{path}:3:5: step 'naïve': unknown key 'comand'")
    ]


def test_no_text_of_a_file_forges_a_line(project: Project) -> None:
    """Line ends and marks within a key, a name or a value are shown by their codes."""
    steps = [{"name": "a\nerror: forged", "command": "x", "r\x1b[2J\n\u202e": 1, "retries": "\n2"}]
    write(project, "pipelines/flow.json", json.dumps({"steps": steps}))
    result = project.run("check")
    lines = [line for line in result.err.splitlines() if not line.startswith("    ")]
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"] * 3
    assert not set("\x1b\u202e") & set(result.err)


def test_faults_of_python_are_objects_too(project: Project) -> None:
    """With the file and the line of the user's own code where it went wrong."""
    path = project.write("flow", "\nworkflow = 1 / 0\n", prelude="")
    (row,) = json.loads(project.run("check", "--json").out)
    assert row["faults"] == [
        {
            "file": str(path),
            "line": 2,
            "column": None,
            "message": "ZeroDivisionError: division by zero",
            "hint": "mend the line shown",
        }
    ]


def test_a_dry_workflow_leaves_nothing(flow: Project) -> None:
    """Not even the bytecode of the modules that it names."""
    write(flow, "pipelines/flow.yaml", f"dry_run: true\n{FLOW}")
    assert flow.run("run", "flow").code == 0
    assert not list(flow.root.rglob("__pycache__"))
    assert not flow.home.exists()


def test_what_is_no_workflow(project: Project) -> None:
    """A file that is not there, one of another kind, and the schema."""
    write(project, "notes.txt", "x")
    result = project.run("check", "gone.yaml", "./notes.txt", "gone")
    assert result.code == 2
    assert [line for line in result.err.splitlines() if line.startswith("error")] == [
        "error: there is no file 'gone.yaml'",
        "error: 'notes.txt' is no file of a workflow",
        f"error: there is no workflow 'gone' in '{project.root / 'pipelines'}'",
    ]
    kept = json.loads((CHECKOUT / "docs/workflow.schema.json").read_text("utf-8"))
    assert json.loads(project.run("check", "--schema").out) == kept


def test_five_thousand_steps(project: Project) -> None:
    """They are checked in two seconds; the bound is for a machine that has more to do."""
    steps = "".join(
        f"  - name: s{at}\n    command: echo {at}\n    retries: 3\n    timeout: 5m\n"
        f"    depends_on: [{'' if not at else f's{at - 1}, s{at // 2}'}]\n"
        for at in range(5_000)
    )
    write(project, "pipelines/flow.yaml", f"steps:\n{steps}")
    result = project.run("check", "flow")
    assert result.out == "flow: ok, 5000 steps\n"
    assert result.seconds < 10
