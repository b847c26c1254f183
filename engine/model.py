"""The vocabulary: steps, definitions, statuses. Frozen, stdlib only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path, PurePath
from typing import Any

from engine.command_options import checked_codes, checked_cwd, checked_env
from engine.conditions import checked_when
from engine.durations import Duration, parse_duration
from engine.errors import DefinitionError
from engine.graph import Graph, build
from engine.naming import check_name
from engine.slots import Catchup

# -- statuses -------------------------------------------------------------------------------------


class StepStatus(StrEnum):
    """Where a step of a run stands."""

    WAITING = "waiting"  # an upstream has not ended; a crash leaves it to be started by a resume
    READY = "ready"  # may start; waits for a free worker only
    RUNNING = "running"  # an attempt is claimed; a crash makes it `interrupted`
    BACKING_OFF = "backing_off"  # failed, and a retry is due at `next_attempt_at`
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    CACHED = "cached"  # was `ok` in the chain being continued; its values are read from there
    CANCELLED = "cancelled"  # not started when the run was stopped
    INTERRUPTED = "interrupted"  # was running when the run was stopped or its engine died


class AttemptOutcome(StrEnum):
    """How an attempt ended; a live one has none."""

    OK = "ok"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"  # claimed, withdrawn before it began
    INTERRUPTED = "interrupted"  # stopped with its run
    ABANDONED = "abandoned"  # its engine died


class RunStatus(StrEnum):
    """How a run stands; all but `running` are final."""

    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"  # began no step: another run was on


class TriggerRule(StrEnum):
    """What a step asks of its direct upstreams before it starts (see `engine.trigger`)."""

    ALL_SUCCESS = "all_success"
    NONE_FAILED = "none_failed"
    ALL_DONE = "all_done"
    ONE_FAILED = "one_failed"


class Order(StrEnum):
    """Which of the ready steps start first."""

    LONGEST_PATH = "longest_path"  # that with the longest remaining path
    FIFO = "fifo"  # that which became ready first


class OnOverrun(StrEnum):
    """What becomes of a retry while the timed-out attempt's thread still runs."""

    FAIL = "fail"  # the step is `failed` in its place
    WAIT = "wait"  # it waits until that thread has ended
    ABANDON = "abandon"  # it starts beside that thread


ENDED_STEP = frozenset(
    {
        StepStatus.OK,
        StepStatus.FAILED,
        StepStatus.SKIPPED,
        StepStatus.CACHED,
        StepStatus.CANCELLED,
        StepStatus.INTERRUPTED,
    }
)

# Done, here or in the chain: what it left can be read.
DONE_STEP = frozenset({StepStatus.OK, StepStatus.CACHED})

# -- what the user writes -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shell:
    """A command as a step's body: text for a shell, or a list run as it is (made by `shell`)."""

    command: str | tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str | None = None
    ok_codes: tuple[int, ...] = (0,)


