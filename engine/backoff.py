"""Whether a failure is worth a retry and how long to wait: what tenacity's strategies decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, RetryAfter
from engine.model import Step
from engine.ports import Clock

if TYPE_CHECKING:
    from tenacity import RetryCallState


class ResultRefusedError(Exception):
    """The body returned what the step's tenacity `retry` refuses."""


def after_failure(
    step: Step, failure: BaseException, *, number: int, clock: Clock
) -> tuple[bool, float]:
    """(retryable, delay in seconds) after the `number`th failure of `step`.

    The default is exponential backoff with full jitter: the wait is drawn evenly between zero and
    a bound that doubles from retry to retry (M. Brooker, "Exponential Backoff And Jitter", 2015).
    An error that says the step itself is wrong is not worth a retry.
    """
    if isinstance(failure, RetryAfter):
        return True, failure.seconds
    if isinstance(failure, EngineError):
        return False, 0.0
    state = None
    if isinstance(failure, ResultRefusedError):
        retryable = True
    elif step.retry is not None:
        state = _state(number, failure=failure)
        retryable = bool(step.retry(state))
    else:
        retryable = isinstance(failure, step.retry_on)
    if not retryable:
        return False, 0.0
    if step.wait is not None:
        return True, float(step.wait(state or _state(number, failure=failure)))
    if not step.backoff_s:
        return True, 0.0
    from tenacity import wait_exponential

    highest = max(step.backoff_s, step.backoff_s_max)
    bound = wait_exponential(multiplier=step.backoff_s, max=highest)
    return True, bound(state or _state(number, failure=failure)) * clock.random()


def refuses_result(step: Step, result: Any, *, number: int) -> bool:
    """Whether the step's tenacity `retry` wants another attempt although the body returned."""
    return step.retry is not None and bool(step.retry(_state(number, result=result)))


def _state(
    number: int, *, failure: BaseException | None = None, result: Any = None
) -> RetryCallState:
    from tenacity import RetryCallState

    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
    state.attempt_number = number
    if failure is None:
        state.set_result(result)
    else:
        state.set_exception((type(failure), failure, failure.__traceback__))
    return state
