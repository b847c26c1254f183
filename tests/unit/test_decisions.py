"""What the core records of its decisions: the facts, only where no other row tells why."""

from __future__ import annotations

from engine.conditions import Asked
from engine.events import AttemptOverran, AttemptStarted, Decide
from engine.model import StepStatus
from engine.plan import StepState
from tests.unit.ticks import Core, bad, ok

S = StepStatus


def told(core: Core) -> list[tuple[int, str, dict[str, object]]]:
    """Give what was decided so far."""
    return [(one.step, one.what, dict(one.facts)) for one in core.decided]


def test_a_run_in_which_all_is_ok_decides_nothing() -> None:
    """What is plain costs no row."""
    core = Core("a b>a")
    core.at(0.0)
    core.at(1.0, ok(0))
    core.at(2.0, ok(1))
    assert core.core.ended
    assert core.decided == []


def test_a_retry_tells_its_budget_its_delay_and_what_gave_that() -> None:
    """The last failure is given up, as no attempts are left."""
    core = Core("a*1")
    core.at(0.0)
    core.at(1.0, bad(0, policy="drawn from 0 to 4 s"))
    core.at(3.0)
    core.at(4.0, bad(0, number=2, error="ValueError: no\nat all"))
    budget = {"error": "ValueError", "of": 2}
    again = {"delay_s": 2.0, "policy": "drawn from 0 to 4 s"}
    assert told(core) == [
        (0, "retry", {"attempt": 1, "failures": 1, **budget, **again}),
        (0, "give up", {"attempt": 2, "failures": 2, **budget, "why": "no attempts are left"}),
    ]


def test_a_failure_that_is_not_worth_a_retry_tells_who_says_so() -> None:
    """An error without a class is told by its first line."""
    core = Core("a*5")
    core.at(0.0)
    core.at(1.0, bad(0, error="exit code 3", retryable=False, policy="retry_on says no"))
    facts = {"attempt": 1, "failures": 1, "of": 6, "error": "exit code 3"}
    assert told(core) == [(0, "give up", {**facts, "why": "retry_on says no"})]


def test_a_continued_run_counts_the_failures_before_it() -> None:
    """The attempt is this run's first, the failure the chain's third."""
    core = Core("a*2", states=[StepState(used=2)])
    core.at(0.0)
    core.at(1.0, bad(0))
    facts = {"attempt": 1, "failures": 3, "of": 3, "error": "ValueError"}
    assert told(core) == [(0, "give up", {**facts, "why": "no attempts are left"})]


def test_a_condition_is_told_whether_it_holds_or_not() -> None:
    """A skip by it is not told again as one that the step asked for."""
    core = Core("a b c")
    core.at(0.0)
    met = Asked("rows > 0", holds=True, values=(("rows", "7"),))
    unmet = Asked(None, holds=False)
    core.at(
        1.0,
        ok(0)._replace(asked=met),
        ok(1, skip="condition false")._replace(asked=unmet),
        ok(2, skip="not on Sundays"),
    )
    first = {"attempt": 1, "condition": "rows > 0", "holds": True, "values": (("rows", "7"),)}
    assert told(core) == [
        (0, "condition", first),
        (1, "condition", {"attempt": 1, "condition": None, "holds": False, "values": ()}),
        (2, "skip", {"attempt": 1, "said": "not on Sundays"}),
    ]


def test_a_trigger_rule_tells_the_upstreams_that_decided() -> None:
    """Ten at most, and the failure that is behind them; each decision follows its step's end."""
    names = [f"u{at}" for at in range(12)]
    core = Core(" ".join([*names, f"z>{','.join(names)}"]))
    core.at(0.0)
    core.ahead = 20
    core.at(0.5)
    core.at(1.0, *(bad(at, retryable=False) for at in range(12) if at != 1), ok(1))
    [(step, what, facts)] = [one for one in told(core) if one[1] == "rule"]
    assert (step, what) == (12, "rule")
    named = [name for name in names if name != "u1"][:10]
    assert facts == {
        "rule": "all_success",
        "upstreams": tuple((name, "failed") for name in named),
        "more": 1,
        "failure": "u0",
    }


def test_a_rule_that_wants_a_failure_tells_all_that_did_not_fail() -> None:
    """They are what decided; no failure is behind it."""
    core = Core("a b>a:one_failed c>b")
    core.at(0.0)
    core.at(1.0, ok(0))
    assert told(core) == [
        (
            1,
            "rule",
            {"rule": "one_failed", "upstreams": (("a", "ok"),), "more": 0, "failure": None},
        ),
        (
            2,
            "rule",
            {"rule": "all_success", "upstreams": (("b", "skipped"),), "more": 0, "failure": None},
        ),
    ]


def test_an_attempt_that_will_not_end_is_held_against_its_retry() -> None:
    """Its step gives up when the retry is due, or waits, as its policy says."""
    for policy, what, more in (
        ("fail", "give up", {"why": "the attempt before it still runs"}),
        ("wait", "hold", {}),
    ):
        core = Core(f"a*2~1%{policy}")
        core.at(0.0)
        core.at(0.1, AttemptStarted(0, 1, 0.0))
        core.at(1.0)
        core.at(2.0, AttemptOverran(0, 1, retryable=True, delay_s=3.0, policy="drawn"))
        core.at(5.0)
        retried, last = told(core)
        assert retried[1:] == (
            "retry",
            {
                "attempt": 1,
                "failures": 1,
                "of": 3,
                "error": "timed out; its thread is still running",
                "delay_s": 3.0,
                "policy": "drawn",
            },
        )
        assert last[1] == what
        assert last[2]["attempt"] == 1
        assert more.items() <= last[2].items()


def test_facts_are_values() -> None:
    """Of many steps that are skipped for one reason, the text is made once."""
    core = Core("a b>a c>a")
    core.at(0.0)
    core.at(1.0, bad(0, retryable=False))
    rules = [one for one in core.decided if one.what == "rule"]
    assert rules == [Decide(1, "rule", rules[0].facts), Decide(2, "rule", rules[0].facts)]
    assert len({one.facts for one in rules}) == 1
