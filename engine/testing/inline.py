"""Attempts run one after the other in the calling thread, in virtual time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from engine.errors import UsageError
from engine.events import AttemptFinished, AttemptStarted, Event
from engine.model import Step
from engine.ports import Job
from engine.testing.clock import VirtualClock
from engine.workers.attempt import Attempt, this_lane
from engine.workers.guard import AttemptStopped, Guard
from engine.workers.toolbox import Toolbox


class TimesOut(BaseException):
    """Raised in a step by `times_out`."""


class Escaped(Exception):
    """Carries to the caller what no step is to swallow."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def times_out(ctx: Any) -> NoReturn:
    """Let the attempt run into its step's `timeout`, as a body that then is stopped.

    To be called by a function that stands in for a step, or given as one.
    """
    del ctx
    raise TimesOut


class InlineGuard(Guard):
    """Runs a body; what is meant for the test, and not for the engine, goes through to it.

    That is whatever is no `Exception`, such as Ctrl-C and what test tools fail and skip with.
    """

    def __init__(self, clock: VirtualClock, step: Step) -> None:
        """Guard one attempt of `step`."""
        super().__init__()
        self._clock, self._step = clock, step

    def run(self, body: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        """Call `body` in this thread; gives (result, None) or (None, what it raised)."""
        result, failure = super().run(body)
        if isinstance(failure, TimesOut):
            if self._step.timeout_s is None:
                raise Escaped(
                    UsageError(
                        f"step '{self._step.name}' cannot time out: it has no timeout",
                        hint="give it a timeout=, or let it fail with an error",
                    )
                )
            self._clock.pass_to(self._clock.now() + self._step.timeout_s)
            return None, AttemptStopped()
        if failure is not None and not isinstance(failure, Exception | SystemExit):
            raise Escaped(failure)
        return result, failure


class InlineWorkers:
    """Implements `engine.ports.Workers`: an attempt runs when its events are waited for."""

    def __init__(self, tools: Toolbox, clock: VirtualClock) -> None:
        """Have nothing to do."""
        self._tools, self._clock = tools, clock
        self._jobs: deque[Job] = deque()

    def dispatch(self, jobs: Sequence[Job]) -> None:
        """Queue attempts, in order."""
        self._jobs.extend(jobs)

    def wait(self, timeout_s: float | None) -> list[Event]:
        """Run the next attempt; if there is none, let the time pass."""
        if self._jobs:
            try:
                return [self._run(self._jobs.popleft())]
            except KeyboardInterrupt as error:  # between the engine's own lines
                raise Escaped(error) from None
        assert timeout_s is not None, "nothing can ever happen: the run waits for no event"
        self._clock.pass_to(self._clock.now() + timeout_s)
        return []

    def _run(self, job: Job) -> AttemptFinished:
        guard = InlineGuard(self._clock, self._tools.steps[job.step])
        return Attempt(self._tools, job, self._clock.now(), this_lane(), guard).run()

    def begun(self) -> list[AttemptStarted]:
        """Nothing runs while this can be asked."""
        return []

    def stop(self, step: int, number: int, reason: str, *, withdraw: bool) -> None:
        """Nothing runs while this can be asked."""

    def leave_behind(self, step: int, number: int) -> None:
        """Nothing is ever left behind."""

    def left_running(self) -> list[tuple[int, int]]:
        """Nothing runs while this can be asked."""
        return []

    def close(self) -> None:
        """There is nothing to end."""
