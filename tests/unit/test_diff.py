"""What is told of two runs that differ: the cause first, each line once."""

from __future__ import annotations

import json
from typing import Any

from engine.reports.diff import changes
from engine.usual import Spread
from store.run_facts import Decided, RunFacts, StepFacts, Try
from store.step_runs import StepRun

RUN: dict[str, Any] = {
    "run_id": 1,
    "workflow": "daily",
    "status": "ok",
    "params": '{"date": "2011-11-13"}',
    "workers": 4,
    "host": "here",
    "user": "ann",
    "started_by": "hand",
    "resumed_from": None,
    "only_steps": "",
    "pruned_at": None,
    "reason": "first run",
}


def step(name: str, position: int = 0, **more: Any) -> StepFacts:
    """Make a step that was ok at once, after 2 s; what `told` has goes over its row."""
    told = {"status": "ok", "attempts": 1, "made": 1, **more.pop("told", {})}
    fields: dict[str, Any] = {
        "upstreams": (),
        "fingerprint": "same",
        "parts": {"code": "1"},
        "tries": [Try(1, "ok", 0, 2_000_000, "", None)],
        "values": {name: "sum"},
        **more,
    }
    return StepFacts(StepRun(name, position, **told), **fields)


def run(*steps: StepFacts, **more: Any) -> RunFacts:
    """Make a run of these steps."""
    fields = {key: more.pop(key) for key in ("versions", "context") if key in more}
    return RunFacts({**RUN, **more}, {one.told.step: one for one in steps}, **fields)


def lines(old: RunFacts, new: RunFacts, **spreads: Spread) -> list[str]:
    """Give the lines of what has changed."""
    return [change.line for change in changes(old, new, spreads)]


def took(seconds: float) -> list[Try]:
    """Be ok at once."""
    return [Try(1, "ok", 0, int(seconds * 1e6), "", None)]


def test_equal_runs_differ_in_nothing() -> None:
    """Numbers and times of runs are no difference."""
    assert changes(run(step("a")), run(step("a"), run_id=2)) == ()


def test_the_definition_tells_steps_parts_and_edges() -> None:
    """What is told of many steps is told once."""
    old = run(step("a"), step("b", 1), step("c", 2), step("d", 3, upstreams=("a",)))
    changed: dict[str, Any] = {"fingerprint": "other", "parts": {"code": "2", "version": "x"}}
    new = run(step("b", **changed), step("c", 1, **changed), step("d", 2), step("e", 3))
    assert lines(old, new) == [
        "'e': new",
        "'a': gone",
        "'b' and 'c': code changed, version added",
        "'d': depends on nothing, not on 'a'",
    ]
    assert changes(old, new)[2].steps == ("b", "c")


def test_another_zone_is_a_cause() -> None:
    """It decides which day `today` is, and when slots are due; without one it is the machine's."""
    old, new = run(step("a"), zone=None), run(step("a"), zone="Europe/Berlin")
    assert lines(old, new) == ["time zone Europe/Berlin, was the machine's"]
    assert lines(new, old) == ["time zone the machine's, was Europe/Berlin"]


def test_parameters_context_and_environment_are_causes() -> None:
    """Values of parameters are shown, those of the context have only sums."""
    old = run(step("a"), versions={"python": "3.11.6", "old": "1"}, context={"start": "x"})
    new = run(
        step("a"),
        params=json.dumps({"date": "2011-11-14", "days": 3, "paths": ""}),
        versions={"python": "3.11.7", "new": "2"},
        context={"start": "y", "more": "z"},
        workers=8,
        resumed_from=1,
        started_by="timer",
    )
    assert lines(old, new) == [
        "parameter 'date' is 2011-11-14, was 2011-11-13",
        "parameter 'days' 3 is new",
        "parameter 'paths' (empty) is new",
        "context value 'start' is another",
        "context value 'more' is new",
        "python 3.11.7, was 3.11.6",
        "new 2 is new",
        "old 1 is gone",
        "workers 8, was 4",
        "begun by timer, on from run 1; before by hand, anew",
    ]


def test_effects_tell_statuses_attempts_decisions_and_outputs() -> None:
    """In that order; a step that failed both times tells another error."""
    asked = {"condition": "n > 0", "holds": True, "values": {"n": "7"}, "attempt": 1}
    old = run(
        step("a", decisions=[Decided(2, "condition", asked)]),
        step("b", 1),
        step("c", 2, told={"status": "failed", "error": "OSError: x"}, tries=()),
        step("d", 3, files={"/x": "1"}),
    )
    unmet = {**asked, "holds": False, "values": {"n": "0"}}
    new = run(
        step(
            "a",
            told={"status": "skipped", "note": "condition false: n > 0 (n is 0)"},
            decisions=[Decided(2, "condition", unmet)],
        ),
        step("b", 1, told={"made": 3}, values={"b": "other", "k": "1"}),
        step("c", 2, told={"status": "failed", "error": "ValueError: y"}, tries=()),
        step("d", 3, files={"/x": "2"}),
        status="failed",
    )
    assert lines(old, new) == [
        "the run is failed, was ok",
        "'a': skipped (condition false: n > 0 (n is 0)), before ok",
        "'c': failed with ValueError: y, before with OSError: x",
        "'b': 3 attempts, 1 before",
        "'a': its condition does not hold: n is 0, was 7",
        "'b': left another 'b'",
        "'b': left a new 'k'",
        "'d': left another file '/x'",
    ]


def test_a_duration_is_told_if_it_differs_by_more_than_its_spread() -> None:
    """And not if that is little of it, or of a second."""
    old = run(*(step(name, tries=took(2.0)) for name in "abcd"))
    new = run(
        step("a", tries=took(9.2)),
        step("b", tries=took(3.0)),
        step("c", tries=took(2.1)),
        step("d", tries=took(1.0)),
    )
    wide = Spread(1.0, 2.0, 4.0, 10)
    assert lines(old, new, a=Spread(2.0, 2.2, 2.4, 10), b=wide) == [
        "'a': took 9.2s, 2.0s before (usually 2.0s to 2.4s)",
        "'d': took 1.0s, 2.0s before",
    ]


def test_causes_come_before_effects() -> None:
    """Whatever there is."""
    old = run(step("a"), versions={"python": "3.11.6"})
    new = run(step("a", told={"status": "failed"}, tries=()), versions={"python": "3.11.7"})
    areas = [change.area for change in changes(old, new)]
    assert areas == ["environment", "status"]


def test_values_that_were_pruned_are_not_told_as_gone() -> None:
    """Nobody knows what they were."""
    assert lines(run(step("a"), pruned_at="2011-11-14"), run(step("a", values={}))) == []
