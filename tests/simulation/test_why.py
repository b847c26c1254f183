"""Every step of every simulated run has one final answer, and it names the cause."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from engine import notes
from engine.events import BackOff, Decide
from engine.reports.why import Around, told_failure, why
from store.run_facts import Decided, RunFacts, StepFacts, Try
from store.step_runs import StepRun
from tests.fakes import told_of
from tests.simulation.invariants import RunSeen
from tests.simulation.simulator import simulate

SEEDS = 70
AROUND = Around(now=0, moment=str, before=None, usual={})


def facts_of(seen: RunSeen) -> RunFacts:
    """Give a simulated run as the store tells a real one."""
    stored, graph = seen.stored, seen.plan.graph
    steps: dict[str, StepFacts] = {}
    for at, name in enumerate(graph.names):
        status, note = stored.steps[at]
        tries = [
            Try(number, row.outcome, 0, 0, row.error, None)
            for number, row in enumerate(stored.attempts_of(at), 1)
        ]
        told = StepRun(
            name,
            at,
            str(status),
            note=note,
            source_run=stored.source.get(at),
            made=len(tries),
            error=tries[-1].error if tries else "",
        )
        decisions = [
            Decided(0, what, dict(facts)) for step, what, facts in stored.decisions if step == at
        ]
        upstreams = tuple(graph.names[up] for up in graph.upstreams[at])
        steps[name] = StepFacts(told, upstreams, "", {}, tries, decisions)
    row: dict[str, Any] = {
        "run_id": 1,
        "workflow": "made",
        "status": str(stored.status),
        "note": stored.note,
        "started_at": "2011-11-14T00:00:00.000Z",
        "resumed_from": None,
        "reason": "first run",
        "workers": seen.workers,
    }
    return RunFacts(row, steps)


def final(step: StepFacts) -> Counter[str]:
    """Count the decisions that end a step."""
    return Counter(
        one.what
        for one in step.decisions
        if one.what in ("give up", "rule", "skip")
        or (one.what == "condition" and not one.facts["holds"])
    )


def wrong(run: RunFacts, name: str) -> str:
    """Say what is wrong with the answer for a step, if anything is."""
    step, told = run.steps[name], run.steps[name].told
    text = why(run, name, AROUND).text
    decided = final(step)
    if told.status == "failed":
        in_this_run = any(each.outcome in ("failed", "timed_out") for each in step.tries)
        if in_this_run and decided != {"give up": 1}:
            return f"decided {decided}"
        return "" if text == f"'{name}' {told_failure(step)}" else text
    if told.status == "skipped":
        if told.source_run is None and decided.total() != 1:
            return f"decided {decided}"
        root = told.note.removeprefix(notes.DEPENDENCY_FAILED)
        named = (
            f"'{root}' " if root != told.note and run.steps[root].told.status == "failed" else ""
        )
        return "" if text.startswith(f"'{name}' was skipped") and named in text else text
    if decided:
        return f"{told.status}, and decided {decided}"
    begins = {
        "ok": "ran and was ok" if told.made == 1 else "was ok at attempt",
        "cached": "was not run again: ",
        "cancelled": "was not started: the run was ",
        "interrupted": "was interrupted: ",
    }
    return "" if text.startswith(f"'{name}' {begins[told.status]}") else text


@pytest.fixture(scope="module")
def runs() -> list[tuple[int, RunSeen]]:
    """Give the runs of some chains, each with its seed."""
    return [(seed, seen) for seed in range(SEEDS) for seen in simulate(seed).runs]


def test_each_step_has_one_answer_that_names_its_cause(runs: list[tuple[int, RunSeen]]) -> None:
    """A failure its error, a skip the step it comes from, an end by force who forced it."""
    answers: Counter[str] = Counter()
    for seed, seen in runs:
        run = facts_of(seen)
        for name, step in run.steps.items():
            assert wrong(run, name) == "", f"seed {seed}, '{name}'"
            answers[step.told.status] += 1
    least = {"ok", "failed", "skipped", "cached", "cancelled", "interrupted"}
    assert {status for status, count in answers.items() if count > 10} == least


def test_each_wait_for_a_retry_was_decided_once(runs: list[tuple[int, RunSeen]]) -> None:
    """In the tick that records it, with its delay."""
    waits = 0
    for _, seen in runs:
        for tick in seen.ticks:
            until = {a.step: a.until for a in tick.actions if type(a) is BackOff}
            retried = [a for a in tick.actions if type(a) is Decide and a.what == "retry"]
            assert sorted(one.step for one in retried) == sorted(until)
            for one in retried:
                delay_s = told_of(one.facts)["delay_s"]
                assert delay_s == round(until[one.step] - tick.now, 3)
            waits += len(retried)
    assert waits > SEEDS / 2
