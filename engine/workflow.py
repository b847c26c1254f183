"""`Workflow`: what a user builds in Python, checks as a whole, and runs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

from engine.conditions import Condition
from engine.durations import Duration, checked_deadline, parse_duration
from engine.errors import DefinitionError
from engine.graph import Graph
from engine.model import (
    ALERT_ON,
    OVERLAP,
    RESUME_WITHIN_S,
    Definition,
    Order,
    Param,
    Shell,
    Step,
    graph_of,
)
from engine.naming import BACKFILL_SUFFIX, check_name, checked_ping
from engine.params import check_param
from engine.slots import PAUSE_AFTER_MAX, Catchup, without_schedule

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Workflow:
    """Named steps with dependencies.

    `schedule` is a systemd calendar expression or cron's five fields, `tz` an IANA name (default:
    the machine's zone). Of slots missed while the machine was off the newest is caught up, with
    `catchup` all or none; after `pause_after` failed runs in a row the schedule is paused. Told of
    is a run that is on for longer than `max_duration`, or at its `deadline`: "09:30", or so long
    after its slot. `ping` names the secret that holds the URL which a timer's runs are told to.
    `hardening` names what systemd is to keep the steps from. `params` maps names to `Param`, or to
    a plain default. `overlap="params"` lets runs with other parameters run beside each other. A
    failed run is continued by a later `run` if its chain began less than `resume_within` ago.
    `alert_on` is always, failure or change. Of the ready steps that with the longest remaining path
    starts first, with `order="fifo"` the first to be ready.

    Raises `DefinitionError` for anything that cannot work.
    """

    def __init__(  # noqa: PLR0913 - the public form of a definition; all but two are keywords
        self,
        name: str,
        dry_run: bool = False,  # noqa: FBT001, FBT002 - part of the public form
        *,
        schedule: str | None = None,
        tz: str | None = None,
        catchup: str = Catchup.LATEST,
        pause_after: int | None = None,
        deadline: Duration | None = None,
        max_duration: Duration | None = None,
        ping: str | None = None,
        hardening: str = "",
        params: Mapping[str, Any] | None = None,
        overlap: str = "workflow",
        resume_within: Duration = RESUME_WITHIN_S,
        alert_on: str = "always",
        order: str = Order.LONGEST_PATH,
        description: str = "",
    ) -> None:
        self.name = _checked_name(name)
        self.dry_run = bool(dry_run)
        self.schedule = schedule
        self.tz = _zone_beside(name, schedule, _checked_zone(name, tz))
        self.catchup = _one_of(name, "catchup", catchup, tuple(Catchup))
        self.pause_after = _checked_pause_after(name, pause_after)
        self.deadline = checked_deadline(name, deadline)
        _check_schedule(self)
        what = f"workflow '{name}': max_duration"
        self.max_duration_s = None if max_duration is None else parse_duration(what, max_duration)
        self.ping = checked_ping(name, ping)
        self.hardening = _checked_hardening(name, hardening)
        self.overlap = _one_of(name, "overlap", overlap, OVERLAP)
        what = f"workflow '{name}': resume_within"
        self.resume_within_s = parse_duration(what, resume_within, zero=True)
        self.alert_on = _one_of(name, "alert_on", alert_on, ALERT_ON)
        self.order = _one_of(name, "order", order, tuple(Order))
        self.description = description
        self.params: dict[str, Param] = {
            key: check_param(key, value) for key, value in (params or {}).items()
        }
        self.steps: list[Step] = []

    def __repr__(self) -> str:
        """Name and size."""
        return f"<workflow '{self.name}', {len(self.steps)} steps>"

    def add(self, step: Step) -> Self:
        """Add a step; gives the workflow, so that calls can be chained."""
        if not isinstance(step, Step):
            raise DefinitionError(
                f"workflow '{self.name}': cannot add {step!r}",
                hint="add a Step(name, run, depends_on=[…])",
            )
        self.steps.append(step)
        return self

    def step(self, name: str | None = None, **options: Any) -> Callable[[_Function], _Function]:
        """Decorate a function to add it as a step, named as the function or `name`."""
        if name is not None and not isinstance(name, str):
            raise DefinitionError(
                f"workflow '{self.name}': @workflow.step is used without parentheses",
                hint="write @workflow.step() or @workflow.step(depends_on=[…])",
            )

        def decorate(function: _Function) -> _Function:
            self.add(Step(name or function.__name__, function, **options))
            return function

        return decorate

    def definition(self) -> Definition:
        """Check the whole and freeze it. Raises `DefinitionError` (`CycleError` for a cycle)."""
        if not self.steps:
            raise DefinitionError(
                f"workflow '{self.name}' has no steps", hint="add at least one: .add(Step(…))"
            )
        try:
            ordered = graph_of(self.steps)
            steps = self._tied(ordered)
            self._check_shells()
        except DefinitionError as error:
            error.message = f"workflow '{self.name}': {error.message}"
            raise
        return Definition(
            name=self.name,
            steps=steps,
            params=dict(self.params),
            schedule=self.schedule,
            tz=self.tz,
            catchup=self.catchup,
            pause_after=self.pause_after,
            deadline=self.deadline,
            max_duration_s=self.max_duration_s,
            ping=self.ping,
            hardening=self.hardening,
            overlap=self.overlap,
            resume_within_s=self.resume_within_s,
            alert_on=self.alert_on,
            order=self.order,
            dry_run=self.dry_run,
            description=self.description,
            graph=ordered,
        )

    def _tied(self, ordered: Graph) -> tuple[Step, ...]:
        if not any(isinstance(step.when, Condition) for step in self.steps):
            return tuple(self.steps)
        from engine.workflow_conditions import tie

        return tie(self.steps, ordered, self.params)

    def _check_shells(self) -> None:
        shells = [step.run for step in self.steps if isinstance(step.run, Shell)]
        if shells:
            from engine.workers.commands import check_shell

            for body in shells:
                check_shell(body)

    def run(  # noqa: PLR0913 - the public form of a run; all but one are keywords
        self,
        context: Mapping[str, Any] | None = None,
        *,
        workers: int = 4,
        dry_run: bool | None = None,
        params: Mapping[str, Any] | None = None,
        store: str | None = None,
        fresh: bool = False,
        resume: int | str | None = None,
    ) -> dict[str, Any]:
        """Run it here and give the report as a plain dict.

        Decides like `run NAME` by hand: continues the newest run of the same parameters if that
        failed or was interrupted lately, else starts anew (`fresh` always does, `resume` names a
        run to continue). Without `store` the file is ENGINE_STORE, else `<home>/runs.db`. A failed
        step makes a failed report, not an exception.

        Raises `UsageError` where the command exits 2, `StoreError` where it exits 3 and
        `AlreadyRunning` where it exits 75.
        """
        with _bytecode(written=not (self.dry_run or dry_run)):
            from engine.session import RunRequest, run_as_library

            request = RunRequest(
                workers=workers,
                params=dict(params or {}),
                context=dict(context or {}),
                dry_run=dry_run,
                fresh=fresh,
                resume=None if resume is None else str(resume),
                started_by="library",
            )
            return run_as_library(self.definition(), request, store_url=store)


@contextlib.contextmanager
def _bytecode(*, written: bool) -> Iterator[None]:
    """Let imports write bytecode or not: a dry run changes not one byte."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = before or not written
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _checked_name(name: str) -> str:
    if check_name("workflow", name).endswith(BACKFILL_SUFFIX):
        raise DefinitionError(
            f"workflow name '{name}' ends in '{BACKFILL_SUFFIX}'",
            hint="choose another: the backfills of a workflow are recorded under such a name",
        )
    return name


