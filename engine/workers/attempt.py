"""One attempt, from its context to its `AttemptFinished`: what a worker thread does."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from threading import Lock, RLock, get_native_id
from typing import TYPE_CHECKING, Any, NamedTuple

from engine import backoff
from engine.conditions import Asked, Condition
from engine.context import StepContext
from engine.errors import EngineError, RetryAfter, Skip, StepTimeout
from engine.events import AttemptFinished, new_finished
from engine.logs import AttemptScope, current, step_logger
from engine.model import AttemptOutcome, Shell
from engine.produced import Encoded
from engine.workers.guard import AttemptStopped, Guard
from engine.workers.toolbox import Toolbox
from store.storable import NOTE_BYTES

if TYPE_CHECKING:
    from types import TracebackType

    from engine.ports import Job
    from engine.workers.commands import ShellCommand

ERROR_LENGTH_MAX = 10_000
_OK = AttemptOutcome.OK


class Lane(NamedTuple):
    """The thread that attempts run in, and its two locks, of which each needs one at its end.

    To make two for each attempt would be a twentieth of what it takes.
    """

    thread: int
    ends: Lock
    guards: RLock


def this_lane() -> Lane:
    """Give the calling thread."""
    return Lane(get_native_id(), Lock(), RLock())


class Attempt(AttemptScope):
    """An attempt in the making; `run` in its worker, `stop` from any thread.

    It is itself what its logs go by.
    """

    # As most attempts leave them: of one that does nothing, to set each is a hundredth.
    _stop = ""
    _handed_over = False
    _thread = 0
    _asked: Asked | None = None
    _command: ShellCommand | None = None
    _context: StepContext | None = None

    def __init__(
        self,
        tools: Toolbox,
        job: Job,
        started_at: float,
        lane: Lane,
        guard: Guard | None = None,
    ) -> None:
        """Prepare an attempt, to be run in the calling thread, which is `lane`."""
        at, number, _, _ = job
        self._what = what = tools.steps[at]
        # What `AttemptScope` has; by a call to it, it takes three times as long.
        self.run_id, self.step, self.number = tools.scope.run_id, what.name, number
        self._logs = tools.logs
        self.job = job
        self.started_at = started_at
        self._tools = tools
        self._lane = lane
        self._guard = guard or Guard(lane.guards)
        self._ends = lane.ends  # held to tell an attempt that hands over from one that is stopped

    def stop(self, reason: str) -> None:
        """Ask for an end: fences its writes; a command, and a function's children, get TERM.

        The function itself gets `AttemptStopped`, when it next runs Python code.
        """
        with self._ends:
            if self._handed_over:
                return
            self._stop = self._stop or reason
            if self._context is not None:
                self._context.close(reason)
        if isinstance(self._what.run, Shell):
            if self._command is not None:
                self._command.stop(reason)
        else:
            self._guard.stop()
            self.end_children(signal.SIGTERM)

    def end_children(self, number: signal.Signals) -> None:
        """Signal the processes that the step's function has started; it may wait for one."""
        from engine.workers.family import end_started_by

        with self._ends:
            if self._thread and not isinstance(self._what.run, Shell):
                age_s = self._tools.clock.now() - self.started_at
                end_started_by(self._thread, age_s=age_s, number=number)

    def run(self) -> AttemptFinished:
        """Run the step's condition and body; never raises."""
        self._thread = self._lane.thread
        entered = current.set(self)
        try:
            skip, failure = self._guard.run(self._body)
            finished_at = self._tools.clock.now()
            over = self._what.timeout_s is not None and self._ran_over(finished_at)
            with self._ends:
                self._thread = 0  # what it starts from now on is another attempt's
                # A stop before this has taken its files away; one after it changes nothing.
                well = self._handed_over = failure is None and not over and not self._stop
            if well:
                return self._succeeded(finished_at, skip)
            return self._failed(failure or AttemptStopped(), finished_at)
        finally:
            current.reset(entered)
            if self._log is not None:
                self._log.close()

    def _logger(self) -> Any:
        return step_logger(self)

    def _body(self) -> str | None:
        """Gives the reason if the step is to be skipped."""
        tools, step, at = self._tools, self._what, self.job.step
        self._context = context = StepContext(
            tools.scope, at, self.number, tools.key_runs[at], self._logger
        )
        run = step.run
        try:
            if self._what.when is not None:
                self._asked = self._ask(context)
                if not self._asked.holds:
                    return self._asked.unmet
            if isinstance(run, Shell):
                self._run_command(run, context)
                return None
            result = run(context)
        except Skip as skip:
            return self._text_of(skip) or "skipped by the step"
        if step.retry is not None and backoff.refuses_result(step, result, number=self.number):
            raise backoff.ResultRefusedError
        if result is not None:
            context.set_return(result)
        return None

    def _ask(self, context: StepContext) -> Asked:
        when = self._what.when
        if isinstance(when, Condition):
            return when.asked(context, self._tools.scope.secrets.mask)
        assert callable(when)
        return Asked(None, bool(when(context)))

    def _run_command(self, shell: Shell, context: StepContext) -> None:
        from engine.workers.shell_step import prepare

        keeper = self._tools.keeper
        with keeper.attempt(self.job) if keeper else nullcontext() as marker:
            command = prepare(shell, self.job, context, self._tools, (self.log, marker))
            self._command = command
            if self._stop:
                command.stop(self._stop)
            outcome = command.run()
            if outcome.error:
                raise ProcessError(outcome.error)
            if keeper:
                keeper.spare(self.job)
        for key, value in outcome.values:
            context[key] = value

    # -- the end ----------------------------------------------------------------------------------

    def _ran_over(self, finished_at: float) -> bool:
        """Tell as the core does; a process that ended while the engine was halted is believed."""
        limit, halts, started_at = self._what.timeout_s, self._tools.halts, self.started_at
        if limit is None or finished_at < started_at + limit:
            return False
        return halts is None or finished_at >= started_at + limit + halts.halted_s(started_at)

    def _succeeded(self, finished_at: float, skip: str | None) -> AttemptFinished:
        context = self._context
        assert context is not None
        self._context = None  # which knows of this attempt: a ring would be left for the collector
        step, number, started_at = self.job.step, self.number, self.started_at
        if skip is None and not context.has_left:
            fields = (step, number, _OK, started_at, finished_at, "", None, False, 0.0)
            return new_finished((*fields, (), (), "", "", self._asked))
        if skip is not None:
            context.close()
            return AttemptFinished(
                step, number, _OK, started_at, finished_at, skip=skip, asked=self._asked
            )
        writes, files = context.writes(), context.files()
        note, asked = _note_on_size(writes), self._asked
        ended = AttemptFinished(step, number, _OK, started_at, finished_at, asked=asked)
        return ended._replace(writes=writes, files=files, note=note)

    def _failed(self, failure: BaseException, finished_at: float) -> AttemptFinished:
        tools, step, job = self._tools, self._what, self.job
        if self._context is not None:
            self._context.close()
        outcome = AttemptOutcome.FAILED
        if self._ran_over(finished_at):
            outcome = AttemptOutcome.TIMED_OUT
            failure = StepTimeout(f"timed out after {step.timeout_s:g}s")
            error = str(failure)
        elif self._stop:
            outcome, error = AttemptOutcome.INTERRUPTED, self._stop
        else:
            error = self._describe(failure)
        verdict = backoff.NEVER
        if outcome is not AttemptOutcome.INTERRUPTED:
            try:
                verdict = backoff.after_failure(
                    step, failure, number=tools.used[job.step] + job.number, clock=tools.clock
                )
            except Exception as wrong:  # noqa: BLE001 - a user's strategy may raise anything
                error = f"{error}; its retry strategy failed too: {self._describe(wrong)}"
                verdict = backoff.STRATEGY_FAILED
        return AttemptFinished(
            job.step,
            job.number,
            outcome,
            self.started_at,
            finished_at,
            error=error,
            retryable=verdict.retryable,
            delay_s=verdict.delay_s,
            policy=verdict.policy,
            asked=self._asked,
        )

    def _describe(self, failure: BaseException) -> str:
        """Give the error's text, masked and bounded; the traceback goes to the attempt's log."""
        if isinstance(failure, ProcessError):
            return self._text_of(failure)
        if isinstance(failure, backoff.ResultRefusedError):
            return "its result was refused by retry="
        if not isinstance(failure, EngineError | RetryAfter):
            self.log.write(_trace_of(failure), stream="err")
        name = name_of(failure)
        text = self._text_of(failure)
        return f"{name}: {text}" if text else name

    def _text_of(self, failure: BaseException) -> str:
        return text_of(failure, self._tools.scope.secrets.mask)


