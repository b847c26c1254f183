"""Which failures are worth a retry, and how long to wait: the default, tenacity's, the step's."""

from __future__ import annotations

from typing import Any

import pytest
import tenacity

from engine.backoff import after_failure, refuses_result
from engine.errors import ContextKeyError, RetryAfter, StepTimeout, ValueNotStorable
from engine.model import Step
from tests.builders import nothing
from tests.fakes import FakeClock


class Dice(FakeClock):
    """A clock whose draws are all the same."""

    def __init__(self, drawn: float) -> None:
        """Draw `drawn`."""
        super().__init__()
        self.drawn = drawn

    def random(self) -> float:
        """Give the draw."""
        return self.drawn


def step(**policy: Any) -> Step:
    """Make a step of a policy."""
    return Step("s", nothing, **policy)


def delays(made: Step, drawn: float, numbers: tuple[int, ...]) -> list[float]:
    """Give the waits after these failures."""
    clock = Dice(drawn)
    found = [after_failure(made, OSError("no"), number=number, clock=clock) for number in numbers]
    assert all(verdict.retryable for verdict in found)
    return [verdict.delay_s for verdict in found]


def test_the_bound_doubles_from_a_second() -> None:
    """1, 2, 4 … seconds, up to five minutes."""
    assert delays(step(), 1.0, (1, 2, 3, 9, 10)) == [1, 2, 4, 256, 300]


def test_jitter_is_full() -> None:
    """The wait is drawn evenly between nothing and the bound."""
    assert delays(step(), 0.0, (1, 2, 3)) == [0, 0, 0]
    assert delays(step(), 0.25, (1, 2, 3)) == [0.25, 0.5, 1]
    clock = FakeClock(seed=1)
    drawn = [after_failure(step(), OSError(), number=2, clock=clock)[1] for _ in range(2000)]
    assert 0 <= min(drawn) < 0.05
    assert 1.95 < max(drawn) < 2
    assert abs(sum(drawn) / len(drawn) - 1) < 0.05


def test_own_bounds() -> None:
    """`backoff` is the first bound, `backoff_max` the last."""
    assert delays(step(backoff="10s", backoff_max="25s"), 1.0, (1, 2, 3)) == [10, 20, 25]
    assert delays(step(backoff=0), 1.0, (1, 2, 3)) == [0, 0, 0]


def test_a_first_bound_above_the_last_holds() -> None:
    """A `backoff` of an hour is one, although `backoff_max` is five minutes if it is not given."""
    assert delays(step(backoff="1h"), 1.0, (1, 2)) == [3600, 3600]


def test_the_ten_thousandth_attempt() -> None:
    """No number overflows."""
    assert delays(step(), 1.0, (10_000,)) == [300]


# -- what is worth a retry ------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [ValueError("x"), OSError(), StepTimeout("timed out")])
def test_exceptions_are(failure: Exception) -> None:
    """By default every `Exception`, a timeout included."""
    assert after_failure(step(), failure, number=1, clock=Dice(0.5))[:2] == (True, 0.5)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_exits_are_not(failure: BaseException) -> None:
    """What is no `Exception` wants to end things."""
    assert after_failure(step(), failure, number=1, clock=Dice(0.5))[:2] == (False, 0.0)


@pytest.mark.parametrize("failure", [ValueNotStorable("cannot"), ContextKeyError("no key")])
def test_errors_of_ours_are_not(failure: Exception) -> None:
    """They say that the step itself is wrong, and no retry changes it."""
    made = step(retry_on=Exception)
    assert after_failure(made, failure, number=1, clock=Dice(0.5))[:2] == (False, 0.0)


def test_retry_on_names_types() -> None:
    """Subclasses count; all else is final."""
    made = step(retry_on=(ConnectionError, TimeoutError))
    assert after_failure(made, ConnectionResetError(), number=1, clock=Dice(0.5))[:2] == (True, 0.5)
    assert after_failure(made, StepTimeout("late"), number=1, clock=Dice(0.5))[:2] == (True, 0.5)
    assert after_failure(made, ValueError(), number=1, clock=Dice(0.5))[:2] == (False, 0.0)


def test_retry_after_says_when() -> None:
    """Its seconds are taken as they are, whatever the policy."""
    made = step(retry_on=ConnectionError, backoff=0)
    assert after_failure(made, RetryAfter(90), number=7, clock=Dice(0.5))[:2] == (True, 90.0)
    assert str(RetryAfter(90)) == "retry after 90s"


@pytest.mark.parametrize(
    ("policy", "failure", "told"),
    [
        ({}, OSError(), "drawn from 0 to 2 s"),
        ({"backoff": 0}, OSError(), "at once, without backoff"),
        ({"wait": tenacity.wait_fixed(2)}, OSError(), "its wait strategy"),
        ({}, RetryAfter(90), "the step said how long"),
        ({}, ContextKeyError("no key"), "such an error would come again"),
        ({"retry_on": ConnectionError}, ValueError(), "retry_on says no"),
        ({"retry": tenacity.retry_never}, ValueError(), "retry says no"),
    ],
)
def test_it_is_told_what_decided(policy: dict[str, Any], failure: Exception, told: str) -> None:
    """In words that stand in the record."""
    assert after_failure(step(**policy), failure, number=2, clock=Dice(0.5)).policy == told


# -- tenacity's strategies ------------------------------------------------------------------------


def test_a_tenacity_wait() -> None:
    """It is asked with the number of the attempt, and takes no jitter of ours."""
    made = step(wait=tenacity.wait_incrementing(start=3, increment=4))
    assert delays(made, 0.5, (1, 2, 3)) == [3, 7, 11]
    chained = step(wait=tenacity.wait_fixed(2) + tenacity.wait_fixed(0.5))
    assert delays(chained, 0.0, (1,)) == [2.5]


def test_a_tenacity_wait_sees_the_failure() -> None:
    """A strategy may look at the exception and its message."""

    def by_failure(state: tenacity.RetryCallState) -> float:
        assert state.outcome is not None
        return float(str(state.outcome.exception()))

    found = after_failure(step(wait=by_failure), OSError("12"), number=1, clock=Dice(0.5))
    assert found[:2] == (True, 12.0)


def test_a_tenacity_retry() -> None:
    """It takes the place of `retry_on`; the wait stays."""
    made = step(retry=tenacity.retry_if_exception_message(match="again"))
    assert after_failure(made, ValueError("again"), number=2, clock=Dice(0.5))[:2] == (True, 1.0)
    assert after_failure(made, ValueError("never"), number=2, clock=Dice(0.5))[:2] == (False, 0.0)
    never = step(retry=tenacity.retry_never)
    assert after_failure(never, ValueError(), number=1, clock=Dice(0.5))[:2] == (False, 0.0)


def test_a_tenacity_retry_may_refuse_a_result() -> None:
    """A body that returned is tried again if the strategy does not accept what it gave."""
    made = step(retry=tenacity.retry_if_result(lambda result: result is None))
    assert refuses_result(made, None, number=1) is True
    assert refuses_result(made, 0, number=1) is False
    assert refuses_result(step(), None, number=1) is False
