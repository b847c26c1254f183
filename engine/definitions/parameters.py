"""A workflow's parameters, as a file says them."""

from __future__ import annotations

from typing import Any

from engine.definitions.fields import PARAMETER
from engine.definitions.forms import Asked, Faults, is_plain, is_secret, unique_pairs
from engine.definitions.mappings import Mapped, read_fields
from engine.definitions.nodes import DIGITS_MAX, Kind, Node
from engine.errors import DefinitionError
from engine.model import REQUIRED, Param
from engine.param_values import CHOICE, TYPE_NAMES
from engine.params import check_param


def read_params(workflow: Mapped, faults: Faults) -> dict[str, Param]:
    """Give the parameters that hold; what is wrong with the others is noted."""
    found: dict[str, Param] = {}
    node = workflow.values.get("params")
    for key, value in unique_pairs(node, "params", faults) if node else ():
        count = len(faults.found)
        param, keys = _read_param(key, value, faults)
        if len(faults.found) > count:
            continue
        if (
            is_secret(key.name)
            and param.type in ("str", CHOICE)
            and param.default not in (REQUIRED, "")
        ):
            hint = "parameters are recorded: read it with ctx.secret, or from `env` of the home"
            faults.add(key, f"parameter '{key.name}' looks like a secret", hint)
        try:
            found[key.name] = check_param(key.name, param)
        except DefinitionError as error:
            words = error.message.split(": ", 1)[-1]
            faults.add(keys.get(words.split(" ")[0], key), error.message, error.hint)
    return found


def _read_param(key: Node, value: Node, faults: Faults) -> tuple[Any, dict[str, Node]]:
    """Give what makes the parameter, and its keys; `check_param` does the rest."""
    asked = Asked(f"parameter '{key.name}'", key, faults)
    if value.kind is Kind.MAPPING:
        read = Mapped(asked.what, value)
        read_fields(read, PARAMETER, faults)
        return _from_mapping(read, asked), read.keys
    if value.kind in (Kind.NOTHING, Kind.LIST):
        hint = "write a default, {type: str} for one that must be given, or {choices: […], …}"
        return asked.wrong(f"is {value.shown()}", hint), {}
    if value.kind is Kind.TEXT and value.written in TYPE_NAMES:
        hint = f'write {{type: {value.value}}}, or "{value.value}" if that text is the default'
        return asked.wrong(f"has the default {value.value}, the name of a type", hint), {}
    if _is_a_day(value):
        return _no_text(asked, value), {}
    default = _fitting(asked, "is", value, value.kind)
    return Param(_BY_DEFAULT[value.kind], default), {}


def _is_a_day(node: Node) -> bool:
    """Whether it would be text, and hardly is meant so: in quotes it is."""
    return node.kind is Kind.TEXT and node.written in ("today", "yesterday")


def _no_text(asked: Asked, node: Node) -> Any:
    hint = f'write {{type: date, default: {node.value}}}, or "{node.value}" if it is that text'
    said = f"has the default {node.value}, which is a day only with a type"
    return asked.wrong(said, hint)


def _from_mapping(read: Mapped, asked: Asked) -> Param | None:
    """Make a parameter of what its mapping says."""
    default: Any = read.values.get("default")
    choices, named = read.values.get("choices"), read.values.get("type")
    if named is None and default is None:
        if not read.says("type", "default"):
            asked.wrong("has neither type nor default", "add `type: str`")
        return None
    if named == CHOICE and not (choices and choices.value):
        if choices is not None or "choices" not in read.keys:  # else that is told
            place = read.keys.get("choices", asked.key)
            asked.faults.add(place, f"{asked.what} has no choices", "add `choices: [a, b]`")
        return None
    if named is None and _is_a_day(default):
        return _no_text(asked, default)  # type: ignore[no-any-return]
    type_name = named or _BY_DEFAULT[default.kind]
    fitting = _BY_TYPE.get(type_name, Kind.TEXT)
    at = {
        key: Asked(f"{asked.what}: {key}", read.keys.get(key, asked.key), asked.faults)
        for key in ("default", "choices")
    }
    return Param(
        type_name,
        REQUIRED if default is None else _fitting(at["default"], "is", default, fitting),
        tuple(
            _fitting(at["choices"], "holds", item, fitting)
            for item in (choices.value if choices else ())
        ),
        read.values.get("help") or "",
    )


_BY_DEFAULT = {
    Kind.TEXT: "str",
    Kind.INTEGER: "int",
    Kind.NUMBER: "float",
    Kind.BOOLEAN: "bool",
}
_BY_TYPE = {name: kind for kind, name in _BY_DEFAULT.items()}


def _fitting(asked: Asked, verb: str, node: Node, fitting: Kind) -> Any:
    """Give a value of the parameter's type as it is to be written in such a file."""
    if node.kind is not fitting and (node.kind, fitting) != (Kind.INTEGER, Kind.NUMBER):
        hint = f"write {fitting}"
        if fitting is Kind.TEXT and node.written:
            hint = f'put it in quotes: "{node.written}"'
        elif node.kind is Kind.TEXT and not node.written:
            hint += ", without quotes"
        return asked.wrong(f"{verb} {node.shown()}, not {fitting}", hint, node)
    if not is_plain(asked, node, node):
        return None
    if node.kind is Kind.INTEGER and len(node.written) > DIGITS_MAX:
        return asked.wrong(f"{verb} a number of many digits", f"{DIGITS_MAX} at most", node)
    return node.value
