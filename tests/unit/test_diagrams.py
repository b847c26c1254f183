"""What `graph` prints for Mermaid, Graphviz and programs: exact texts, and no name breaks out."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from engine.model import Definition, Step, shell
from engine.reports import diagrams
from engine.reports.step_words import StepWords, words_of
from tests.builders import nothing

HARD = """a\\b "c" <d> & #quot; `e` _f_ [g] {h} | ; %% 工程 \x1b[31m --> end"""


def few(ctx: Any) -> bool:
    """Be a condition with a name."""
    return not ctx


def words(definition: Definition) -> list[StepWords]:
    """Put a workflow that holds no secret into words."""
    return words_of(definition, str)


BRANCHES = words(
    Definition(
        "branches",
        (
            Step("count", nothing),
            Step("few", shell("echo few"), depends_on=["count"], when=few),
            Step("many", shell("echo"), depends_on=["count"], when=lambda ctx: ctx),
            Step("join", nothing, depends_on=["few", "many"], trigger_rule="none_failed"),
            Step("工程", nothing, depends_on=["join"], trigger_rule="all_done"),
        ),
    )
)


def hard() -> Definition:
    """Make a workflow of names that mean something in the languages, and a hostile condition."""

    def when(ctx: Any) -> bool:
        return bool(ctx)

    when.__name__ = HARD
    names = ["end", "subgraph", "graph", "1.", "x--", "default", "a-b.c", "日本語"]
    steps = [Step(name, nothing, names[:place][-1:]) for place, name in enumerate(names)]
    return Definition("1-hard.one", (*steps, Step("o", nothing, ["end"], when=when)))


def test_mermaid() -> None:
    """Names are labels of made ids; commands have a shape of their own."""
    assert (
        diagrams.mermaid(BRANCHES)
        == """\
flowchart LR
    s0["count"]
    s1[["few<br/>when function few"]]
    s2[["many<br/>when a function"]]
    s3["join<br/>none_failed"]
    s4["工程<br/>all_done"]
    s0 --> s1
    s0 --> s2
    s1 --> s3
    s2 --> s3
    s3 --> s4"""
    )


def test_mermaid_escapes() -> None:
    """Whatever is not a letter, a digit or harmless is a number."""
    lines = diagrams.mermaid(words(hard())).splitlines()
    assert lines[1:9] == [
        '    s0["end"]',
        '    s1["subgraph"]',
        '    s2["graph"]',
        '    s3["#49;#46;"]',
        '    s4["x--"]',
        '    s5["default"]',
        '    s6["a-b.c"]',
        '    s7["日本語"]',
    ]
    assert lines[9] == (
        '    s8["o<br/>when function a#92;b #34;c#34; #60;d#62; #38; #35;quot#59; #96;e#96;'
        ' #95;f#95; #91;g#93; #123;h#125; #124; #59; #37;#37; 工程 #92;x1b#91;31m --#62; end"]'
    )


def test_dot() -> None:
    """Names are quoted ids; rules and conditions are lines of the label."""
    assert (
        diagrams.dot("branches", BRANCHES)
        == r"""
digraph "branches" {
    rankdir=LR;
    node [shape=box];
    "count" [label="count"];
    "few" [label="few\nwhen function few", shape=component];
    "many" [label="many\nwhen a function", shape=component];
    "join" [label="join\nnone_failed"];
    "工程" [label="工程\nall_done"];
    "count" -> "few";
    "count" -> "many";
    "few" -> "join";
    "many" -> "join";
    "join" -> "工程";
}""".lstrip("\n")
    )


def test_graphviz_reads_dot() -> None:
    """Graphviz itself gives back every name, label and edge."""
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed (apt-get install graphviz)")
    made = hard()
    done = subprocess.run(
        ["dot", "-Tjson0"],
        input=diagrams.dot(made.name, words(made)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    read = json.loads(done.stdout)
    names = [node["name"] for node in read["objects"]]
    assert names == [step.name for step in made.steps]
    edges = {(names[edge["tail"]], names[edge["head"]]) for edge in read["edges"]}
    assert edges == {(up, step.name) for step in made.steps for up in step.depends_on}
    label = read["objects"][-1]["label"]
    text = HARD.replace("\x1b", "\\x1b").replace("&", "&amp;")
    assert label.replace("\\\\", "\\") == f"o\\nwhen function {text}"


def test_json() -> None:
    """Names, edges and rules, for programs."""
    made = diagrams.as_json("branches", BRANCHES)
    assert made["name"] == "branches"
    assert made["steps"][1] == {
        "name": "few",
        "kind": "command",
        "depends_on": ["count"],
        "trigger_rule": "all_success",
        "when": "function few",
    }
