"""`graph`: exact drawings, many steps, and what it prints for Mermaid, Graphviz and programs."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from functools import partial
from pathlib import Path
from random import Random  # noqa: TID251 - seeded: the same seed gives the same graph
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import graph
from engine.cli.main import run_command
from engine.definitions import load_file
from engine.model import Definition, Step, TriggerRule, shell
from engine.reports.drawing import _alike, drawing
from engine.reports.rails import lay_out
from engine.reports.step_words import StepWords, words_of
from engine.text import columns
from tests.builders import nothing


def few(ctx: Any) -> bool:
    """Be a condition with a name."""
    return not ctx


BRANCHES = Definition(
    "branches",
    (
        Step("count", nothing, isolate=True),
        Step("few", shell("echo few\n\n  | sort"), depends_on=["count"], when=few),
        Step("many", shell(["printf", "%s", "a b"]), depends_on=["count"], when=lambda ctx: ctx),
        Step("join", nothing, depends_on=["few", "many"], trigger_rule=TriggerRule.NONE_FAILED),
        Step("工程", nothing, depends_on=["join"], trigger_rule=TriggerRule.ALL_DONE),
    ),
)


def words(definition: Definition) -> list[StepWords]:
    """Put a workflow that holds no secret into words."""
    return words_of(definition, str)


def draw(definition: Definition, **options: Any) -> str:
    """Draw a workflow."""
    steps = words(definition)
    compiled = graph.build([step.name for step in steps], [step.depends_on for step in steps])
    return drawing(steps, compiled, **options)


def wide(upstreams: dict[str, list[str]]) -> Definition:
    """Make a workflow of steps that do nothing."""
    return Definition("made", tuple(Step(name, nothing, ups) for name, ups in upstreams.items()))


# -- in the terminal ------------------------------------------------------------------------------


def test_a_drawing() -> None:
    """Rails, what each step runs, rules other than the default, conditions."""
    assert (
        draw(BRANCHES)
        == """\
       STEP   RUNS                       RULE         WHEN
●      count  isolated function nothing
├─◆─╮  few    $ echo few | sort                       function few
╰─◆─┤  many   $ printf %s 'a b'                       a function
●───╯  join   function nothing           none_failed
○      工程   function nothing           all_done

5 steps, the longest path has 4"""
    )


def test_a_narrow_terminal() -> None:
    """What a step runs goes first, then its condition; rails and names stay."""
    assert (
        draw(BRANCHES, width=30)
        == """\
       STEP   RULE
●      count
├─◆─╮  few
╰─◆─┤  many
●───╯  join   none_failed
○      工程   all_done

5 steps, the longest path has…"""
    )


def test_a_terminal_without_unicode() -> None:
    """Signs become ASCII ones; a name is escaped, and what follows it stays aligned."""
    text = draw(BRANCHES, ascii_only=True)
    assert text.isascii()
    assert (
        text
        == r"""
       STEP          RUNS                       RULE         WHEN
*      count         isolated function nothing
+-#-.  few           $ echo few | sort                       function few
'-#-+  many          $ printf %s 'a b'                       a function
*---'  join          function nothing           none_failed
o      \u5de5\u7a0b  function nothing           all_done

5 steps, the longest path has 4""".lstrip("\n")
    )


def test_colour() -> None:
    """Colours change nothing but the colour."""
    plain = draw(BRANCHES)
    coloured = draw(BRANCHES, colour=True)
    assert "\x1b[33mnone_failed\x1b[0m" in coloured
    for code in ("0", "2", "33", "36"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert [line.rstrip() for line in coloured.splitlines()] == plain.splitlines()


def test_steps_that_are_alike_take_one_line() -> None:
    """In a workflow of many steps; each line says for how many it stands."""
    workers = [f"w{number}" for number in range(998)]
    made = wide({"start": []} | {worker: ["start"] for worker in workers} | {"end": workers})
    assert (
        draw(made)
        == """\
   STEP             RUNS
