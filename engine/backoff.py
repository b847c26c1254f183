"""Whether a failure is worth a retry and how long to wait: what tenacity's strategies decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import EngineError, RetryAfter
from engine.model import Step
from engine.ports import Clock

if TYPE_CHECKING:
    from tenacity import RetryCallState


class ResultRefusedError(Exception):
    """The body returned what the step's tenacity `retry` refuses."""


class Verdict(NamedTuple):
    """Whether a failure is worth a retry, how long to wait, and what says so."""

    retryable: bool
    delay_s: float
    policy: str


NEVER = Verdict(retryable=False, delay_s=0.0, policy="")
STRATEGY_FAILED = NEVER._replace(policy="its retry strategy failed")


def after_failure(step: Step, failure: BaseException, *, number: int, clock: Clock) -> Verdict:
    """Decide after the `number`th failure of `step`.

    The default is exponential backoff with full jitter: the wait is drawn evenly between zero and
    a bound that doubles from retry to retry (M. Brooker, "Exponential Backoff And Jitter", 2015).
    An error that says the step itself is wrong is not worth a retry.
    """
    if isinstance(failure, RetryAfter):
        return _again(failure.seconds, "the step said how long")
    if isinstance(failure, EngineError):
        return NEVER._replace(policy="such an error would come again")
    state = None
    if isinstance(failure, ResultRefusedError):
        retryable = True
    elif step.retry is not None:
        state = _state(number, failure=failure)
        retryable = bool(step.retry(state))
    else:
        retryable = isinstance(failure, step.retry_on)
    if not retryable:
        return NEVER._replace(policy=f"{'retry_on' if step.retry is None else 'retry'} says no")
    if step.wait is not None:
        delay_s = float(step.wait(state or _state(number, failure=failure)))
        return _again(delay_s, "its wait strategy")
    if not step.backoff_s:
        return _again(0.0, "at once, without backoff")
    from tenacity import wait_exponential

    highest = max(step.backoff_s, step.backoff_s_max)
    bound_s = wait_exponential(multiplier=step.backoff_s, max=highest)(
        state or _state(number, failure=failure)
    )
    return _again(bound_s * clock.random(), f"drawn from 0 to {bound_s:g} s")


def _again(delay_s: float, policy: str) -> Verdict:
    return Verdict(retryable=True, delay_s=delay_s, policy=policy)


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
