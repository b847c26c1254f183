"""Workflows in YAML and JSON: from nodes to a definition, with all that is wrong told in one go.

First what the file itself says: keys, forms, names, the graph. Only when all of that holds are the
modules imported that it names.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from engine import graph
from engine.definitions import collection_forms
from engine.definitions.dotted_names import Names
from engine.definitions.fields import STEP, WORKFLOW, Body
from engine.definitions.forms import Asked, Faults
from engine.definitions.mappings import Mapped, read_fields
from engine.definitions.nodes import Kind, Node
from engine.definitions.parameters import read_params
from engine.definitions.source import Source, read_source, refusal
from engine.errors import CycleError, DefinitionError
from engine.model import Definition, Param, Step, shell
from engine.naming import did_you_mean, name_fault
from engine.records import record
from engine.slots import without_schedule
from engine.workflow import Workflow


@record
class Loaded:
    """A workflow from a file, and the modules that the file names, with where each was found."""

    definition: Definition
    imports: dict[str, str]


def load(path: Path, *, root: Path, called: str | None = None) -> Loaded:
    """Load the workflow in a file of the project at `root`; `called` is what its name must be.

    Raises `DefinitionError` with every fault of the file.
    """
    source = read_source(path)
    faults = Faults(source)
    workflow, steps = _read_workflow(_nodes(source), faults)
    _check_schedule(workflow, faults)
    name = _name_of(workflow, faults, called)
    params = read_params(workflow, faults)
    ordered = _check_graph(steps, faults)
    _check_conditions((workflow, steps, ordered), params, faults)
    _raise(faults)
    names = Names(path, root)
    made = [_made(step, names, faults) for step in steps]
    _raise(faults)
    given = ((key, workflow.values[key]) for key in workflow.values)
    options = {key: value for key, value in given if key not in ("name", "steps", "params")}
    try:
        whole = Workflow(name, params=params, **options)
        for step in made:
            assert step is not None
            whole.add(step)
        return Loaded(replace(whole.definition(), source=path.absolute()), names.imported)
    except DefinitionError as error:
        faults.add(workflow.place, error.message, error.hint)
        raise refusal(faults.source, faults.found) from None


def _nodes(source: Source) -> Node:
    if source.is_json:
        from engine.definitions import json_reader

        return json_reader.read(source)
    from engine.definitions import yaml_reader

    return yaml_reader.read(source)


def _raise(faults: Faults) -> None:
    if faults.found:
        raise refusal(faults.source, faults.found)


def _name_of(workflow: Mapped, faults: Faults, called: str | None) -> str:
    path = faults.source.path
    if "name" not in workflow.keys:
        fault = name_fault(path.stem)
        if fault:
            message = f"the workflow has no name, and its file's name '{path.stem}' {fault}"
            faults.add(workflow.place, message, "add it: `name: …`")
        return path.stem
    name = workflow.values["name"]
    if name is not None and called not in (None, name):
        message = f"the workflow is named '{name}', its file '{path.name}'"
        hint = f"leave name out, or rename the file to {name}{path.suffix}"
        faults.add(workflow.keys["name"], message, hint)
    return name or path.stem


# -- mappings -------------------------------------------------------------------------------------


def _read_workflow(root: Node, faults: Faults) -> tuple[Mapped, list[Mapped]]:
    if root.kind is not Kind.MAPPING:
        hint = "put the list under `steps:`" if root.kind is Kind.LIST else "write `steps:` first"
        if root.kind is Kind.LIST and any(_has_steps(item) for item in root.value):
            hint = "one file holds one workflow: take the dash and the indentation away"
            hint = "one file holds one workflow: take the [ ] away" if root.written else hint
        faults.add(root, f"the file is {root.shown()}, not a mapping with steps", hint)
        raise refusal(faults.source, faults.found)
    if faults.source.is_json:
        root.value = [pair for pair in root.value if pair[0].name != "$schema"]
    workflow = Mapped("", root)
    read_fields(workflow, WORKFLOW, faults)
    listed = workflow.values.get("steps")
    if listed is None:
        return workflow, []
    if not listed.value:
        faults.add(workflow.keys["steps"], "steps is empty", "give at least one step")
    return workflow, [_read_step(node, at, faults) for at, node in enumerate(listed.value, 1)]


def _check_schedule(workflow: Mapped, faults: Faults) -> None:
    if workflow.says("schedule"):
        return
    given = workflow.values
    for option, why, hint in without_schedule(given.get("catchup"), given.get("deadline")):
        faults.add(workflow.keys[option], why, hint)


def _has_steps(node: Node) -> bool:
    return node.kind is Kind.MAPPING and any(key.name == "steps" for key, _ in node.value)


def _read_step(node: Node, number: int, faults: Faults) -> Mapped:
    read = Mapped(f"step {number}", node)
    if node.kind is not Kind.MAPPING:
        faults.add(node, f"step {number} is {node.shown()}, not a mapping", "begin it with `name:`")
        return replace(read, node=Node(Kind.MAPPING, [], node.line, node.column))
    for key, value in node.value:
        if key.name == "name" and value.kind is Kind.TEXT and not name_fault(value.value):
            read.what = f"step '{value.value}'"
            break
    read_fields(read, STEP, faults)
    _check_body(read, faults)
    return read


def _check_body(step: Mapped, faults: Faults) -> None:
    bodies = [key for key in step.keys if key in (Body.FUNCTION, Body.COMMAND)]
    if not step.says(Body.FUNCTION, Body.COMMAND):
        hint = "give a Python function (`fn: …`) or a command (`command: …`)"
        faults.add(step.place, f"{step.what} has neither fn nor command", hint)
    if len(bodies) > 1:
        faults.add(step.keys[bodies[1]], f"{step.what} has both fn and command", "keep one")
    if len(bodies) != 1:
        return
    if "grace" in step.keys and bodies == [Body.FUNCTION] and not step.values.get("isolate"):
        hint = "add `isolate: true`, which makes the function a process to end"
        faults.add(step.keys["grace"], f"{step.what}: grace goes with a process", hint)
    for key, at in step.keys.items():
        known = STEP.fields.get(key)
        if known and known.body not in (Body.ANY, bodies[0]):
            faults.add(at, f"{step.what}: {key} goes with {known.body} only", _instead(key))


def _instead(key: str) -> str:
    return {
        "output": "in a function use ctx.output(path)",
        "isolate": "leave it out: a command is a process",
        "on_overrun": "leave it out: a command past its limit is killed",
    }.get(key, "leave it out")


# -- the graph ------------------------------------------------------------------------------------


def _check_graph(steps: list[Mapped], faults: Faults) -> graph.Graph | None:
    named: dict[str, Mapped] = {}
    misnamed: set[str] = set()  # what is wrong with these is told already
    count = len(faults.found)
    for step in steps:
        name = step.values.get("name")
        if name is None:
            misnamed |= {value.name for key, value in step.node.value if key.name == "name"}
            continue
        first = named.setdefault(name, step)
        if first is not step:
            message = f"two steps are named '{name}'; the first is in line {first.place.line}"
            faults.add(step.place, message, "take another name")
    for step in steps:
        for wanted in step.values.get("depends_on") or ():
            known = wanted in named or wanted in misnamed
            if not known or wanted == step.values.get("name"):
                _unfit_edge(step, wanted, named, faults)
    edges = {name: _sound_edges(name, step, named) for name, step in named.items()}
    ordered = _ordered(edges, named, faults)
    return ordered if len(faults.found) == count and len(named) == len(steps) else None


def _sound_edges(name: str, step: Mapped, named: dict[str, Mapped]) -> list[str]:
    wanted = step.values.get("depends_on") or ()
    return [one for one in wanted if one in named and one != name]


def _ordered(
    edges: dict[str, list[str]], named: dict[str, Mapped], faults: Faults
) -> graph.Graph | None:
    """Order the steps; tell the cycles that share no step with one told before."""
    for _ in range(_CYCLES_MAX if len(edges) <= _LOOKED_AT_AGAIN_MAX else 1):
        try:
            return graph.build(list(edges), list(edges.values()))
        except CycleError as error:
            faults.add(named[error.path[0]].keys["depends_on"], error.message, error.hint)
            ring = set(error.path)
            edges = {
                name: [one for one in wanted if one not in ring]
                for name, wanted in edges.items()
                if name not in ring
            }
    return None


_CYCLES_MAX = 10  # each costs another ordering
_LOOKED_AT_AGAIN_MAX = 20_000


def _unfit_edge(step: Mapped, wanted: str, named: dict[str, Mapped], faults: Faults) -> None:
    asked = Asked(step.what, step.keys["depends_on"], faults)
    item = None if faults.are_many else step.item("depends_on", wanted)
    if wanted == step.values.get("name"):
        asked.wrong("depends on itself", "take it out of depends_on", item)
        return
    few = len(named) <= _NAMES_COMPARED_MAX and not faults.are_many
    guess = did_you_mean(wanted, named) if few else ""
    some = ", ".join(islice(named, 20)) + (", …" if len(named) > 20 else "")
    hint = guess or (f"the steps are {some}" if named else "give its name, or take it out")
    if "," in wanted:
        hint = f"write {collection_forms.names_in(wanted, faults.source)}: each name by itself"
    asked.wrong(f"depends on unknown step '{wanted}'", hint, item)


_NAMES_COMPARED_MAX = 200  # a guess among more takes too long


def _check_conditions(
    read: tuple[Mapped, list[Mapped], graph.Graph | None], params: dict[str, Param], faults: Faults
) -> None:
    """Check each `when`: against the graph if that is sound, else for what is wrong in itself."""
    workflow, steps, ordered = read
    asking = [step for step in steps if step.values.get("when") is not None]
    if not asking:
        return
    from engine.definitions import conditions

    listed = workflow.values.get("params")
    known: dict[str, Param | None] = {}
    known |= {key.name: params.get(key.name) for key, _ in (listed.value if listed else ())}
    named = [step.values for step in steps if step.values.get("name")]
    rules = {values["name"]: values.get("trigger_rule") for values in named}
    scope_of = conditions.scopes_of(ordered, rules, known)
    for step in asking:
        key, value = next(pair for pair in step.node.value if pair[0].name == "when")
        scope = scope_of(step.values.get("name") or "")
        step.values["when"] = conditions.check(step.what, key, value, scope, faults)


# -- steps ----------------------------------------------------------------------------------------

_SHELL = ("env", "cwd", "ok_codes")


def _made(read: Mapped, names: Names, faults: Faults) -> Step | None:
    """Make the step, importing what it names."""
    given = {key: value for key, value in read.values.items() if key not in ("command", "fn")}
    at = read.place
    try:
        if "fn" in read.values:
            at = read.keys["fn"]
            body: Any = names.function(read.values["fn"])
        else:
            options = {key: given.pop(key) for key in _SHELL if key in given}
            body = shell(read.values["command"], **options)
        if "retry_on" in given:
            at = read.keys["retry_on"]
            given["retry_on"] = tuple(map(names.exception, given["retry_on"]))
        at = read.place
        return Step(given.pop("name"), body, **given)
    except DefinitionError as error:
        message = error.message.removeprefix(f"{read.what}: ")
        faults.add(at, f"{read.what}: {message}", error.hint, lines=True)
        return None
