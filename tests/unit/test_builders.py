"""The one-line definitions that tests are written in."""

from __future__ import annotations

import pytest

from engine.model import Shell, TriggerRule
from tests.builders import definition, graph_of, plan, steps

TEXT = "a b>a c>a,b:all_done*2~1.5!"


def test_a_plan_of_a_line() -> None:
    """Upstreams, rule, retries, timeout and command, each where its sign stands."""
    made = plan(TEXT)
    assert made.graph == graph_of(TEXT)
    assert [*made.graph.upstreams] == [(), (0,), (0, 1)]
    assert made.rules == [*[TriggerRule.ALL_SUCCESS] * 2, TriggerRule.ALL_DONE]
    assert (made.retries, made.timeout_s) == ([0, 0, 2], [None, None, 1.5])
    assert (made.gentle, made.stop_s) == ([False, False, True], [0.1, 0.1, 7.0])


def test_a_definition_of_a_line() -> None:
    """The same as real steps."""
    made = definition(TEXT, "w", schedule="daily")
    assert (made.name, made.schedule) == ("w", "daily")
    assert made.steps == steps(TEXT)
    assert [step.name for step in made.steps] == ["a", "b", "c"]
    last = made.steps[2]
    assert (last.depends_on, last.retries, last.timeout_s) == (("a", "b"), 2, 1.5)
    assert last.run == Shell("true")


def test_a_line_that_is_none() -> None:
    """A misspelt word is told."""
    with pytest.raises(AssertionError, match=r"not a step: 'a>'"):
        plan("a>")
