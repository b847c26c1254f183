"""The tables of keys, the model they stand for, and the JSON Schema made from them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as some

from engine.definitions import load_file, yaml_reader
from engine.definitions.fields import PARAMETER, PYTHON_ONLY, STEP, WORKFLOW, Body
from engine.definitions.loader import look_at
from engine.definitions.nodes import Kind, Node
from engine.definitions.schema import schema
from engine.definitions.source import read_source
from engine.errors import DefinitionError
from engine.model import Param, Shell, Step
from engine.param_values import TYPE_NAMES
from engine.workflow import Workflow

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCHEMA = schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CASES = re.compile(r"^===== [^\n]+ \(\.yaml\)\n(.*?)\n@ ", re.MULTILINE | re.DOTALL)
# What no schema can tell, or what YAML's own reader has already made something else of.
BEYOND = re.compile(
    r"given twice|the first is in line|depends on|cycle|is written|out of range|"
    r"schedule is .[a-z@0-9]|"
    r"not an IANA|looks like a secret|which is no dotted|name of a type|none of its choices|"
    r"not a date|ends within quotes|normal form|🚀|200 bytes|NUL|anchor|many digits|"
    r"number 2\.0|no module|when: unknown|only with a type"
)


def takes(data: Any) -> bool:
    """Tell whether the schema takes a value."""
    return bool(VALIDATOR.is_valid(data))


def loads(data: Any, folder: Path) -> str:
    """Say what the loader finds wrong with a value; nothing if it takes it."""
    path = folder / "flow.json"
    path.write_text(json.dumps(data), "utf-8")
    try:
        load_file(path)
    except DefinitionError as error:
        return error.message
    return ""


def test_the_schema_is_one() -> None:
    """It is a JSON Schema of the edition it names, and the file in the documents is the same."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    kept = (ROOT / "docs/workflow.schema.json").read_text("utf-8")
    assert json.loads(kept) == SCHEMA, "python -m engine check --schema > docs/workflow.schema.json"


def test_the_keys_are_those_of_the_model() -> None:
    """What Python takes, a file takes, in the same words; `run` is fn or command there."""
    of_step = {one.name for one in fields(Step) if one.init} - {"run", *PYTHON_ONLY}
    of_shell = {one.name for one in fields(Shell)}
    assert set(STEP.names) == of_step | of_shell | {"fn"}
    assert {name for name, one in STEP.fields.items() if one.body is Body.COMMAND} == (
        of_shell - {"command"} | {"output"}
    )
    signature = list(inspect.signature(Workflow.__init__).parameters)[1:]
    assert set(WORKFLOW.names) == {*signature, "steps"}
    assert set(PARAMETER.names) == {one.name for one in fields(Param)} - {"kind"} | {"type"}


def test_words_of_other_tools_mean_a_key() -> None:
    """No word is a key itself, and what it means is one."""
    for table in (WORKFLOW, STEP, PARAMETER):
        assert not set(table.elsewhere) & set(table.names)
        assert set(table.elsewhere.values()) <= set(table.names)