●  start            function nothing
●  998 × w0 … w997  function nothing
○  end              function nothing

1000 steps, the longest path has 3; 998 that are alike take 1 line"""
    )


def test_lanes_that_are_alike_take_one_line_a_place() -> None:
    """A hundred equal chains are one chain; one that is different stands beside it."""
    lanes = {
        f"{place}{lane}": [f"{before}{lane}"] if before else []
        for lane in range(100)
        for before, place in (("", "fetch"), ("fetch", "parse"), ("parse", "load"))
    }
    made = wide(lanes | {"more": ["fetch7"]})
    assert (
        draw(made)
        == """\
     STEP                   RUNS
●    99 × fetch0 … fetch99  function nothing
●    99 × parse0 … parse99  function nothing
○    99 × load0 … load99    function nothing
●    fetch7                 function nothing
├─○  more                   function nothing
●    parse7                 function nothing
○    load7                  function nothing

301 steps, the longest path has 3; 297 that are alike take 3 lines"""
    )


def test_what_differs_in_a_rule_is_not_alike() -> None:
    """A rule or a condition of its own gives a step a line of its own."""
    steps = [Step(f"s{number}", nothing) for number in range(60)]
    steps[7] = Step("s7", nothing, trigger_rule="all_done")
    steps[8] = Step("s8", nothing, when=few)
    lines = draw(Definition("made", tuple(steps))).splitlines()
    assert [line.split()[1] for line in lines[1:4]] == ["58", "s7", "s8"]


def test_of_many_lines_the_middle_is_left_out() -> None:
    """A thousand steps in a row: the first and the last, and how many are not shown."""
    lines = draw(wide({f"s{n}": [f"s{n - 1}"] if n else [] for n in range(1000)})).splitlines()
    assert len(lines) == 204
    assert lines[150].split()[1] == "s149"
    assert lines[151] == "⋮ 800 lines are left out"
    assert lines[152].split()[1] == "s950"
    assert lines[-1] == "1000 steps, the longest path has 1000"


@pytest.mark.parametrize("width", [80, 60, 40])
def test_no_line_is_wider_than_the_terminal(shared: Path, width: int) -> None:
    """Forty workflows of others fit, whatever their names."""
    for name, key in (("github-actions-structures", "workflows"), ("airflow-example-dags", "dags")):
        data = json.loads((shared / "data" / "graphs" / f"{name}.json").read_bytes())
        for workflow in data[key]:
            tasks = workflow.get("tasks") or workflow["jobs"]
            text = draw(wide({task["name"]: task["deps"] for task in tasks}), width=width)
            assert max(map(columns, text.splitlines())) <= width
            assert len(text.splitlines()) == len(tasks) + 3


@given(st.integers(0, 10**9), st.integers(51, 150), st.sampled_from([1, 3, 8]))
def test_every_step_of_many_is_told_once(seed: int, size: int, near: int) -> None:
    """Alone or among those alike; what is alike has as many of each kind before and after it."""
    luck = Random(seed)
    upstreams: dict[str, list[str]] = {}
    for at in range(size):
        drawn = {luck.randrange(at) // near * near for _ in range(2)} if at else set()
        upstreams[f"s{at}"] = [f"s{up}" for up in sorted(drawn)]
    made = words(wide(upstreams))
    compiled = graph.build(list(upstreams), list(upstreams.values()))
    folds = _alike(made, compiled)
    for fold in folds:
        for neighbours in (compiled.upstreams, compiled.downstreams):
            assert len({len(neighbours[step]) for step in fold}) == 1
        assert len({compiled.generations[step] for step in fold}) == 1
    lines = lay_out(compiled, folds, 16)
    assert sorted(step for line in lines for step in line.steps) == list(range(size))
    place = {step: at for at, line in enumerate(lines) for step in line.steps}
    assert all(place[up] < place[step] for step in place for up in compiled.upstreams[step])


def test_nothing_to_draw() -> None:
    """A workflow of one step, and one of none."""
    assert draw(wide({"only": []})).splitlines()[1:] == [
        "○  only  function nothing",
        "",
        "1 step, the longest path has 1",
    ]
    assert draw(wide({})) == "\n0 steps, the longest path has 0"


def test_words_for_what_runs() -> None:
    """The function's name where it is not the step's, under any partial."""
    steps = (
        Step("nothing", nothing),
        Step("a", partial(partial(nothing)), isolate=True),
        Step("b", lambda _: None, when=partial(few)),
        Step("c", lambda _: None, depends_on=["nothing"], when="nothing>1"),
    )
    assert [(step.runs, step.condition) for step in words(Definition("made", steps))] == [
        ("function", ""),
        ("isolated function nothing", ""),
        ("function", "function few"),
        ("function", "nothing > 1"),
    ]


def test_the_guide_shows_what_is_drawn(root: Path, tmp_path: Path) -> None:
    """The drawing in the guide is that of the workflow above it."""
    guide = (root / "docs" / "when-steps-run.md").read_text("utf-8")
    source = re.search(r"^# pipelines/branches\.py\n.*?(?=^```)", guide, re.MULTILINE | re.DOTALL)
    assert source
    (tmp_path / "branches.py").write_text(source[0], "utf-8")
    drawn = textwrap.indent(draw(load_file(tmp_path / "branches.py")), "    ")
    assert f"\n{drawn}\n" in guide


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a project with one workflow, whose command holds a secret."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds the project's root
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "60")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "two.py").write_text(
        "from engine import Step, Workflow, shell\n"
        'workflow = Workflow("two").add(Step("one", shell("curl -u me:hunter2hunter2")))\n'
        'workflow.add(Step("other", shell("true"), depends_on=["one"]))\n'
    )
    (tmp_path / "var").mkdir(mode=0o700)
    (tmp_path / "var" / "env").write_text("PASSWORD=hunter2hunter2\n")
    (tmp_path / "var" / "env").chmod(0o600)
    return tmp_path


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["two", "pipelines/two.py"])
def test_the_command_draws(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By name or file; a secret in a command is masked."""
    assert run_command(["graph", name]) == 0
    assert (
        capsys.readouterr().out
        == """\
   STEP   RUNS
●  one    $ curl -u me:***
○  other  $ true

2 steps, the longest path has 2
"""
    )


