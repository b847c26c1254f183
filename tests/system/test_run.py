"""`run` as a process: exit codes, options, and what it says of bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.system.project import Project

OK = """
workflow = Workflow("flow").add(Step("a", does("a"))).add(Step("b", does("b"), depends_on=["a"]))
"""
FAILS = """
workflow = Workflow("flow").add(Step("a", broken, retries=0)).add(
    Step("b", does("b"), depends_on=["a"])
)
"""
PARAMS = """
workflow = Workflow("flow", params={"date": Param(date, default="today"), "count": Param(int)}).add(
    Step("a", lambda ctx: effect(f"{ctx.params['date']}/{ctx.params['count']}"))
)
"""


def test_all_ok_is_0_and_failed_is_1(project: Project) -> None:
    """A run that went well ends with 0, one with a failed step with 1; both are told."""
    project.write("flow", OK)
    result = project.run("run", "flow")
    assert result.code == 0
    assert "✓ flow, run 1: ok in " in result.out
    assert "run order: a → b" in result.err
    assert re.search(r"^\d\d:\d\d:\d\d INFO    ✓ b in ", result.err, re.MULTILINE)
    project.write("flow", FAILS)
    result = project.run("run", "flow")
    assert result.code == 1
    assert "✗ flow, run 2: failed in " in result.out
    assert "dependency failed: a" in result.out
    assert "run flow --resume 2" in result.out
    assert "✗ a FAILED permanently: ValueError: no luck" in result.err


def test_json_is_the_report_and_nothing_else(project: Project) -> None:
    """With --json stdout is one JSON document, whatever the workflow's file and steps print."""
    project.write(
        "flow",
        'print("loading")\nworkflow = Workflow("flow").add(Step("a", lambda c: print("hi")))',
    )
    result = project.run("run", "flow", "--json")
    assert result.code == 0
    report = result.report
    assert report["workflow"] == "flow"
    assert report["run_id"] == 1
    assert report["status"] == "ok"
    assert report["counts"] == {"ok": 1}
    step = report["steps"][0]
    assert (step["name"], step["status"], step["attempts"], step["note"]) == ("a", "ok", 1, "")
    assert Path(step["log"]).read_text(encoding="utf-8").endswith("out     hi\n")
    assert "loading" in result.err
    assert json.loads(Path(report["report"]).read_text(encoding="utf-8")) == report


def test_quiet_is_silent_on_success_only(project: Project) -> None:
    """-q prints nothing when all went well, and the failure when it did not."""
    project.write("flow", OK)
    result = project.run("run", "flow", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")
    project.write("flow", FAILS)
    result = project.run("run", "flow", "-q")
    assert result.code == 1
    assert "ValueError: no luck" in result.out


def test_set_gives_parameters(project: Project) -> None:
    """--set gives parameters as text, read as their kinds."""
    project.write("flow", PARAMS)
    report = project.report("flow", "--set", "date=2011-11-14", "--set", "count=3")
    assert report["params"] == {"date": "2011-11-14", "count": "3"}
    assert project.effects() == ["2011-11-14/3"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "error: workflow 'flow' needs the parameter 'count'\nhint: add --set count=VALUE\n"),
        (
            ["--set", "count=many"],
            (
                "error: parameter 'count' of workflow 'flow' is 'many', not a whole number\n"
                "hint: give a whole number, such as --set count=3\n"
            ),
        ),
        (
            ["--set", "count=1", "--set", "dat=x"],
            (
                "error: workflow 'flow' has no parameter 'dat'\n"
                "hint: did you mean 'date'? its parameters are date, count\n"
            ),
        ),
        (
            ["--set", "count=1", "--set", "count=2"],
            "error: --set gives 'count' twice\nhint: give each parameter once\n",
        ),
        (
            ["--set", "count"],
            "error: --set 'count' is no assignment\nhint: write --set NAME=VALUE\n",
        ),
        (
            ["--workers", "0"],
            (
                "error: --workers: '0' is not a whole number above 0\n"
                "hint: see `python -m engine run --help`\n"
            ),
        ),
        (
            ["--fresh", "--resume", "1"],
            ("error: --resume does not go with --fresh\nhint: see `python -m engine run --help`\n"),
        ),
        (
            ["--scheduled", "--from", "a"],
            "error: --scheduled always starts anew, with all steps\nhint: leave out --from\n",
        ),
        (
            ["--dry"],
            "error: `run` has no option --dry\nhint: did you mean '--dry-run'?\n",
        ),
    ],
)
def test_wrong_options_are_2(project: Project, arguments: list[str], said: str) -> None:
    """What cannot be done as asked ends with 2, one clear error, a hint, and no run."""
    project.write("flow", PARAMS)
    result = project.run("run", "flow", *arguments)
    assert (result.code, result.out, result.err) == (2, "", said)
    assert not project.store.exists()


