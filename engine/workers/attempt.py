"""One attempt, from its context to its `AttemptFinished`: what a worker thread does."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from threading import Lock, get_native_id
from typing import TYPE_CHECKING, Any

from engine import backoff
from engine.conditions import FALSE, Condition
from engine.context import StepContext
from engine.errors import EngineError, RetryAfter, Skip, StepTimeout
from engine.events import AttemptFinished
from engine.logs import AttemptScope, attempt_scope, step_logger
from engine.model import AttemptOutcome, Encoded, Shell
from engine.workers.guard import AttemptStopped, Guard
from engine.workers.toolbox import Toolbox
from store.storable import NOTE_BYTES

if TYPE_CHECKING:
    from types import TracebackType

    from engine.ports import AttemptLog, Job
    from engine.workers.commands import ShellCommand

ERROR_LENGTH_MAX = 10_000


class _LazyLog:
    """`ctx.log`, made when first used: most steps of a big graph never log."""

    __slots__ = ("_attempt", "_logger")

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._logger: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._logger is None:
            self._logger = step_logger(self._attempt.log_scope)
        return getattr(self._logger, name)


class Attempt:
    """An attempt in the making; `run` in its worker, `stop` from any thread."""

    __slots__ = (
        "_command",
        "_context",
        "_ends",
        "_guard",
        "_handed_over",
        "_stop",
        "_thread",
        "_tools",
        "job",
        "log_scope",
        "started_at",
        "step",
    )

    def __init__(
        self, tools: Toolbox, job: Job, started_at: float, guard: Guard | None = None
    ) -> None:
        """Prepare an attempt; nothing runs yet."""
        self.job = job
        self.started_at = started_at
        self.step = tools.steps[job.step]
        self._tools = tools
        self._guard = guard or Guard()
        self._thread = 0
        self._stop = ""
        self._ends = Lock()  # held to tell an attempt that hands over from one that is stopped
        self._handed_over = False
        self._thread = 0
        self._command: ShellCommand | None = None
        self._context: StepContext | None = None
        scope = tools.scope
        log = tools.logs.open(self.step.name, job.number)
        self.log_scope = AttemptScope(scope.run_id, self.step.name, job.number, log)

    @property
    def _log(self) -> AttemptLog:
        return self.log_scope.log

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
        if isinstance(self.step.run, Shell):
            if self._command is not None:
                self._command.stop(reason)
        else:
            self._guard.stop()
            self.end_children(signal.SIGTERM)

    def end_children(self, number: signal.Signals) -> None:
        """Signal the processes that the step's function has started; it may wait for one."""
        from engine.workers.family import end_started_by

        with self._ends:
            if self._thread and not isinstance(self.step.run, Shell):
                age_s = self._tools.clock.now() - self.started_at
                end_started_by(self._thread, age_s=age_s, number=number)

    def run(self) -> AttemptFinished:
        """Run the step's condition and body; never raises."""
        started_at = self.started_at
        self._thread = get_native_id()
        with attempt_scope(self.log_scope):
            result, failure = self._guard.run(self._body)
            with self._ends:
                self._thread = 0  # what it starts from now on is another attempt's
            finished_at = self._tools.clock.now()
            if failure is None and (
                self._ran_over(started_at, finished_at) or not self._hand_over()
            ):
                failure = AttemptStopped()
            if failure is None:
                return self._succeeded(started_at, finished_at, skip=result)
            return self._failed(failure, started_at, finished_at)

    def _hand_over(self) -> bool:
        """Whether what it wrote is complete: a stop before this has taken its files away."""
        with self._ends:
            self._handed_over = not self._stop
            return self._handed_over

    def _body(self) -> str | None:
        """Gives the reason if the step is to be skipped."""
        tools, step, number = self._tools, self.step, self.job.number
        self._context = context = StepContext(
            tools.scope,
            self.job.step,
            number,
            idempotency_key=f"{tools.key_runs[self.job.step]}/{step.name}",
            log=_LazyLog(self),  # type: ignore[arg-type]
        )
        try:
            unmet = self._unmet(context) if step.when is not None else ""
            if unmet:
                return unmet
            if isinstance(step.run, Shell):
                self._run_command(step.run, context)
                return None
            result = step.run(context)
        except Skip as skip:
            return self._text_of(skip) or "skipped by the step"
        if step.retry is not None and backoff.refuses_result(step, result, number=number):
            raise backoff.ResultRefusedError
        context.set_return(result)
        return None

    def _unmet(self, context: StepContext) -> str:
        when = self.step.when
        if isinstance(when, Condition):
            return when.unmet(context, self._tools.scope.secrets.mask)
        assert callable(when)
        return "" if when(context) else FALSE

    def _run_command(self, shell: Shell, context: StepContext) -> None:
        from engine.workers.shell_step import prepare

        keeper = self._tools.keeper
        with keeper.attempt(self.job) if keeper else nullcontext() as marker:
            command = prepare(shell, self.job, context, self._tools, (self._log, marker))
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

    def _ran_over(self, started_at: float, finished_at: float) -> bool:
        """Tell as the core does; a process that ended while the engine was halted is believed."""
        limit, halts = self.step.timeout_s, self._tools.halts
        if limit is None or finished_at < started_at + limit:
            return False
        return halts is None or finished_at >= started_at + limit + halts.halted_s(started_at)

    def _succeeded(
        self, started_at: float, finished_at: float, *, skip: str | None
    ) -> AttemptFinished:
        context = self._context
        assert context is not None
        job = self.job
        if skip is not None:
            context.close()
            return AttemptFinished(
                job.step, job.number, AttemptOutcome.OK, started_at, finished_at, skip=skip
            )
        return AttemptFinished(
            job.step,
            job.number,
            AttemptOutcome.OK,
            started_at,
            finished_at,
            writes=context.writes(),
            files=context.files(),
            note=_note_on_size(context.writes()),
        )

    def _failed(
        self, failure: BaseException, started_at: float, finished_at: float
    ) -> AttemptFinished:
        tools, step, job = self._tools, self.step, self.job
        if self._context is not None:
            self._context.close()
        outcome = AttemptOutcome.FAILED
        if self._ran_over(started_at, finished_at):
            outcome = AttemptOutcome.TIMED_OUT
            failure = StepTimeout(f"timed out after {step.timeout_s:g}s")
            error = str(failure)
        elif self._stop:
            outcome, error = AttemptOutcome.INTERRUPTED, self._stop
        else:
            error = self._describe(failure)
        retryable, delay_s = False, 0.0
        if outcome is not AttemptOutcome.INTERRUPTED:
            try:
                retryable, delay_s = backoff.after_failure(
                    step, failure, number=tools.used[job.step] + job.number, clock=tools.clock
                )
            except Exception as wrong:  # noqa: BLE001 - a user's strategy may raise anything
                error = f"{error}; its retry strategy failed too: {self._describe(wrong)}"
        return AttemptFinished(
            job.step,
            job.number,
            outcome,
            started_at,
            finished_at,
            error=error,
            retryable=retryable,
            delay_s=delay_s,
        )

    def _describe(self, failure: BaseException) -> str:
        """Give the error's text, masked and bounded; the traceback goes to the attempt's log."""
        if isinstance(failure, ProcessError):
            return self._text_of(failure)
        if isinstance(failure, backoff.ResultRefusedError):
            return "its result was refused by retry="
        if not isinstance(failure, EngineError | RetryAfter):
            shown = traceback.format_exception(
                type(failure), failure, _below_engine(failure.__traceback__)
            )
            self._log.write("".join(shown), stream="err")
        name = type(failure).__name__
        text = self._text_of(failure)
        return f"{name}: {text}" if text else name

    def _text_of(self, failure: BaseException) -> str:
        try:
            text = str(failure)
        except BaseException:  # noqa: BLE001 - a step's exception may be anything
            text = "(its text cannot be shown)"
        # Masked before it is cut: half a secret is known by nobody.
        text = self._tools.scope.secrets.mask(text)
        if len(text) > ERROR_LENGTH_MAX:
            text = text[:ERROR_LENGTH_MAX] + " … (cut)"
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


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
