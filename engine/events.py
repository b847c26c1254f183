"""What passes between the core and the world: events in, actions out.

Events say what happened, in the past tense; actions say what to do, in the imperative. A step is
named by its position in the definition; times are monotonic seconds of the run's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from engine.conditions import Asked
from engine.model import AttemptOutcome, RunStatus, StepStatus
from engine.produced import Encoded, OutputFile

_Writes = tuple[tuple[str, Encoded], ...]
_Files = tuple[OutputFile, ...]
Facts = tuple[tuple[str, object], ...]
DECISIONS = ("condition", "give up", "hold", "retry", "rule", "skip")

# -- events ---------------------------------------------------------------------------------------


class AttemptStarted(NamedTuple):
    """A worker began the attempt; reported only where the start matters (see `Claim.report`)."""

    step: int
    number: int
    at: float


class AttemptFinished(NamedTuple):
    """The attempt's body has ended, by itself or because it was stopped.

    `skip` holds the reason if the step asked to be skipped. For a failure `error` is its text,
    `retryable` whether its policy wants another try, `delay_s` how long to wait before it, and
    `policy` what says so. `asked` is what the step's condition came to, if it has one.
    """

    step: int
    number: int
    outcome: AttemptOutcome
    started_at: float
    finished_at: float
    error: str = ""
    skip: str | None = None
    retryable: bool = False
    delay_s: float = 0.0
    writes: _Writes = ()
    files: _Files = ()
    note: str = ""
    policy: str = ""
    asked: Asked | None = None


class AttemptWithdrawn(NamedTuple):
    """A claimed attempt was taken back before it began."""

    step: int
    number: int


class AttemptOverran(NamedTuple):
    """The attempt is past its limit and was still alive when it was last looked at."""

    step: int
    number: int
    retryable: bool
    delay_s: float
    policy: str = ""


class StopRequested(NamedTuple):
    """Somebody wants the run to end: `by` names the signal, or who asked for it to be cancelled.

    `at_once` waits for nothing that runs; `cancel` leaves steps of rule `all_done` their turn.
    """

    by: str
    at_once: bool = False
    cancel: bool = False


class EngineHalted(NamedTuple):
    """The whole engine stood still (SIGSTOP, a debugger, a starved machine) from `begun` on."""

    begun: float
    ended: float


Event = (
    AttemptStarted
    | AttemptFinished
    | AttemptWithdrawn
    | AttemptOverran
    | StopRequested
    | EngineHalted
)

# -- actions --------------------------------------------------------------------------------------


class Claim(NamedTuple):
    """Record attempt `number` of `step` as claimed, then hand it to a worker.

    `started_at` is the tick's time if a worker is free, None if the attempt will queue. The worker
    is asked to `report` the start where a limit runs from it.
    """

    step: int
    number: int
    started_at: float | None
    report: bool


class RecordStart(NamedTuple):
    """Record when a claimed attempt began."""

    step: int
    number: int
    at: float


class EndAttempt(NamedTuple):
    """Record an attempt's outcome; times are None where it never began."""

    step: int
    number: int
    outcome: AttemptOutcome
    started_at: float | None
    finished_at: float | None
    error: str = ""


class BackOff(NamedTuple):
    """Record that the step waits until `until` after its failed attempt `number`."""

    step: int
    number: int
    until: float


class EndStep(NamedTuple):
    """Record a step's final status, its note and what it wrote."""

    step: int
    status: StepStatus
    at: float
    note: str = ""
    writes: _Writes = ()
    files: _Files = ()


class Decide(NamedTuple):
    """Record what was decided about a step, and by which `facts`: names and values as JSON has.

    It belongs to the event that the action before it records. What other rows tell is not recorded
    again: no step that is simply ok has one.
    """

    step: int
    what: str  # of `DECISIONS`
    facts: Facts


class StopAttempt(NamedTuple):
    """Make a live attempt end: `withdraw` only if it has not begun, else stop it now."""

    step: int
    number: int
    reason: str
    withdraw: bool = False


class LeaveBehind(NamedTuple):
    """Stop counting on the worker of an attempt that could not be stopped."""

    step: int
    number: int


class TellLate(NamedTuple):
    """Record an alert: an attempt that is on, or without `step` the run, is late. No more."""

    step: int | None
    number: int
    at: float
    headline: str
    body: str


class EndRun(NamedTuple):
    """Record the run's outcome; nothing follows."""

    status: RunStatus
    at: float
    note: str = ""


Action = (
    Claim
    | RecordStart
    | EndAttempt
    | BackOff
    | EndStep
    | Decide
    | StopAttempt
    | LeaveBehind
    | TellLate
    | EndRun
)

# -- made for each step ---------------------------------------------------------------------------

# Of a tuple of all fields: as the classes make them, in half of the time, which is 0.7 µs a step.
new_claim: Callable[[tuple[int, int, float | None, bool]], Claim]
new_claim = partial(tuple.__new__, Claim)
new_end_attempt: Callable[
    [tuple[int, int, AttemptOutcome, float | None, float | None, str]], EndAttempt
]
new_end_attempt = partial(tuple.__new__, EndAttempt)
new_end_step: Callable[[tuple[int, StepStatus, float, str, _Writes, _Files]], EndStep]
new_end_step = partial(tuple.__new__, EndStep)
new_finished: Callable[
    [
        tuple[
            *tuple[int, int, AttemptOutcome, float, float, str, None, bool, float],
            *tuple[_Writes, _Files, str, str, Asked | None],
        ]
    ],
    AttemptFinished,
]
new_finished = partial(tuple.__new__, AttemptFinished)
