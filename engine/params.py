"""Parameters: checked at definition, resolved before a run, recorded as text, read back.

One rule makes live and resumed runs agree: a resolved value is what its recorded form reads as.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path, PurePath
from typing import Any

from engine.errors import DefinitionError, ParameterError
from engine.model import REQUIRED, Param
from engine.naming import did_you_mean

VARIABLE_PREFIX = "ENGINE_PARAM_"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_INT = re.compile(r"[+-]?[0-9]+\Z")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_BOOL = {"true": True, "yes": True, "1": True, "on": True}
_BOOL |= {"false": False, "no": False, "0": False, "off": False}
_DAYS_BACK = {"today": 0, "yesterday": 1}
_SHOWN_LENGTH = 80

CHOICE = "choice"  # the name of text with choices
_BY_NAME: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
_BY_NAME |= {"date": date, "datetime": datetime, "path": Path, CHOICE: str}
TYPE_NAMES = tuple(_BY_NAME)
_TYPES_HINT = "choose str, int, float, bool, date, datetime, path or choice"
_FORMS: dict[type, tuple[str, str]] = {  # what a value is to be, and an example of it
    str: ("text", "eu"),
    int: ("a whole number", "3"),
    float: ("a finite number", "2.5"),
    bool: ("true or false (yes, no, on, off, 1, 0)", "true"),
    date: ("a date (YYYY-MM-DD, today or yesterday)", "2011-11-14"),
    datetime: ("a date and time (ISO 8601)", "2011-11-14T08:00:00+00:00"),
    Path: ("a path", "data/in.csv"),
}


class _MisfitError(Exception):
    """A value does not fit its type; the text says what it is."""


# -- definition -----------------------------------------------------------------------------------


def check_param(name: object, param: object) -> Param:
    """Give the normal form of a workflow's parameter, or raise `DefinitionError`.

    `param` is a `Param`, a plain default (`"eu"`, `3`) or a bare type (a required parameter). A
    `Param` may name its type (`"date"`); `"choice"` is text that needs choices. Defaults and
    choices given as text become values of the type; "today" and "yesterday" stay text, since only
    a run knows its day.
    """
    if type(name) is not str or not _NAME.match(name):
        shown = repr(name[:_SHOWN_LENGTH]) if type(name) is str else _a(type(name).__name__)
        raise DefinitionError(
            f"parameter name {shown} cannot be used",
            hint="start with a letter or '_', go on with letters, digits or '_' (100 at most)",
        )
    if not isinstance(param, Param):
        param = _from_shorthand(name, param)
    kind = _kind_of_type(param.type)
    if kind is None:
        raise _unknown_type(name, param.type)
    if not isinstance(param.help, str):
        raise DefinitionError(f"parameter '{name}': help is no text", hint="give one sentence")
    choices = _checked_choices(name, kind, param.choices)
    if param.type == CHOICE and not choices:
        raise DefinitionError(
            f"parameter '{name}': a choice needs choices", hint="give a list of texts as choices"
        )
    default = param.default
    if default is not REQUIRED:
        default = _checked_default(name, kind, default, choices)
    return replace(param, type=kind, default=default, choices=choices)


def _from_shorthand(name: str, default: object) -> Param:
    if isinstance(default, type):
        return Param(default)
    kind = next((kind for kind in _BY_VALUE if isinstance(default, kind)), None)
    if kind is None:
        raise DefinitionError(
            f"parameter '{name}': {_a(type(default).__name__)} cannot be a default",
            hint=f"write Param(type, default=…); {_TYPES_HINT}",
        )
    return Param(Path if kind is PurePath else kind, default)


_BY_VALUE: tuple[type, ...] = (bool, int, float, datetime, date, PurePath, str)


def _unknown_type(name: str, kind: object) -> DefinitionError:
    shown = kind.__name__ if isinstance(kind, type) else type(kind).__name__
    guess = ""
    if type(kind) is str:
        shown = kind[:_SHOWN_LENGTH]
        guess = did_you_mean(kind, _BY_NAME)
    return DefinitionError(
        f"parameter '{name}': unknown type '{shown}'", hint=f"{guess} {_TYPES_HINT}".lstrip()
    )


def _kind_of_type(kind: object) -> type | None:
    if type(kind) is str:
        return _BY_NAME.get(kind)
    if kind is PurePath or kind is type(Path()):
        return Path
    return next((known for known in _FORMS if known is kind), None)


def _checked_choices(name: str, kind: type, choices: object) -> tuple[Any, ...]:
    what = f"parameter '{name}': choices"
    if isinstance(choices, str | bytes) or not isinstance(choices, Iterable):
        raise DefinitionError(
            f"{what} is {_a(type(choices).__name__)}", hint="give a list of values"
        )
    values = []
    for choice in choices:
        try:
            values.append(_value(kind, choice, None))
        except _MisfitError as misfit:
            raise DefinitionError(
                f"{what} holds {misfit}, not {_FORMS[kind][0]}",
                hint=f"give values of the parameter's type, such as {_FORMS[kind][1]}",
            ) from None
    return tuple(values)


def _checked_default(name: str, kind: type, default: object, choices: tuple[Any, ...]) -> Any:
    if kind is date and isinstance(default, str) and default.strip().lower() in _DAYS_BACK:
        return default.strip().lower()
    try:
        value = _value(kind, default, None)
    except _MisfitError as misfit:
        raise DefinitionError(
            f"parameter '{name}': default is {misfit}, not {_FORMS[kind][0]}",
            hint=f"give a value such as {_FORMS[kind][1]}; without a default it is required",
        ) from None
    if choices and value not in choices:
        raise DefinitionError(
            f"parameter '{name}': default {_shown(value)} is none of its choices",
            hint=f"choose one of {_listed(choices)}",
        )
    return value


def described(param: Param) -> dict[str, Any]:
    """Say what a checked parameter takes, in the words of a definition."""
    type_name = next(name for name, known in _BY_NAME.items() if known is param.type)
    required = param.default is REQUIRED
    return {
        "type": type_name,
        "required": required,
        "default": None if required else _text(param.default),
        "choices": [_text(choice) for choice in param.choices],
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
            raise _unknown(name, params, workflow)
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


def _unknown(name: object, params: Mapping[str, Param], workflow: str) -> ParameterError:
    shown = (
        repr(name[:_SHOWN_LENGTH]) if type(name) is str else f"named by {_a(type(name).__name__)}"
    )
    if not params:
        return ParameterError(
            f"workflow '{workflow}' has no parameter {shown}", hint="it takes no parameters"
        )
    guess = did_you_mean(name, params) if type(name) is str else ""
    return ParameterError(
        f"workflow '{workflow}' has no parameter {shown}",
        hint=f"{guess} its parameters are {', '.join(params)}".lstrip(),
    )


def fitting(what: str, param: Param, value: object, today: date | None, prefix: str) -> Any:
    """Give one value as its parameter takes it; `what` and `prefix` are for the error's words."""
    kind = _kind_of_type(param.type)
    assert kind is not None  # the definition was checked
    form, example = _FORMS[kind]
    try:
        found = _value(kind, value, today)
    except _MisfitError as misfit:
        raise ParameterError(
            f"{what} is {misfit}, not {form}", hint=f"give {form}, such as {prefix}{example}"
        ) from None
    if param.choices and found not in param.choices:
        raise ParameterError(
            f"{what} is {_shown(found)}, which is none of its choices",
            hint=f"choose one of {_listed(param.choices)}",
        )
    return found