def name_of(failure: BaseException) -> str:
    """Give the name of an error's class, whatever a class of that class makes of it."""
    return str(type.__dict__["__name__"].__get__(type(failure)))


def text_of(failure: BaseException, mask: Callable[[str], str]) -> str:
    """Give an error's text, masked, bounded, and such as a store can hold; never raises."""
    try:
        text = str.__str__(str(failure))  # of a class of its own, its length may raise
    except BaseException:  # noqa: BLE001 - a step's exception may be anything
        text = "(its text cannot be shown)"
    text = mask(text)  # before it is cut: half a secret is known by nobody
    if len(text) > ERROR_LENGTH_MAX:
        text = text[:ERROR_LENGTH_MAX] + " … (cut)"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _trace_of(failure: BaseException) -> str:
    try:
        trace = _below_engine(failure.__traceback__)
        return "".join(traceback.format_exception(type(failure), failure, trace))
    except BaseException:  # noqa: BLE001 - what the exception has of its own may raise, too
        return "(its traceback cannot be shown)\n"


def _note_on_size(writes: Sequence[tuple[str, Encoded]]) -> str:
    """Name values that belong into a file; the limit itself is far above."""
    big = [
        f"'{key}' is {len(value.data) / 1e6:.1f} MB"
        for key, value in writes
        if len(value.data) > NOTE_BYTES
    ]
    return f"{', '.join(big)}: better a file, by ctx.output" if big else ""


class ProcessError(Exception):
    """A step process that ended badly; the text says how."""


def _below_engine(trace: TracebackType | None) -> TracebackType | None:
    """Leave out our own frames above the step's."""
    while trace is not None and trace.tb_frame.f_code.co_filename.endswith(
        ("workers/attempt.py", "workers/guard.py", "isolation/child.py")
    ):
        trace = trace.tb_next
    return trace
