"""Workflows in YAML and JSON: from nodes to a definition, with all that is wrong told in one go.

First what the file itself says: keys, forms, names, the graph. Only when all of that holds are the
modules imported that it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from engine import graph
from engine.definitions import callables
from engine.definitions.fields import PARAMETER, STEP, WORKFLOW, Body, Field
from engine.definitions.forms import Asked, Faults, unique_pairs
from engine.definitions.nodes import Kind, Node
from engine.definitions.source import Source, read_source, refusal
from engine.errors import CycleError, DefinitionError
from engine.model import REQUIRED, Definition, Param, Step, shell
from engine.naming import did_you_mean, name_fault
from engine.params import check_param
from engine.workflow import Workflow

_STEP = {one.name: one for one in STEP}
_WORKFLOW = {one.name: one for one in WORKFLOW}
_PARAMETER = {one.name: one for one in PARAMETER}
_PYTHON_ONLY = {"retry": "retries, retry_on", "wait": "backoff, backoff_max", "run": "fn, command"}
_KINDS: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "date": date,
    "datetime": datetime,
    "path": Path,
    "choice": str,
}


@dataclass(slots=True)
class _Read:
    """A mapping whose keys have been read: values by key, and where each key stands."""

    what: str
    node: Node
    values: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Node] = field(default_factory=dict)

    @property
    def place(self) -> Node:
        """Where a fault of the whole stands: at the name, else at the first key."""
        named = self.keys.get("name")
        if named is None and self.node.value:
            named = self.node.value[0][0]
        return named or self.node


def load(path: Path) -> Definition:
    """Load the workflow in a file. Raises `DefinitionError` with every fault of the file."""
    source = read_source(path)
    faults = Faults(source)
    root = _nodes(source)
    workflow, steps = _read_workflow(root, faults)
    name = workflow.values.get("name") or _name_of(path, workflow, faults)
    params = _read_params(workflow, faults)
    _check_graph(steps, faults)
    _check_conditions(steps, faults)
    _raise(faults)
    made = [_made(step, faults) for step in steps]
    _raise(faults)
    options = {
        key: value
        for key, value in workflow.values.items()
        if key not in ("name", "steps", "params")
    }
    try:
        whole = Workflow(name, params=params, **options)
        for step in made:
            assert step is not None
            whole.add(step)
        return replace(whole.definition(), source=path.absolute())
    except DefinitionError as error:
        faults.add(workflow.place, error.message, error.hint)
        raise refusal(faults.found) from None


def _nodes(source: Source) -> Node:
    if source.is_json:
        from engine.definitions import json_reader

        return json_reader.read(source)
    from engine.definitions import yaml_reader

    return yaml_reader.read(source)


def _raise(faults: Faults) -> None:
    if faults.found:
        raise refusal(faults.found)


def _name_of(path: Path, workflow: _Read, faults: Faults) -> str:
    if "name" not in workflow.keys and name_fault(path.stem):
        what = f"the workflow has no name, and the file's name {name_fault(path.stem)}"
        faults.add(workflow.place, what, "give it one: `name: …`")
    return path.stem


# -- mappings -------------------------------------------------------------------------------------


def _read_fields(read: _Read, table: dict[str, Field], faults: Faults) -> None:
    """Read what a mapping says by the table of what it may say."""
    lead = f"{read.what}: " if read.what else ""
    for key, value in unique_pairs(read.node, read.what, faults):
        known = table.get(key.name)
        read.keys[key.name] = key
        if known is None:
            faults.add(key, f"{lead}unknown key '{key.name}'", _meant(key.name, table))
            continue
        asked = Asked(f"{lead}{key.name}", key, faults)
        read.values[key.name] = known.form.of(asked, value)
    for known in table.values():
        if known.required and known.name not in read.keys:
            message = f"{read.what or 'the workflow'} has no {known.name}"
            faults.add(read.place, message, f"add `{known.name}`: {known.form.words}")


def _meant(key: str, table: dict[str, Field]) -> str:
    if table is _STEP and key in _PYTHON_ONLY:
        return f"that is only in Python; here there are {_PYTHON_ONLY[key]}"
    guess = did_you_mean(key, table)
    return f"{guess} known keys are {', '.join(table)}".lstrip()


def _read_workflow(root: Node, faults: Faults) -> tuple[_Read, list[_Read]]:
    if root.kind is not Kind.MAPPING:
        hint = "put the list under `steps:`" if root.kind is Kind.LIST else "write `steps:` first"
        faults.add(root, f"the file holds {root.kind}, not a mapping with steps", hint)
        raise refusal(faults.found)
    if faults.source.is_json:
        root.value = [pair for pair in root.value if pair[0].name != "$schema"]
    workflow = _Read("", root)
    _read_fields(workflow, _WORKFLOW, faults)
    listed = workflow.values.get("steps")
    if listed is None:
        return workflow, []
    if not listed.value:
        faults.add(workflow.keys["steps"], "steps is empty", "give at least one step")
    return workflow, [_read_step(node, at, faults) for at, node in enumerate(listed.value, 1)]


def _read_step(node: Node, number: int, faults: Faults) -> _Read:
    read = _Read(f"step {number}", node)
    if node.kind is not Kind.MAPPING:
        faults.add(node, f"step {number} is {node.shown()}, not a mapping", "begin it with `name:`")
        return replace(read, node=Node(Kind.MAPPING, [], node.line, node.column))
    for key, value in node.value:
        if key.name == "name" and value.kind is Kind.TEXT and not name_fault(value.value):
            read.what = f"step '{value.value}'"
            break
    _read_fields(read, _STEP, faults)
    _check_body(read, faults)
    return read


def _check_body(step: _Read, faults: Faults) -> None:
    bodies = [key for key in step.keys if key in (Body.FUNCTION, Body.COMMAND)]
    if not bodies:
        hint = "give a Python function (`fn: …`) or a command (`command: …`)"
        faults.add(step.place, f"{step.what} has neither fn nor command", hint)
    if len(bodies) > 1:
        faults.add(step.keys[bodies[1]], f"{step.what} has both fn and command", "keep one")
    if len(bodies) != 1:
        return
    for key, at in step.keys.items():
        known = _STEP.get(key)
        if known and known.body not in (Body.ANY, bodies[0]):
            faults.add(at, f"{step.what}: {key} goes with {known.body} only", "leave it out")


# -- the graph ------------------------------------------------------------------------------------


def _check_graph(steps: list[_Read], faults: Faults) -> None:
    named: dict[str, _Read] = {}
    for step in steps:
        name = step.values.get("name")
        if name is None:
            continue
        first = named.setdefault(name, step)
        if first is not step:
            message = f"two steps are named '{name}'; the first is in line {first.place.line}"
            faults.add(step.place, message, "take another name")
    edges = {name: list(step.values.get("depends_on") or ()) for name, step in named.items()}
    for name, step in named.items():
        for wanted in edges[name]:
            if wanted not in named:
                message = f"step '{name}' depends on unknown step '{wanted}'"
                hint = did_you_mean(wanted, named) or f"the steps are {', '.join(named)}"
                faults.add(step.keys["depends_on"], message, hint)
            elif wanted == name:
                message = f"step '{name}' depends on itself"
                faults.add(step.keys["depends_on"], message, "take it out of depends_on")
    if faults.found:
        return
    try:
        graph.build(list(edges), list(edges.values()))
    except CycleError as error:
        faults.add(named[error.path[0]].keys["depends_on"], error.message, error.hint)


def _check_conditions(steps: list[_Read], faults: Faults) -> None:
    """Make of each step's text for `when` what decides it at run time."""
    for step in steps:
        if step.values.get("when") is not None:
            hint = "write the workflow in Python for now: Step(…, when=…)"
            faults.add(step.keys["when"], f"{step.what}: when cannot be read yet", hint)


