"""Parameters: checked at definition, resolved before a run, recorded as text, read back.

One rule makes live and resumed runs agree: a resolved value is what its recorded form reads as.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path, PurePath
from typing import Any

from engine.errors import DefinitionError, ParameterError
from engine.model import REQUIRED, Param
from engine.naming import did_you_mean
from engine.param_values import (
    CHOICE,
    DAYS_BACK,
    FORMS,
    SHOWN_LENGTH,
    TYPES,
    TYPES_HINT,
    MisfitError,
    known_type,
    listed,
    shown,
    text_of,
    value_of,
    with_article,
)

VARIABLE_PREFIX = "ENGINE_PARAM_"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")


# -- definition -----------------------------------------------------------------------------------


def check_param(name: object, param: object) -> Param:
    """Give the normal form of a workflow's parameter, or raise `DefinitionError`.

    `param` is a `Param`, a plain default (`"eu"`, `3`) or a bare type (a required parameter). A
    `Param` may name its type (`"date"`); `"choice"` is text that needs choices. Defaults and
    choices given as text become values of the type; "today" and "yesterday" stay text, since only
    a run knows its day.
    """
    if type(name) is not str or not _NAME.match(name):
        is_text = type(name) is str  # and of no class of the user's own
        told = repr(str(name)[:SHOWN_LENGTH]) if is_text else with_article(type(name).__name__)
        raise DefinitionError(
            f"parameter name {told} cannot be used",
            hint="start with a letter or '_', go on with letters, digits or '_' (100 at most)",
        )
    if not isinstance(param, Param):
        param = _from_shorthand(name, param)
    type_ = known_type(param.type)
    if type_ is None:
        raise _unknown_type(name, param.type)
    if not isinstance(param.help, str):
        raise DefinitionError(f"parameter '{name}': help is no text", hint="give one sentence")
    choices = _checked_choices(name, type_, param.choices)
    if param.type == CHOICE and not choices:
        raise DefinitionError(
            f"parameter '{name}': a choice needs choices", hint="give a list of texts as choices"
        )
    default = param.default
    if default is not REQUIRED:
        default = _checked_default(name, type_, default, choices)
    return replace(param, type=type_, default=default, choices=choices)


def _from_shorthand(name: str, default: object) -> Param:
    if isinstance(default, type):
        return Param(default)
    type_ = next((type_ for type_ in _BY_VALUE if isinstance(default, type_)), None)
    if type_ is None:
        raise DefinitionError(
            f"parameter '{name}': {with_article(type(default).__name__)} cannot be a default",
            hint=f"write Param(type, default=…); {TYPES_HINT}",
        )
    return Param(Path if type_ is PurePath else type_, default)


_BY_VALUE: tuple[type, ...] = (bool, int, float, datetime, date, PurePath, str)


def _unknown_type(name: str, type_: object) -> DefinitionError:
    told = type_.__name__ if isinstance(type_, type) else type(type_).__name__
    guess = ""
    if type(type_) is str:
        told = type_[:SHOWN_LENGTH]
        guess = did_you_mean(type_, TYPES)
    return DefinitionError(
        f"parameter '{name}': unknown type '{told}'", hint=f"{guess} {TYPES_HINT}".lstrip()
    )


def _checked_choices(name: str, type_: type, choices: object) -> tuple[Any, ...]:
    what = f"parameter '{name}': choices"
    if isinstance(choices, str | bytes) or not isinstance(choices, Iterable):
        raise DefinitionError(
            f"{what} is {with_article(type(choices).__name__)}", hint="give a list of values"
        )
    values = []
    for choice in choices:
        try:
            values.append(value_of(type_, choice, None))
        except MisfitError as misfit:
            raise DefinitionError(
                f"{what} holds {misfit}, not {FORMS[type_][0]}",
                hint=f"give values of the parameter's type, such as {FORMS[type_][1]}",
            ) from None
    return tuple(values)


def _checked_default(name: str, type_: type, default: object, choices: tuple[Any, ...]) -> Any:
    if type_ is date and isinstance(default, str) and default.strip().lower() in DAYS_BACK:
        return default.strip().lower()
    try:
        value = value_of(type_, default, None)
    except MisfitError as misfit:
        raise DefinitionError(
            f"parameter '{name}': default is {misfit}, not {FORMS[type_][0]}",
            hint=f"give a value such as {FORMS[type_][1]}; without a default it is required",
        ) from None
    if choices and value not in choices:
        raise DefinitionError(
            f"parameter '{name}': default {shown(value)} is none of its choices",
            hint=f"choose one of {listed(choices)}",
        )
    return value


def described(param: Param) -> dict[str, Any]:
    """Say what a checked parameter takes, in the words of a definition."""
    type_name = next(name for name, known in TYPES.items() if known is param.type)
    required = param.default is REQUIRED
    return {
        "type": type_name,
        "required": required,
        "default": None if required else text_of(param.default),
        "choices": [text_of(choice) for choice in param.choices],
        "help": param.help,
    }


# -- a run's values -------------------------------------------------------------------------------


def resolve(
    params: Mapping[str, Param],
    given: Mapping[str, Any],
    *,
    today: date,
    workflow: str,
    setting: Callable[[str], str | None] = lambda _name: None,
) -> dict[str, Any]:
    """Give every parameter's value, in order of declaration; raise `ParameterError` if one cannot.

    `given` holds values or the text of `--set`; `today` is the day on which the run starts. What is
    not given is asked of `setting`, by its name there (`ENGINE_PARAM_…`), before the default holds.
    """
    for name in given:
        if type(name) is not str or name not in params:
            raise unknown_param(name, params, workflow)
    set_outside = {
        name: text
        for name in params
        if name not in given and (text := setting(VARIABLE_PREFIX + name)) is not None
    }
    given = {**given, **set_outside}
    missing = [name for name, param in params.items() if _lacks(param, name, given)]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        raise ParameterError(
            f"workflow '{workflow}' needs the parameter{'s' * (len(missing) > 1)} {names}",
            hint="add " + " ".join(f"--set {name}=VALUE" for name in missing),
        )
    values = {}
    for name, param in params.items():
        what, example = f"parameter '{name}' of workflow '{workflow}'", f"--set {name}="
        if name in set_outside:
            variable = VARIABLE_PREFIX + name
            what, example = f"{what} (from {variable})", f"{variable}="
        values[name] = fitting(what, param, given.get(name, param.default), today, example)
    return values


def _lacks(param: Param, name: str, given: Mapping[str, Any]) -> bool:
    return param.default is REQUIRED and name not in given


def unknown_param(name: object, params: Mapping[str, Param], workflow: str) -> ParameterError:
    """Make the error for a parameter that a workflow does not take."""
    told, guess = f"named by {with_article(type(name).__name__)}", ""
    if type(name) is str:
        told, guess = repr(name[:SHOWN_LENGTH]), did_you_mean(name, params)
    hint = f"{guess} its parameters are {', '.join(params)}" if params else "it takes no parameters"
    return ParameterError(f"workflow '{workflow}' has no parameter {told}", hint=hint.lstrip())


def fitting(what: str, param: Param, value: object, today: date | None, prefix: str) -> Any:
    """Give one value as its parameter takes it; `what` and `prefix` are for the error's words."""
    type_ = known_type(param.type)
    assert type_ is not None  # the definition was checked
    form, example = FORMS[type_]
    try:
        found = value_of(type_, value, today)
    except MisfitError as misfit:
        raise ParameterError(
            f"{what} is {misfit}, not {form}", hint=f"give {form}, such as {prefix}{example}"
        ) from None
    if param.choices and found not in param.choices:
        raise ParameterError(
            f"{what} is {shown(found)}, which is none of its choices",
            hint=f"choose one of {listed(param.choices)}",
        )
    return found