def shell(
    command: str | Iterable[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | PurePath | None = None,
    ok_codes: Iterable[int] = (0,),
) -> Shell:
    """Make a step's body of a command.

    Text runs as `bash -euo pipefail -c TEXT` (without bash as `sh -eu -c`, where a pipe is refused
    at load); words run as they are. `env` is set over what it inherits, `cwd` is where it runs.
    """
    options = (checked_env(env or {}), checked_cwd(cwd), checked_codes(ok_codes))
    if isinstance(command, str):
        if not command.strip():
            raise DefinitionError("shell command is empty", hint="give the command to run")
        return Shell(command, *options)
    words = tuple(command)
    if not words or not all(isinstance(word, str) for word in words) or not words[0]:
        what = f"shell command {words!r} is not a list of words"
        raise DefinitionError(what, hint="give at least the program")
    return Shell(words, *options)


RETRIES_MAX = 1_000
BACKOFF_S, BACKOFF_S_MAX = 1.0, 300.0
GRACE_S = 5.0


@cache
def _open(kind: type[Step]) -> type[Step]:
    """Give a class whose instances lie as those of `kind`, and may be changed.

    A step is one while it is made: its fields are set in 0.7 µs, not the 2.3 of what is frozen.
    """
    plain = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(kind.__name__, (kind,), {"__slots__": (), **plain})


@dataclass(init=False, frozen=True, slots=True)
class Step:
    """One named step.

    `run` is called as `run(ctx)`, or is what `shell(…)` gives. `retries` counts further attempts
    after the first. `backoff` is the upper bound of the first wait in seconds; it doubles from
    retry to retry up to `backoff_max`, and the wait is drawn evenly from zero to the bound.
    `wait` and `retry` take tenacity strategies in its place; `retry_on` names the exceptions worth
    a retry. `timeout` bounds one attempt; one past `max_duration` is told of. `when`, a function of
    ctx or text, decides whether to run. `output` is a shell step's file. `on_overrun` says what a
    retry does while the timed-out attempt's thread still runs. A changed `version` makes a resumed
    run do the step again. `isolate` makes a process; it, or a command, has `grace` after SIGTERM.

    Raises `DefinitionError` for anything that cannot work.
    """

    name: str
    run: Callable[..., Any] | Shell
    depends_on: Sequence[str]
    retries: int
    timeout: Duration | None
    trigger_rule: TriggerRule | str
    when: Callable[..., Any] | str | None
    backoff: Duration
    backoff_max: Duration
    retry_on: type[BaseException] | tuple[type[BaseException], ...]
    wait: Any
    retry: Any
    output: str | None
    version: str
    on_overrun: OnOverrun | str
    isolate: bool
    grace: Duration
    max_duration: Duration | None
    timeout_s: float | None = field(init=False)
    max_duration_s: float | None = field(init=False)
    backoff_s: float = field(init=False)
    backoff_s_max: float = field(init=False)
    grace_s: float = field(init=False)

    def __init__(  # noqa: PLR0913, PLR0917 - the public form of a step
        self,
        name: str,
        run: Callable[..., Any] | Shell,
        depends_on: Sequence[str] = (),
        retries: int = 2,
        timeout: Duration | None = None,
        trigger_rule: TriggerRule | str = TriggerRule.ALL_SUCCESS,
        when: Callable[..., Any] | str | None = None,
        backoff: Duration = BACKOFF_S,
        backoff_max: Duration = BACKOFF_S_MAX,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = (Exception,),
        wait: Any = None,
        retry: Any = None,
        output: str | None = None,
        version: str = "",
        on_overrun: OnOverrun | str = OnOverrun.FAIL,
        isolate: bool = False,  # noqa: FBT001, FBT002 - most give it by its name
        grace: Duration = GRACE_S,
        max_duration: Duration | None = None,
    ) -> None:
        """Check everything that can be checked without the other steps."""
        step: Any = self
        kind: Any = type(self)
        object.__setattr__(step, "__class__", _open(kind))
        step.name, step.run, step.depends_on = name, run, depends_on
        step.retries, step.timeout, step.trigger_rule = retries, timeout, trigger_rule
        step.when, step.backoff, step.backoff_max = when, backoff, backoff_max
        step.retry_on, step.wait, step.retry = retry_on, wait, retry
        step.output, step.version, step.on_overrun = output, version, on_overrun
        step.isolate, step.grace, step.max_duration = isolate, grace, max_duration
        step.timeout_s, step.grace_s, step.max_duration_s = None, GRACE_S, None
        step.backoff_s, step.backoff_s_max = BACKOFF_S, BACKOFF_S_MAX
        step.__class__ = kind
        self._check()

    def _check(self) -> None:
        check_name("step", self.name)
        put = object.__setattr__
        if not callable(self.run) and not isinstance(self.run, Shell):
            raise self._fault(f"cannot run {self.run!r}", "give a function of ctx, or shell(…)")
        if self.depends_on:
            put(self, "depends_on", self._checked_depends_on())
        elif self.depends_on != ():
            put(self, "depends_on", ())
        if self.retries != 2:
            self._check_retries()
        if self.timeout is not None:
            put(self, "timeout_s", self._duration("timeout"))
        if self.backoff != BACKOFF_S:
            put(self, "backoff_s", self._duration("backoff", zero=True))
        if self.backoff_max != BACKOFF_S_MAX:
            put(self, "backoff_s_max", self._duration("backoff_max", zero=True))
        if self.grace != GRACE_S:
            put(self, "grace_s", self._duration("grace", zero=True))
        if type(self.trigger_rule) is not TriggerRule:
            put(self, "trigger_rule", self._checked_rule())
        self._check_process()
        self._check_rest()

    @property
    def in_process(self) -> bool:
        """Whether its body is a process of its own, a command or isolated, that can be killed."""
        return self.isolate or isinstance(self.run, Shell)

    def _fault(self, what: str, hint: str) -> DefinitionError:
        return DefinitionError(f"step '{self.name}': {what}", hint=hint)

    def _duration(self, option: str, *, zero: bool = False) -> float:
        return parse_duration(f"step '{self.name}': {option}", getattr(self, option), zero=zero)

    def _checked_depends_on(self) -> tuple[str, ...]:
        if isinstance(self.depends_on, str):
            hint = f"write [{self.depends_on!r}]"
            raise self._fault(f"depends_on is the text {self.depends_on!r}", hint)
        names = tuple(dict.fromkeys(self.depends_on))
        for name in names:
            if not isinstance(name, str):
                raise self._fault(f"depends_on holds {name!r}", "give the names of steps")
        return names

    def _check_retries(self) -> None:
        if isinstance(self.retries, bool) or not isinstance(self.retries, int):
            raise self._fault(f"retries is {self.retries!r}", "give a whole number")
        if not 0 <= self.retries <= RETRIES_MAX:
            raise self._fault(f"retries is {self.retries}", f"give 0 to {RETRIES_MAX}")

    def _checked_rule(self) -> TriggerRule:
        try:
            return TriggerRule(self.trigger_rule)
        except ValueError:
            what, hint = f"unknown trigger rule {self.trigger_rule!r}", ", ".join(TriggerRule)
            raise self._fault(what, f"choose one of {hint}") from None

    def _check_process(self) -> None:
        if self.on_overrun is not OnOverrun.FAIL:
            if self.on_overrun not in list(OnOverrun):
                hint = f"choose one of {', '.join(OnOverrun)}"
                raise self._fault(f"unknown on_overrun {self.on_overrun!r}", hint)
            object.__setattr__(self, "on_overrun", OnOverrun(self.on_overrun))
        if self.on_overrun is not OnOverrun.FAIL and self.in_process:
            hint = "leave it out: a process past its limit is killed"
            raise self._fault("on_overrun= is for steps whose thread cannot be stopped", hint)
        if self.isolate and isinstance(self.run, Shell):
            raise self._fault("isolate= with shell(…)", "leave it out: a command is a process")
        if self.grace != GRACE_S and not self.in_process:
            raise self._fault("grace= on a thread", "isolate=True makes it a process to end")

    def _check_rest(self) -> None:
        if self.when is not None and not callable(self.when):
            object.__setattr__(self, "when", checked_when(self.name, self.when))
        if self.output is not None and not isinstance(self.run, Shell):
            raise self._fault("output= goes with shell(…)", "in a function use ctx.output(path)")
        if self.retry_on != (Exception,):
            kinds = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
            types = (isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)
            if not all(types):
                raise self._fault(f"retry_on is {self.retry_on!r}", "give exception types")
            object.__setattr__(self, "retry_on", kinds)
        if self.max_duration is not None:
            object.__setattr__(self, "max_duration_s", self._duration("max_duration"))
        if not isinstance(self.version, str):
            raise self._fault(f"version is {self.version!r}", "give text")


class _Required:
    """The default of a parameter that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED: Any = _Required()
ParamType = type[Any] | str


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a workflow: its type (such as `date`, or "date"), default, choices, help.

    A date's default may be "today": the day on which the run starts, in the workflow's zone. See
    `engine.params` for the types and the accepted texts.
    """

    type: ParamType
    default: Any = REQUIRED
    choices: tuple[Any, ...] = ()
    help: str = ""


ALERT_ON = ("always", "failure", "change")
OVERLAP = ("workflow", "params")
RESUME_WITHIN_S = 12 * 3600.0


def graph_of(steps: Sequence[Step]) -> Graph:
    """Compile and validate the graph of steps (see `engine.graph.build` for what it raises)."""
    return build([step.name for step in steps], [step.depends_on for step in steps])


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow as the engine runs it: checked, its graph compiled; `source` is its file."""

    name: str
    steps: tuple[Step, ...]
    params: Mapping[str, Param] = field(default_factory=dict)
    schedule: str | None = None
    tz: str | None = None
    catchup: str = Catchup.LATEST
    pause_after: int | None = None
    deadline: float | str | None = None
    max_duration_s: float | None = None
    ping: str | None = None
    hardening: str = ""
    overlap: str = "workflow"
    resume_within_s: float = RESUME_WITHIN_S
    alert_on: str = "always"
    order: str = Order.LONGEST_PATH
    dry_run: bool = False
    description: str = ""
    source: Path | None = None
    graph: Graph = field(default=REQUIRED, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the graph, once for all that asks for it."""
        if self.graph is REQUIRED:
            object.__setattr__(self, "graph", graph_of(self.steps))
