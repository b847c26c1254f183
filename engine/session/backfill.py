"""A backfill: a run of one workflow for each value of one parameter, and itself a run of these.

It is recorded as a run of the workflow `NAME.backfill`, of which each value is a step. So order,
parallelism, going on after failures, record, report, alert, stops and crashes are those of any run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from math import inf
from typing import TYPE_CHECKING, Any

from engine import params as parameters
from engine.errors import ParameterError, UsageError
from engine.model import Definition, Param, Step, StepStatus, check_name
from engine.naming import BACKFILL_SUFFIX, did_you_mean
from engine.resume import Choice
from engine.session.asked import Asked, resolve_request, today_of
from engine.session.compiled import Compiled, compile_definition
from engine.session.decide import Decision, decide
from engine.session.launch import look
from engine.session.preview import dry_report
from engine.session.request import RunRequest

if TYPE_CHECKING:
    from engine.session.environment import Environment
    from store.history import History

VALUES_MAX = 10_000
PARALLEL_MAX = 32
THREADS_MAX = 256  # runs at once, times the steps at once of each
# How the range is recorded, and shown, among the parameters: no parameter has such a name.
PARAM, FIRST, LAST, WORKERS = "--param", "--from", "--to", "--workers"


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """What a backfill is asked for; the fields are the command's options."""

    param: str
    first: str
    last: str
    parallel: int = 1
    workers: int = 4
    params: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
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
    name, workflow = request.param, definition.name
    found = definition.params.get(name)
    if found is None:
        there = ", ".join(definition.params)
        hint = f"its parameters are {there}" if there else "it takes no parameters"
        raise ParameterError(
            f"workflow '{workflow}' has no parameter '{name}'",
            hint=f"{did_you_mean(name, definition.params)} {hint}".lstrip(),
        )
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
        timezone=definition.timezone,
        alert_on=definition.alert_on,
    )
    compiled = compile_definition(own, environment.paths.root)
    count = len(names)
    plan = replace(compiled.plan, stop_s=[inf] * count, gentle=[True] * count)
    return replace(compiled, plan=plan)


def _a_run(_ctx: object) -> None:
    """Stand for a value's run, which `engine.session.value_runs` makes."""
    raise AssertionError


# -- what is left to do ---------------------------------------------------------------------------


def words(run: Mapping[str, Any]) -> list[str]:
    """Give the command, without its program, that a recorded backfill is gone on with."""
    recorded = dict(json.loads(run["params"]))
    ranged = [(option, recorded.pop(option)) for option in (PARAM, FIRST, LAST, WORKERS)]
    given = [*ranged[:3], ("--parallel", run["workers"]), ranged[3]]
    given += [
        ("--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}")
        for name, value in recorded.items()
    ]
    workflow = str(run["workflow"]).removesuffix(BACKFILL_SUFFIX)
    return ["backfill", workflow, *(str(word) for pair in given for word in pair)]


def decide_values(backfill: Backfill, history: History) -> Decision:
    """Decide what is left out: each value for which a run of equal parameters is ok."""
    name, told = backfill.workflow.definition.name, backfill.told()
    choices = []
    for step in backfill.values:
        run = history.succeeded(name, backfill.params_text(step), "")
        if run is None:
            choices.append(Choice("new", ""))
        else:
            note = ok_in(run)
            choices.append(Choice("reuse", note, status=StepStatus.SKIPPED, note=note))
    done = sum(choice.status is not None for choice in choices)
    if done == len(choices):
        return Decision(f"{told}: ok already", backfill.asked.params, nothing=True)
    reason = f"{told}" + (f", {done} of them ok already" if done else "")
    return Decision(reason, backfill.asked.params, choices=choices)


def ok_in(run_id: int) -> str:
    """Say why a value is left out."""
    return f"ok in run {run_id}"


def nothing_report(backfill: Backfill, decision: Decision) -> dict[str, Any]:
    """Give the report of a backfill that has nothing left to do, of which nothing is recorded."""
    params = parameters.as_text(decision.params)
    report = dry_report(backfill.itself, decision, [], params)
    return report | {"status": "ok", "dry_run": False, "nothing_to_do": decision.reason}


def plan(backfill: Backfill, history: History | None) -> dict[str, Any]:
    """Give the dry run's report: what each value's run would do."""
    rows = [_planned(backfill, step, history) for step in backfill.values]
    left = sum(row["what"].startswith("would") for row in rows)
    reason = f"{backfill.told()}, {left} to do"
    decision = Decision(reason, backfill.asked.params)
    params = parameters.as_text(backfill.asked.params)
    return dry_report(backfill.itself, decision, rows, params)


def _planned(backfill: Backfill, step: str, history: History | None) -> dict[str, Any]:
    row = {"step": step, "what": "would run", "why": "", "expected_s": None}
    if history is None:
        return row
    workflow = backfill.workflow
    done = history.succeeded(workflow.definition.name, backfill.params_text(step), "")
    if done is not None:
        return row | {"what": ok_in(done)}
    request = backfill.request(step)
    asked = replace(backfill.asked, request=request, params=request.params)
    decision = decide(workflow, asked, history)
    what = f"would go on from run {decision.past.run_id}" if decision.past else "would run"
    return row | {"what": what, "why": decision.reason}


def run_backfill(
    definition: Definition, request: BackfillRequest, environment: Environment
) -> dict[str, Any]:
    """Do what one invocation of `backfill` does; gives the report of the whole.

    Raises `UsageError`, `StoreError` or `AlreadyRunning` as the command's exit codes say.
    """
    backfill = resolve(definition, request, environment)
    if request.dry_run or definition.dry_run:
        return look(environment, lambda history: plan(backfill, history))
    from engine.session.value_runs import BackfillRun

    return BackfillRun(backfill, environment).go()