# -- recorded form --------------------------------------------------------------------------------


def as_text(params: Mapping[str, Any]) -> dict[str, str]:
    """Give each resolved value as the text that `--set` would take for it."""
    return {name: text_of(value) for name, value in params.items()}


def to_json(params: Mapping[str, Any]) -> str:
    """Give the recorded form: one line of JSON, keys sorted; equal parameters have equal forms."""
    plain = {
        name: value if type(value) in {bool, int, float} else text_of(value)
        for name, value in params.items()
    }
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, allow_nan=False)


def recorded_texts(text: str) -> dict[str, str]:
    """Give each value that `to_json` recorded as the text that `--set` would take for it."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in json.loads(text).items()
    }


def from_json(params: Mapping[str, Param], text: str) -> dict[str, Any]:
    """Read back what `to_json` recorded; raise `ParameterError` if it no longer fits `params`."""
    hint = "start anew with --fresh"
    try:
        recorded = json.loads(text)
    except (ValueError, RecursionError):
        recorded = None
    if type(recorded) is not dict:
        raise ParameterError("the recorded parameters cannot be read", hint=hint)
    for name in recorded:
        if name not in params:
            raise ParameterError(
                f"the run was made with the parameter '{name}', which is gone", hint=hint
            )
    for name in params:
        if name not in recorded:
            raise ParameterError(f"the run was made without the parameter '{name}'", hint=hint)
    values = {}
    for name, param in params.items():
        try:
            values[name] = fitting(
                f"the recorded parameter '{name}'", param, recorded[name], None, ""
            )
        except ParameterError as error:
            raise ParameterError(error.message, hint=hint) from None
    return values
