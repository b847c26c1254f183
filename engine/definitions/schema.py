"""The JSON Schema (2020-12) of a workflow in YAML or JSON, for editors; made from the tables.

It takes whatever the loader takes. The loader refuses more: names that nothing has, cycles.
"""

from __future__ import annotations

from typing import Any

from engine.definitions.fields import PARAMETER, STEP, WORKFLOW, Body, Field, Table
from engine.slots import Catchup


def schema() -> dict[str, Any]:
    """Give the schema of a whole file."""
    workflow = _mapping(WORKFLOW)
    properties = workflow["properties"]
    properties["$schema"] = {"type": "string", "description": "this schema, for editors"}
    properties["params"]["additionalProperties"] = {"$ref": "#/$defs/parameter"}
    properties["params"]["propertyNames"] = {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,99}$"}
    properties["steps"]["items"] = {"$ref": "#/$defs/step"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Kahnban workflow",
        **workflow,
        **_beside_schedule(),
        "$defs": {"step": _step(), "parameter": _parameter()},
    }


def _mapping(table: Table) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {one.name: _property(one) for one in table.fields.values()},
        "required": [one.name for one in table.fields.values() if one.required],
        "additionalProperties": False,
    }


def _beside_schedule() -> dict[str, Any]:
    """What works only with a schedule."""
    caught_up = {"catchup": {"enum": [Catchup.ALL, Catchup.NONE]}}
    return {
        "dependentRequired": {"deadline": ["schedule"]},
        "if": {"properties": caught_up, "required": ["catchup"]},
        "then": {"required": ["schedule"]},
    }


def _property(one: Field) -> dict[str, Any]:
    return {"description": one.help.replace("`", ""), **one.form.schema}


def _step() -> dict[str, Any]:
    """Either body, with the keys that go with it."""
    bodies = [Body.FUNCTION, Body.COMMAND]
    choices: list[dict[str, Any]] = []
    for body in bodies:
        others = [one.name for one in STEP.fields.values() if one.body not in (Body.ANY, body)]
        others += [other for other in bodies if other != body]
        choices.append({"required": [str(body)], "properties": dict.fromkeys(others, False)})
    isolated = {"required": ["isolate"], "properties": {"isolate": {"const": True}}}
    choices[0] |= {"if": {"required": ["grace"]}, "then": isolated}
    return {**_mapping(STEP), "oneOf": choices}


_VALUES = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
}


def _parameter() -> dict[str, Any]:
    """A plain default, or a mapping whose values are of its type."""
    mapping = _mapping(PARAMETER)
    rules: list[dict[str, Any]] = []
    for name in PARAMETER.fields["type"].form.schema["enum"]:
        value = _VALUES.get(name, {"type": "string"})
        then: dict[str, Any] = {
            "properties": {"default": value, "choices": {"type": "array", "items": value}}
        }
        if name == "choice":
            then["required"] = ["choices"]
        when = {"properties": {"type": {"const": name}}, "required": ["type"]}
        rules.append({"if": when, "then": then})
    wanted = [{"required": ["type"]}, {"required": ["default"]}]
    whole = {**mapping, "anyOf": wanted, "allOf": rules}
    return {"anyOf": [{"type": ["string", "number", "boolean"]}, whole]}
