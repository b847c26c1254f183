"""What a backfill is asked for, and what that comes to: its values, each the step of a workflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import date
from math import inf
from typing import TYPE_CHECKING, Any

from engine import params as parameters
from engine.errors import UsageError
from engine.model import Definition, Param, Step
from engine.naming import BACKFILL_SUFFIX, check_name
from engine.records import record
from engine.session.backfill.recorded import FIRST, LAST, PARAM, WORKERS
from engine.session.deciding.asked import Asked, resolve_request, today_of
from engine.session.deciding.compiled import Compiled, compile_definition
from engine.session.deciding.request import RunRequest

if TYPE_CHECKING:
    from engine.session.environment import Environment

VALUES_MAX = 10_000
PARALLEL_MAX = 32
THREADS_MAX = 256  # runs at once, times the steps at once of each


@record
class BackfillRequest:
    """What a backfill is asked for; the fields are the command's options."""

    param: str
    first: str
    last: str
    parallel: int = 1
    workers: int = 4
    params: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False


@record
class Backfill:
    """A backfill, resolved: `values` by the names of their steps, `shared` the other parameters."""

    workflow: Compiled
    itself: Compiled
    param: str
    values: Mapping[str, Any]
    shared: Mapping[str, Any]
    asked: Asked

    def request(self, step: str) -> RunRequest:
        """Ask for the run of one value: as by hand, and not if it is ok already."""
        params = {**self.shared, self.param: self.values[step]}
        workers = self.asked.params[WORKERS]
        return RunRequest(workers=workers, params=params, once=True)

    def params_text(self, step: str) -> str:
        """Give the parameters of one value's run as they are recorded."""
        return parameters.to_json({**self.shared, self.param: self.values[step]})

    def told(self) -> str:
        """Say what it goes over."""
        count = len(self.values)
        first, *_, last = (*self.values, *self.values)
        if count == 1:
            return f"1 value of {self.param}, {first}"
        return f"{count} values of {self.param}, {first} to {last}"


def resolve(definition: Definition, request: BackfillRequest, environment: Environment) -> Backfill:
    """Resolve a backfill, before anything is touched.

    Raises `UsageError` (`ParameterError`, `DefinitionError`) for what cannot be run as asked.
    """
    param = _param(definition, request)
    _check_width(request)
    today = today_of(definition, environment.clock)
    ends = [
        parameters.fitting(option, param, text, today, f"{option} ")
        for option, text in ((FIRST, request.first), (LAST, request.last))
    ]
    values = {_step_name(value): value for value in _between(param, *ends)}
    one = RunRequest(workers=request.workers, params={**request.params, request.param: ends[0]})
    resolved, _ = resolve_request(definition, one, environment.clock, environment.secrets)
    shared = {name: value for name, value in resolved.params.items() if name != request.param}
    ranged = dict(zip((FIRST, LAST), ends, strict=True))
    recorded = {PARAM: request.param, **ranged, WORKERS: request.workers, **shared}
    own = RunRequest(workers=request.parallel)
    return Backfill(
        workflow=compile_definition(definition, environment.paths.root),
        itself=_compiled(definition, list(values), environment),
        param=request.param,
        values=values,
        shared=shared,
        asked=Asked(own, recorded, "", resolved.now_us),
    )


def _param(definition: Definition, request: BackfillRequest) -> Param:
    """Give the parameter that the backfill goes over."""
    name = request.param
    found = definition.params.get(name)
    if found is None:
        raise parameters.unknown_param(name, definition.params, definition.name)
    if found.type not in (date, int):
        raise UsageError(
            f"a backfill goes over dates or whole numbers, and parameter '{name}' is neither",
            hint="name a parameter of type date or int with --param",
        )
    if name in request.params:
        raise UsageError(
            f"--set gives '{name}', which the backfill goes over",
            hint="leave it out: --from and --to give its values",
        )
    return found


def _check_width(request: BackfillRequest) -> None:
    if not 1 <= request.parallel <= PARALLEL_MAX:
        raise UsageError(f"--parallel is {request.parallel}", hint=f"give 1 to {PARALLEL_MAX}")
    if request.parallel * request.workers > THREADS_MAX:
        raise UsageError(
            f"--parallel {request.parallel} runs of --workers {request.workers} steps each are"
            f" more than {THREADS_MAX} steps at once",
            hint="give one of the two a smaller number",
        )


def _between(param: Param, first: Any, last: Any) -> Iterator[Any]:
    """Give all values from `first` to `last`, both included; with choices, those among them."""
    if first > last:
        raise UsageError(
            f"--from {_shown(first)} comes after --to {_shown(last)}",
            hint="give the first value with --from, the last with --to",
        )
    ordinals = [end.toordinal() if param.type is date else end for end in (first, last)]
    count = ordinals[1] - ordinals[0] + 1
    if count > VALUES_MAX:
        shown = str(count) if count < 10**12 else "far too many"
        raise UsageError(
            f"--from {_shown(first)} --to {_shown(last)} are {shown} values",
            hint=f"give {VALUES_MAX} at most, in several backfills",
        )
    for ordinal in range(ordinals[0], ordinals[1] + 1):
        value = date.fromordinal(ordinal) if param.type is date else ordinal
        if not param.choices or value in param.choices:
            yield value


def _shown(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= 40 else f"{text[:40]}…"  # a number of many digits


def _text(value: Any) -> str:
    return parameters.as_text({"": value})[""]


def _step_name(value: Any) -> str:
    """Name the step of a value: as its text, which for a number below zero no step can be."""
    text = _text(value)
    return check_name("step", f"minus{text}" if text.startswith("-") else text)


def _compiled(definition: Definition, names: Sequence[str], environment: Environment) -> Compiled:
    """Make the workflow of a backfill: a step for each value, none after another.

    A step is a run, which ends by rules of its own: it is told of a stop at once, and is waited for
    however long its steps may take to end.
    """
    own = Definition(
        name=check_name("workflow", definition.name + BACKFILL_SUFFIX),
        steps=tuple(Step(name, _a_run, retries=0) for name in names),
        tz=definition.tz,
        alert_on=definition.alert_on,
    )
    compiled = compile_definition(own, environment.paths.root)
    count = len(names)
    plan = replace(compiled.plan, stop_s=[inf] * count, gentle=[True] * count)
    return replace(compiled, plan=plan)


def _a_run(_ctx: object) -> None:
    """Stand for a value's run, which `engine.session.backfill.runs` makes."""
    raise AssertionError