def _one_of(workflow: str, option: str, value: str, words: tuple[str, ...]) -> str:
    if value not in words:
        raise DefinitionError(
            f"workflow '{workflow}': {option} is {value!r}",
            hint=f"choose one of {', '.join(words)}",
        )
    return value


def _checked_pause_after(workflow: str, count: object) -> int | None:
    if count is None:
        return None
    if type(count) is int and 1 <= count <= PAUSE_AFTER_MAX:
        return count
    raise DefinitionError(
        f"workflow '{workflow}': pause_after is {count!r}",
        hint=f"give a number of failed runs, 1 to {PAUSE_AFTER_MAX}, or leave it out",
    )


def _check_schedule(workflow: Workflow) -> None:
    """Refuse what cannot work, as the file names no schedule."""
    if workflow.schedule is not None:
        return
    for _, why, hint in without_schedule(workflow.catchup, workflow.deadline):
        raise DefinitionError(f"workflow '{workflow.name}': {why}", hint=hint)


def _checked_hardening(workflow: str, words: str) -> str:
    if not words:
        return ""
    from engine.schedule.calendar import ScheduleRefused
    from engine.schedule.hardening import read_hardening

    try:
        return " ".join(read_hardening(str(words)))
    except ScheduleRefused as refused:
        raise DefinitionError(
            f"workflow '{workflow}': hardening {words!r}: {refused.reason}", hint=refused.hint
        ) from refused


def _zone_beside(workflow: str, schedule: str | None, zone: str | None) -> str | None:
    """Check the schedule; gives the zone that it names or that is named beside it."""
    if schedule is None:
        return zone
    from engine.schedule.calendar import ScheduleRefused
    from engine.schedule.reading import read_schedule

    what = f"workflow '{workflow}': schedule {schedule!r}"
    if not isinstance(schedule, str):
        raise DefinitionError(f"{what} is no text", hint='write schedule="*-*-* 08:00:00"')
    try:
        return read_schedule(schedule, zone).zone
    except ScheduleRefused as refused:
        raise DefinitionError(f"{what}: {refused.reason}", hint=refused.hint) from refused


def _checked_zone(workflow: str, zone: str | None) -> str | None:
    if zone is None:
        return None
    from engine.schedule.calendar import ScheduleRefused
    from engine.schedule.zones import checked_zone

    try:
        return str(checked_zone(zone))
    except ScheduleRefused as refused:
        what = f"workflow '{workflow}': unknown time zone {zone!r}"
        raise DefinitionError(what, hint=refused.hint) from refused