COMMAND = {"name": "a", "command": "x"}
FUNCTION = {"name": "a", "fn": "posixpath.basename"}
STEP_VALUES: dict[str, tuple[dict[str, str], list[Any], list[Any]]] = {
    "name": (COMMAND, ["a", "a.b-c_d", "5", "é", "名前"], ["", "-a", ".a", "a/b", "a b", 1, None]),
    "fn": ({"name": "a"}, ["posixpath.basename"], ["", "basename", "a:b", 1, ["a.b"]]),
    "command": ({"name": "a"}, ["x", ["x"], ["x", ""]], ["", " ", [], [""], [1], 1, None, {}]),
    "depends_on": (COMMAND, [[]], ["b", [1], {}, None]),
    "retries": (COMMAND, [0, 1000], [-1, 1001, 1.5, "2", True, None]),
    "timeout": (COMMAND, [1, 0.5, "90s", "1h30m", "1.5m"], [0, -1, "5 minutes", "", "-1s", True]),
    "max_duration": (COMMAND, [1, "90s"], [0, "5 minutes", True]),
    "trigger_rule": (COMMAND, ["all_done", "none_failed"], ["always", 1, None]),
    "backoff": (COMMAND, [0, "0s", 5], [-1, "x", [], None]),
    "backoff_max": (COMMAND, [0, "1h"], [-1, "1 h"]),
    "retry_on": (COMMAND, ["OSError", ["OSError", "json.JSONDecodeError"], []], [1, [1], None]),
    "output": (COMMAND, ["a/b"], ["", 1, ["a"]]),
    "env": (COMMAND, [{}, {"A": "b", "x y": ""}], [{"A": 1}, {"OUT": "x"}, {"": "x"}, [], "A=b"]),
    "cwd": (COMMAND, ["/tmp", "a"], ["", 1]),
    "ok_codes": (COMMAND, [[0], [0, 255]], [[], [256], [-1], 0, ["0"]]),
    "version": (COMMAND, ["", "1"], [1, 1.5, None]),
    "on_overrun": (FUNCTION, ["wait"], ["x", True]),
    "isolate": (FUNCTION, [True, False], ["yes", 1, "true"]),
    "grace": (COMMAND, [0, "10s"], [-1, "x"]),
}
WORKFLOW_VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "name": (["a", "é"], ["", "a b", 1]),
    "description": (["", "x"], [1, []]),
    "schedule": (["daily", "Mon..Fri *-*-* 08:00", "*:0/15", "Sat 12:00 UTC", "@daily"], ["", 8]),
    "tz": (["UTC", "Europe/Berlin"], ["", 1]),
    "catchup": (["latest", "all", "none"], ["newest", True, 1]),
    "pause_after": ([1, 1000], [0, 1001, True, "3"]),
    "deadline": (["09:30", "23:59", "2h", 60], ["24:00", "9:30", "", 0, True]),
    "max_duration": ([1, "2h"], [0, "x", None]),
    "ping": (["PING_DAILY", "_p1"], ["", "https://example.org/x", "1a", 1]),
    "hardening": (["strict", "kernel private-tmp"], ["", "lax", 1]),
    "params": (
        [{}, {"a": 1, "b": "x", "c": True, "d": 1.5}, {"a": {"type": "str"}}],
        [[], {"a-b": 1}, {"a": None}, {"a": []}, {"a": {}}],
    ),
    "overlap": (["params", "workflow"], ["no", 1]),
    "resume_within": ([0, "12h"], [-1, "x"]),
    "alert_on": (["failure", "change"], ["x", ["failure"]]),
    "order": (["longest_path", "fifo"], ["lifo", ["fifo"], 1]),
    "dry_run": ([True, False], ["true", 1, None]),
}
PARAMETERS: list[tuple[dict[str, Any], bool]] = [
    *(({"type": name}, name != "choice") for name in TYPE_NAMES),
    ({"default": 3}, True),
    ({"type": "int", "default": "3"}, False),
    ({"type": "int", "default": 3, "choices": [1, 3], "help": "x"}, True),
    ({"type": "int", "choices": [1, "x"]}, False),
    ({"type": "float", "default": 3}, True),
    ({"type": "bool", "default": 1}, False),
    ({"type": "date", "default": "today"}, True),
    ({"type": "date", "default": 2026}, False),
    ({"type": "choice", "choices": ["a"], "default": "a"}, True),
    ({"choices": ["a"]}, False),
    ({"type": "path", "default": "a/b", "help": 1}, False),
    ({"type": "str", "odd": 1}, False),
]


