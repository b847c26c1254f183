"""The truth table of trigger rules, and what skips are put down to."""

from __future__ import annotations

from itertools import product

import pytest

from engine.frontier import Frontier
from engine.model import StepStatus, TriggerRule
from engine.trigger import Decision, decide
from tests.builders import graph_of, plan

READY, WAIT = Decision.READY, Decision.WAIT
FAILED, SKIPPED, NONE = Decision.SKIP_FAILED, Decision.SKIP_SKIPPED, Decision.SKIP_NONE_FAILED

# (failed, skipped) -> what each rule says once all upstreams have ended
TABLE = {
    TriggerRule.ALL_SUCCESS: {
        (False, False): READY,
        (False, True): SKIPPED,
        (True, False): FAILED,
        (True, True): FAILED,
    },
    TriggerRule.NONE_FAILED: {
        (False, False): READY,
        (False, True): READY,
        (True, False): FAILED,
        (True, True): FAILED,
    },
    TriggerRule.ALL_DONE: {
        (False, False): READY,
        (False, True): READY,
        (True, False): READY,
        (True, True): READY,
    },
    TriggerRule.ONE_FAILED: {
        (False, False): NONE,
        (False, True): NONE,
        (True, False): READY,
        (True, True): READY,
    },
}


@pytest.mark.parametrize("rule", TriggerRule)
@pytest.mark.parametrize(("failed", "skipped"), list(product([False, True], repeat=2)))
def test_truth_table(rule: TriggerRule, failed: bool, skipped: bool) -> None:
    """Each rule decides once all upstreams have ended, and waits before."""
    expected = TABLE[rule][failed, skipped]
    assert decide(rule, unended=0, failed=failed, skipped=skipped) is expected
    assert decide(rule, unended=1, failed=failed, skipped=skipped) is WAIT


OK, CACHED, BAD, SKIP = (
    StepStatus.OK,
    StepStatus.CACHED,
    StepStatus.FAILED,
    StepStatus.SKIPPED,
)


@pytest.mark.parametrize(
    ("rule", "ends", "expected"),
    [
        ("all_success", (OK, CACHED), (READY, "")),
        ("all_success", (OK, SKIP), (SKIPPED, "dependency skipped: b")),
        ("all_success", (SKIP, SKIP), (SKIPPED, "dependency skipped: a")),
        ("all_success", (SKIP, BAD), (FAILED, "dependency failed: b")),
        ("all_success", (BAD, BAD), (FAILED, "dependency failed: a")),
        ("none_failed", (SKIP, CACHED), (READY, "")),
        ("none_failed", (SKIP, BAD), (FAILED, "dependency failed: b")),
        ("all_done", (BAD, SKIP), (READY, "")),
        ("one_failed", (BAD, OK), (READY, "")),
        ("one_failed", (OK, SKIP), (NONE, "no dependency failed")),
    ],
)
def test_direct_upstreams(
    rule: str, ends: tuple[StepStatus, StepStatus], expected: tuple[Decision, str]
) -> None:
    """The reason names the failure, else the skip, that was declared first; order of ends aside."""
    for turn in ((0, 1), (1, 0)):
        text = f"a b c>a,b:{rule}"
        frontier = Frontier(graph_of(text), plan(text).rules)
        assert frontier.end(turn[0], ends[turn[0]]) == []
        assert not frontier.is_due(2)
        assert frontier.end(turn[1], ends[turn[1]]) == [2]
        assert frontier.is_due(2)
        assert frontier.decide(2) == expected


@pytest.mark.parametrize(
    ("text", "ends", "expected"),
    [
        # the root of a failure is named at any distance
        ("a b>a c>b d>c", (BAD, SKIP, SKIP), (FAILED, "dependency failed: a")),
        ("a b>a:none_failed c>b:none_failed", (BAD, SKIP), (FAILED, "dependency failed: a")),
        # what ran in spite of a failure starts a story of its own
        ("a b>a:all_done c>b", (BAD, OK), (READY, "")),
        ("a b>a:all_done c>b", (BAD, SKIP), (SKIPPED, "dependency skipped: b")),
        ("a b>a:all_done c>b", (BAD, BAD), (FAILED, "dependency failed: b")),
        ("a b>a:one_failed c>b", (BAD, SKIP), (SKIPPED, "dependency skipped: b")),
        # a skip that no failure caused stays one
        ("a b>a c>b:none_failed", (SKIP, SKIP), (READY, "")),
        ("a b>a c>b:one_failed", (SKIP, SKIP), (NONE, "no dependency failed")),
        ("a b>a:one_failed c>b:none_failed", (OK, SKIP), (READY, "")),
        # one that a failure caused counts as a failure
        ("a b>a c>b:one_failed", (BAD, SKIP), (READY, "")),
        ("a b>a c>b:none_failed", (BAD, SKIP), (FAILED, "dependency failed: a")),
    ],
)
def test_at_a_distance(
    text: str, ends: tuple[StepStatus, ...], expected: tuple[Decision, str]
) -> None:
    """What the last step is told once those above it have ended."""
    frontier = Frontier(graph_of(text), plan(text).rules)
    for step, status in enumerate(ends):
        frontier.end(step, status)
    assert frontier.decide(len(ends)) == expected


def test_a_step_without_upstreams() -> None:
    """It is ready, unless it wants one of them to have failed."""
    text = "a b:none_failed c:all_done d:one_failed"
    frontier = Frontier(graph_of(text), plan(text).rules)
    assert [frontier.decide(step)[0] for step in range(4)] == [READY, READY, READY, NONE]