# -- parameters -----------------------------------------------------------------------------------


def _read_params(workflow: _Read, faults: Faults) -> dict[str, Param]:
    found: dict[str, Param] = {}
    node = workflow.values.get("params")
    for key, value in unique_pairs(node, "params", faults) if node else ():
        count = len(faults.found)
        param = _read_param(key, value, faults)
        if len(faults.found) > count:
            continue
        try:
            found[key.name] = check_param(key.name, param)
        except DefinitionError as error:
            faults.add(key, error.message, error.hint)
    return found


def _read_param(key: Node, value: Node, faults: Faults) -> Any:
    what = f"parameter '{key.name}'"
    if value.kind in (Kind.NOTHING, Kind.LIST):
        hint = "give a default, or {type: str} for one that must be given"
        faults.add(key, f"{what} is {value.shown()}", hint)
        return None
    if value.kind is not Kind.MAPPING:
        return value.value
    read = _Read(what, value)
    plain = {inner.name: given for inner, given in value.value}
    table = {name: known for name, known in _PARAMETER.items() if name != "default"}
    given = Node(Kind.MAPPING, [pair for pair in value.value if pair[0].name != "default"], 0, 0)
    read.node = given if given.value else value
    _read_fields(read, table, faults)
    choices = read.values.get("choices")
    default = plain.get("default")
    return Param(
        _KINDS[read.values.get("type") or "str"],
        REQUIRED if default is None else default.value,
        tuple(item.value for item in choices.value) if choices else (),
        read.values.get("help") or "",
    )


# -- steps ----------------------------------------------------------------------------------------

_SHELL = ("env", "cwd", "ok_codes")


def _made(read: _Read, faults: Faults) -> Step | None:
    """Make the step, importing what it names."""
    given = {key: value for key, value in read.values.items() if key not in ("command", "fn")}
    at = read.place
    try:
        if "fn" in read.values:
            at = read.keys["fn"]
            body: Any = callables.function(read.values["fn"])
        else:
            options = {key: given.pop(key) for key in _SHELL if key in given}
            body = shell(read.values["command"], **options)
        if "retry_on" in given:
            at = read.keys["retry_on"]
            given["retry_on"] = tuple(map(callables.exception, given["retry_on"]))
        at = read.place
        return Step(given.pop("name"), body, **given)
    except DefinitionError as error:
        faults.add(at, error.message, error.hint)
        return None