def files() -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Give whole files, each with one value of a key, and whether it is right."""
    for key, (step, good, bad) in STEP_VALUES.items():
        for value in [*good, *bad]:
            right = any(value is one for one in good)
            yield f"step {key} {value!r}", {"steps": [{**step, key: value}]}, right
    for key, (good, bad) in WORKFLOW_VALUES.items():
        for value in [*good, *bad]:
            right = any(value is one for one in good)
            beside = {"schedule": "daily"} if key in ("catchup", "deadline") else {}
            yield f"{key} {value!r}", {**beside, key: value, "steps": [COMMAND]}, right
    for param, right in PARAMETERS:
        yield f"param {param}", {"params": {"p": param}, "steps": [COMMAND]}, right
    wholes: list[tuple[dict[str, Any], bool]] = [
        ({}, False),
        ({"steps": []}, False),
        ({"steps": {}}, False),
        ({"steps": [COMMAND], "$schema": "x"}, True),
        ({"steps": [COMMAND], "deadline": "2h"}, False),
        ({"steps": [COMMAND], "catchup": "none"}, False),
        ({"steps": [COMMAND], "catchup": "latest"}, True),
        ({"steps": [{**COMMAND, "fn": "a.b"}]}, False),
        ({"steps": [{"name": "a"}]}, False),
        ({"steps": [{**COMMAND, "odd": 1}]}, False),
        ({"steps": [{**COMMAND, "isolate": False}]}, False),
        ({"steps": [{**FUNCTION, "env": {}}]}, False),
        ({"steps": [{**FUNCTION, "grace": 3}]}, False),
        ({"steps": [{**FUNCTION, "grace": 3, "isolate": True}]}, True),
        ({"steps": [{**FUNCTION, "output": "x"}]}, False),
    ]
    for whole, right in wholes:
        yield str(whole), whole, right


@pytest.mark.parametrize(
    ("data", "right"), [pytest.param(*rest, id=name) for name, *rest in files()]
)
def test_schema_and_loader_agree(data: dict[str, Any], right: bool, tmp_path: Path) -> None:
    """Each key is taken and refused by both alike."""
    assert (loads(data, tmp_path) == "") is right
    assert takes(data) is right


def test_every_key_is_tried() -> None:
    """The tables above leave none out."""
    assert [*STEP_VALUES] == [name for name in STEP.names if name != "when"]
    assert [*WORKFLOW_VALUES, "steps"] == WORKFLOW.names


def plain(node: Node) -> Any:
    """Give a node as the value that a JSON file would hold."""
    match node.kind:
        case Kind.MAPPING:
            return {key.name: plain(value) for key, value in node.value}
        case Kind.LIST:
            return [plain(item) for item in node.value]
        case _:
            return node.value


def test_the_schema_refuses_wrong_definitions(tmp_path: Path) -> None:
    """Of the cases that are YAML at all, it refuses those that a schema can tell."""
    text = (HERE / "wrong_definitions.txt").read_text("utf-8")
    cases = [f"{case}\n" for case in CASES.findall(text)]
    cases += [path.read_text("utf-8") for path in (HERE.parent / "bad_definitions").glob("*.yaml")]
    tried = 0
    path = tmp_path / "flow.yaml"
    for case in cases:
        path.write_text(case, "utf-8")
        error = look_at(path, in_folder=False).error
        try:
            data = plain(yaml_reader.read(read_source(path)))
        except DefinitionError:
            continue
        if error is None:
            assert takes(data), case
        elif not all(BEYOND.search(fault.message) for fault in getattr(error, "faults", ())):
            assert not takes(data), case
            tried += 1
    assert tried > 70


DURATIONS = some.one_of(
    some.integers(1, 10_000), some.floats(0.001, 1e6), some.sampled_from(["1s", "5m", "1h30m"])
)
TEXT = some.text(
    some.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1
).filter(str.strip)
GOOD_STEP = some.fixed_dictionaries(
    {"command": some.one_of(TEXT, some.lists(TEXT, min_size=1))},
    optional={
        "retries": some.integers(0, 1000),
        "timeout": DURATIONS,
        "backoff": DURATIONS,
        "grace": DURATIONS,
        "trigger_rule": some.sampled_from(["all_success", "all_done"]),
        "env": some.dictionaries(some.from_regex(r"[A-Z]{1,5}_", fullmatch=True), TEXT),
        "cwd": TEXT,
        "version": TEXT,
        "ok_codes": some.lists(some.integers(0, 255), min_size=1),
    },
)


class Quoting(yaml.SafeDumper):
    """Puts all text in quotes: PyYAML leaves `0E0` plain, which is text to YAML 1.1 alone."""

    def represent_text(self, text: str) -> yaml.Node:
        """Give a quoted scalar."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"')


Quoting.add_representer(str, Quoting.represent_text)


@settings(max_examples=40, deadline=None)
@given(steps=some.lists(GOOD_STEP, min_size=1, max_size=4), description=TEXT)
@example(steps=[{"command": "0E0"}], description="0o7")
def test_good_files_are_taken(
    steps: list[dict[str, Any]], description: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What is made of right values is taken by both, from JSON and from YAML."""
    named = [{"name": f"s{at}", **step} for at, step in enumerate(steps)]
    data = {"description": description, "steps": named}
    folder = tmp_path_factory.mktemp("good")
    assert loads(data, folder) == ""
    assert takes(data)
    path = folder / "flow.yaml"
    path.write_text(yaml.dump(data, Dumper=Quoting, allow_unicode=True), "utf-8")
    again = load_file(path)
    assert again.description == description
    assert again.steps == load_file(folder / "flow.json").steps