@pytest.mark.usefixtures("project")
def test_a_secret_that_is_cut_is_masked_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No narrow terminal shows a part of it."""
    monkeypatch.setenv("COLUMNS", "30")
    assert run_command(["graph", "two"]) == 0
    assert "●  one    $ curl -u me:***\n" in capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_the_command_prints_formats(capsys: pytest.CaptureFixture[str]) -> None:
    """Mermaid, Graphviz or JSON, one of them."""
    assert run_command(["graph", "two", "--format", "mermaid"]) == 0
    assert run_command(["graph", "two", "--format", "dot"]) == 0
    assert run_command(["graph", "two", "--json"]) == 0
    out = capsys.readouterr().out
    assert out.startswith('flowchart LR\n    s0[["one"]]\n')
    assert '\ndigraph "two" {\n' in out
    assert json.loads(out[out.index("\n{") :])["steps"][1]["depends_on"] == ["one"]
    assert run_command(["graph", "two", "--json", "--format", "dot"]) == 2


@pytest.mark.usefixtures("project")
def test_the_command_names_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown workflow and a file that is missing are usage errors."""
    assert run_command(["graph", "tow"]) == 2
    assert run_command(["graph", "pipelines/tow.py"]) == 2
    err = capsys.readouterr().err
    assert "error: there is no workflow 'tow'" in err
    assert "did you mean 'two'?" in err
    assert "error: there is no file 'pipelines/tow.py'" in err