def test_unknown_workflow(project: Project) -> None:
    """An unknown name ends with 2 and the nearest known one."""
    project.write("flow", OK)
    result = project.run("run", "flwo")
    folder = project.root / "pipelines"
    assert result.code == 2
    assert result.err == (
        f"error: there is no workflow 'flwo' in '{folder}'\n"
        "hint: did you mean 'flow'? it has: flow\n"
    )


def test_outside_a_project(project: Project, tmp_path: Path) -> None:
    """Outside a project the command says so, ends with 2 and makes nothing."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    result = project.run("run", "flow", cwd=elsewhere)
    assert result.code == 2
    assert result.err == (
        f"error: no folder 'pipelines' in '{elsewhere}' or above it\n"
        "hint: go to your project's folder, or make one here: `python -m engine init`\n"
    )
    assert list(elsewhere.iterdir()) == []


def test_from_a_folder_below(project: Project) -> None:
    """The project is found from a folder below it, and its helpers can be imported."""
    (project.root / "helper.py").write_text("def body(ctx):\n    return 1\n")
    source = 'import helper\nworkflow = Workflow("flow").add(Step("a", helper.body))\n'
    project.write("flow", source)
    below = project.root / "deep" / "er"
    below.mkdir(parents=True)
    assert project.run("run", "flow", "-q", cwd=below).code == 0
    assert project.store.exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "def f(:\n    pass\n",
            (
                "{path}:1: SyntaxError: invalid syntax\n    def f(:\n          ^\n"
                "hint: mend the line shown\n"
            ),
        ),
        (
            "import os\nvalue = 1 + os.nothing(2)\n",
            (
                "{path}:2: AttributeError: module 'os' has no attribute 'nothing'\n"
                "    value = 1 + os.nothing(2)\n                ^\nhint: mend the line shown\n"
            ),
        ),
        (
            "import does_not_exist_at_all\n",
            (
                "{path}:1: ModuleNotFoundError: No module named 'does_not_exist_at_all'\n"
                "    import does_not_exist_at_all\n    ^\n"
                "hint: install 'does_not_exist_at_all' into this environment, or mend the import\n"
            ),
        ),
        (
            'from engine import Step\nStep("a", None)\n',
            (
                "{path}:2: step 'a': cannot run None\n    Step(\"a\", None)\n    ^\n"
                "hint: give a function of ctx, or shell(…)\n"
            ),
        ),
        (
            "raise SystemExit(0)\n",
            "{path}:1: SystemExit: 0\n    raise SystemExit(0)\n    ^\nhint: mend the line shown\n",
        ),
        (
            "x = 1\n",
            (
                "{path}: there is no workflow in this file\nhint: define one at the top level: "
                'workflow = Workflow("flow").add(…)\n'
            ),
        ),
        (
            'from engine import Workflow\nworkflow = Workflow("other")\n',
            (
                "{path}: the workflow in it is called 'other'\n"
                "hint: call it 'flow', or rename the file to other.py\n"
            ),
        ),
        (
            'from engine import Workflow\nworkflow = Workflow("flow")\n',
            "{path}: workflow 'flow' has no steps\nhint: add at least one: .add(Step(…))\n",
        ),
    ],
)
def test_broken_file(project: Project, source: str, said: str) -> None:
    """A broken file ends with 2 and shows file, line and a caret at the fault."""
    path = project.write("flow", source, prelude="")
    result = project.run("run", "flow")
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: " + said.format(path=path)
    assert not project.home.exists()


def test_fault_in_a_helper(project: Project) -> None:
    """A fault in a helper of the project is shown where it is, not where it was imported."""
    helper = project.root / "helper.py"
    helper.write_text("def f():\n    return 1 / 0\nf()\n")
    project.write("flow", "import helper\n", prelude="")
    result = project.run("run", "flow")
    assert result.code == 2
    assert result.err == (
        f"error: {helper}:2: ZeroDivisionError: division by zero\n    return 1 / 0\n"
        "           ^\nhint: mend the line shown\n"
    )


def _graph(*steps: str) -> str:
    adds = "".join(f".add(Step({step}))" for step in steps)
    return f'workflow = Workflow("flow"){adds}'


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            _graph('"a", broken, ["b"]', '"b", broken, ["a"]', '"z", broken, ["a"]'),
            "dependency cycle: a -> b -> a\nhint: take one of these dependencies out\n",
        ),
        (_graph('"a", broken, ["a"]'), "dependency cycle: a -> a\n"),
        (_graph('"a", broken', '"a", broken'), "two steps are named 'a'\n"),
    ],
)
def test_wrong_graph(project: Project, source: str, said: str) -> None:
    """A cycle, an unknown dependency or a name given twice ends with 2, naming them."""
    path = project.write("flow", source)
    result = project.run("run", "flow")
    assert result.code == 2
    assert result.err.startswith(f"error: {path}: workflow 'flow': {said}")


def test_a_wrong_graph_is_told_in_one_go(project: Project) -> None:
    """The hint that both faults have stands after the second."""
    path = project.write("flow", _graph('"fetch", broken', '"b", broken, ["ftch", "zzz"]'))
    hint = "hint: every name in depends_on must be a step of this workflow, and every name unique"
    assert project.run("run", "flow").err.splitlines() == [
        f"error: {path}: step 'b' depends on unknown step 'ftch' (did you mean 'fetch'?)",
        f"error: {path}: step 'b' depends on unknown step 'zzz'",
        hint,
    ]


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "-x", ".x", "a b", "e\u0301", "x\u202ey", "n" * 101]
)
def test_unusable_names(project: Project, name: str) -> None:
    """A name that cannot be a file's, or hides what it is, ends with 2 for workflow and step."""
    result = project.run("run", "--", name)
    assert result.code == 2
    assert result.err.startswith(f"error: workflow name {name!r} ")
    project.write("flow", f'workflow = Workflow("flow").add(Step({name!r}, broken))')
    result = project.run("check", "flow")
    assert result.code == 2
    assert f"step name {name!r} " in result.err