# -- recorded form --------------------------------------------------------------------------------


def as_text(params: Mapping[str, Any]) -> dict[str, str]:
    """Give each resolved value as the text that `--set` would take for it."""
    return {name: _text(value) for name, value in params.items()}


def to_json(params: Mapping[str, Any]) -> str:
    """Give the recorded form: one line of JSON, keys sorted; equal parameters have equal forms."""
    plain = {
        name: value if type(value) in {bool, int, float} else _text(value)
        for name, value in params.items()
    }
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, allow_nan=False)


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


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)


# -- one value ------------------------------------------------------------------------------------


def _value(kind: type, value: object, today: date | None) -> Any:
    """Give `value` as a `kind`, from text or from a value of that kind, else raise `_MisfitError`.

    Without `today` the texts "today" and "yesterday" are no dates.
    """
    try:
        if isinstance(value, str):
            text = str.__str__(value)
            text.encode()
            if kind is date and today is not None and text.strip().lower() in _DAYS_BACK:
                return today - timedelta(days=_DAYS_BACK[text.strip().lower()])
            return _PARSERS[kind](text)
        return _accepted(kind, value)
    except UnicodeEncodeError:
        raise _MisfitError("not valid Unicode") from None
    except _MisfitError:
        raise
    except Exception:  # noqa: BLE001 - a value's own methods may raise anything
        raise _MisfitError(_shown(value)) from None


def _accepted(kind: type, value: object) -> Any:
    """Give a value of the right type as its text would read, so that a resume sees the same."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and is_number:
        return _PARSERS[int](str(int(value)))
    if kind is float and isinstance(value, int | float) and (is_number or type(value) is not bool):
        return _number(float(value))
    if kind is datetime and isinstance(value, datetime):
        return datetime.fromisoformat(datetime.isoformat(value))
    if kind is date and isinstance(value, date) and not isinstance(value, datetime):
        return date.fromisoformat(date.isoformat(value))
    if kind is Path and isinstance(value, PurePath):
        str(value).encode()
        return _path(str(value))
    raise _MisfitError(_shown(value))


def _whole(text: str) -> int:
    if not _INT.match(text.strip()):
        raise ValueError
    return int(text)


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value + 0.0  # -0.0 equals 0.0 and is to be recorded as it


def _float(text: str) -> float:
    if not _FLOAT.match(text.strip()):
        raise ValueError
    return _number(float(text))


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError
    return Path(text)


_PARSERS: dict[type, Callable[[str], Any]] = {
    str: lambda text: text,
    int: _whole,
    float: _float,
    bool: lambda text: _BOOL[text.strip().lower()],
    date: lambda text: date.fromisoformat(text.strip()),
    datetime: lambda text: datetime.fromisoformat(text.strip()),
    Path: _path,
}


def _shown(value: object) -> str:
    """Name a value in a message: plain ones as they are, others by type, never by their repr."""
    if type(value) is str:
        return repr(value if len(value) <= _SHOWN_LENGTH else value[:_SHOWN_LENGTH] + "…")
    if type(value) in {bool, float, date, datetime, type(Path())}:
        return f"'{_text(value)}'" if type(value) is not float else repr(value)
    if type(value) is int:
        return str(value) if value.bit_length() < _SHOWN_LENGTH else "an int of many digits"
    return _a(type(value).__name__)


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _listed(choices: tuple[Any, ...]) -> str:
    return ", ".join(_text(choice) for choice in choices)
