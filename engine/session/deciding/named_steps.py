"""The steps that a request names: those to run, and those marked as done with their values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.naming import did_you_mean
from engine.records import record

if TYPE_CHECKING:
    from engine.model import Definition
    from engine.produced import Encoded
    from engine.secrets import Secrets
    from engine.session.deciding.request import RunRequest

SHOWN_MAX = 60  # characters of a marked step's values in a preview


@record
class Mark:
    """What a step that is marked as done is given: its values, encoded, and how they are shown."""

    outputs: Sequence[tuple[str, Encoded]]
    shown: str


def check(definition: Definition, request: RunRequest) -> None:
    """Refuse what names steps wrongly, and what does not go together. Raises `UsageError`."""
    names = [step.name for step in definition.steps]
    marked = [step for step, _ in request.mark_done]
    for option, named in (("--only", request.only), ("--mark-done", marked)):
        for step in named:
            if step not in names:
                raise unknown_step(option, definition.name, step, names)
    for step in marked:
        if marked.count(step) > 1:
            raise UsageError(f"--mark-done: step '{step}' is given twice", hint="mark it once")
        if step in request.only:
            raise UsageError(
                f"step '{step}' is both to be run (--only) and marked as done",
                hint="leave out one of the two",
            )
        if step == request.from_step:
            raise UsageError(
                f"step '{step}' is both to be redone (--from) and marked as done",
                hint="leave out one of the two",
            )
    _check_alone(request)


def unknown_step(option: str, workflow: str, step: str, names: Sequence[str]) -> UsageError:
    """Make the error for an option that names a step which the workflow does not have."""
    guess = did_you_mean(step, names)
    return UsageError(
        f"{option}: '{workflow}' has no step '{step}'{f' ({guess})' if guess else ''}",
        hint=_each_alone(option, step, names) or f"its steps: {', '.join(names[:20])}",
    )


def _each_alone(option: str, step: str, names: Sequence[str]) -> str:
    """Say how several steps are marked, if that is what was meant."""
    several = [one.strip() for one in step.split(",")]
    if option != "--mark-done" or not set(several) <= set(names):
        return ""
    return "write " + " ".join(f"{option} {one}" for one in several)


def _check_alone(request: RunRequest) -> None:
    others = {
        "--fresh": request.fresh,
        "--resume": request.resume is not None,
        "--from": request.from_step is not None,
        "--once": request.once,
        "--scheduled": request.started_by == "timer",
    }
    other = next((option for option, given in others.items() if given), None)
    if request.only and other is not None:
        raise UsageError(
            f"--only and {other} do not go together",
            hint="a run of chosen steps always starts anew, and by hand",
        )
    if request.mark_done and request.started_by == "timer":
        raise UsageError(
            "--mark-done and --scheduled do not go together",
            hint="what is done is for a person to say, by hand",
        )


def marks(request: RunRequest, secrets: Secrets) -> dict[str, Mark]:
    """Read and encode the values of the steps that are marked as done.

    Raises `UsageError` for what cannot be stored.
    """
    found = {}
    for step, assignments in request.mark_done:
        values = _values(step, assignments)
        found[step] = Mark(_encoded(values, secrets), _shown(values))
    return found


def _values(step: str, assignments: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise UsageError("--output gives no assignment", hint="write --output KEY=VALUE")
        if key in values:
            raise UsageError(
                f"--output gives '{key}' of step '{step}' twice", hint="give each key once"
            )
        values[key] = _value(text)
    return values


def _value(text: str) -> Any:
    """Read JSON where it is some; anything else is text."""
    try:
        return json.loads(
            text, parse_constant=_no_json, parse_float=_number, object_pairs_hook=_object
        )
    except (ValueError, RecursionError):
        return text


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise UsageError("--output gives a key of an object twice", hint="give each key once")
    return value


def as_text(value: Any) -> str:
    """Give the text that `--output` reads as `value`."""
    plain = isinstance(value, str) and value.isprintable() and _value(value) == value
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _no_json(word: str) -> None:
    raise ValueError(word)  # NaN and its like


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)  # more than a float holds is no number here
    return number


def _encoded(values: Mapping[str, Any], secrets: Secrets) -> list[tuple[str, Encoded]]:
    if not values:
        return []
    from engine.context import check_key
    from store.values import encode

    return [
        (check_key(key), encode(key, value, reject=secrets.contains))
        for key, value in values.items()
    ]


def _shown(values: Mapping[str, Any]) -> str:
    text = ", ".join(f"{key}={json.dumps(v, ensure_ascii=False)}" for key, v in values.items())
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX - 1]}…"