def test_value_that_cannot_be_stored(project: Project) -> None:
    """The message names step, key, type, the path inside the value, and what to do instead."""
    project.write(
        "flow",
        """
def fetch(ctx):
    ctx["rows"] = {"first": [1, object()]}
workflow = Workflow("flow").add(Step("fetch", fetch))
""",
    )
    report = project.report("flow", code=1)
    error = report["steps"][0]["error"]
    for part in ("step 'fetch'", "'rows'", "object", "['first'][1]", "ctx.output"):
        assert part in error, error
    assert report["steps"][0]["attempts"] == 1  # trying again would not help


def test_machine_and_store_failures_are_3(project: Project) -> None:
    """A store that is damaged, or is none, ends with 3, one error and a hint; it stays as it is."""
    project.write("flow", OK)
    project.home.mkdir()
    project.store.write_bytes(b"this is no database at all" * 100)
    result = project.run("run", "flow")
    assert result.code == 3
    assert result.error.startswith(f"error: the store '{project.store}' is damaged or no store: ")
    assert "\nhint: " in result.error
    assert project.store.read_bytes() == b"this is no database at all" * 100


def test_other_databases_are_2(project: Project) -> None:
    """Another database's URL ends with 2, without showing its password."""
    project.write("flow", OK)
    result = project.run("run", "flow", "--store", "postgresql://me:hunter22@db/x")
    assert result.code == 2
    assert result.error.startswith("error: the store must be a SQLite file, not 'postgresql:…'\n")
    assert "hunter22" not in result.err


def test_wrong_alert_setting_begins_no_run(project: Project) -> None:
    """A setting that cannot be understood is found before anything is begun."""
    project.write("flow", OK)
    result = project.run("run", "flow", ENGINE_ALERT_ON="sometimes")
    assert result.code == 2
    assert result.error == (
        "error: ENGINE_ALERT_ON is 'sometimes'\nhint: set it to one of always, failure, change\n"
    )
    assert project.rows("SELECT count(*) FROM runs") == [(0,)]
