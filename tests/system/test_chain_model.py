"""Chains of runs of any kind, on a real store, against the model of what is promised of them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import Skip, Step, Workflow
from engine.errors import DefinitionError, UsageError
from engine.session.deciding.compiled import compile_definition
from tests.system import chain_model
from tests.system.chain_model import Drawn, Plan, Run
from tests.system.test_choosing_values import Bench

RUNS = 6
RULES = ["all_success"] * 4 + ["none_failed", "all_done", "one_failed"]
NUMBERS = itertools.count()


class Chain:
    """A workflow that changes, its runs, and what they are to be by the model."""

    def __init__(self, draw: random.Random, folder: Path) -> None:
        """Draw a workflow that the engine takes: it refuses conditions that are never true."""
        self.draw = draw
        self.bench = Bench(folder)
        self.runs: dict[int, Run] = {}
        self.bodies: dict[str, str] = {}
        self.seen: dict[str, dict[str, tuple[str, int | None]]] = {}
        while True:
            self.graph = self._drawn()
            try:
                compile_definition(self.workflow().definition(), folder)
            except DefinitionError:
                continue
            break

    def _drawn(self) -> dict[str, Drawn]:
        graph: dict[str, Drawn] = {}
        for name in (f"s{number}" for number in range(self.draw.randint(2, 6))):
            ups = self.draw.sample(list(graph), min(len(graph), self.draw.choice([0, 1, 1, 2, 3])))
            graph[name] = Drawn(tuple(ups), self.draw.choice(RULES) if ups else "all_success")
            if ups and self.draw.random() < 0.3:
                status = self.draw.choice(["ok", "failed", "skipped"])
                on = self.draw.choice(sorted(chain_model.above(graph, name)))
                graph[name] = replace(graph[name], on=(on, status))
        return graph

    def workflow(self) -> Workflow:
        """Give the workflow as it is now."""
        workflow = Workflow("chain")
        for name, step in self.graph.items():
            when = f'{step.on[0]}.status == "{step.on[1]}"' if step.on else None
            ups, version = list(step.upstreams), str(step.version)
            settings: dict[str, Any] = {"trigger_rule": step.rule, "when": when, "retries": 0}
            body = self.body(tuple(sorted(chain_model.above(self.graph, name))))
            workflow.add(Step(name, body, depends_on=ups, version=version, **settings))
        return workflow

    def body(self, ancestors: tuple[str, ...]) -> Callable[[Any], int]:
        """Make a step's function, which notes what it sees of all that is above it."""

        def body(ctx: Any) -> int:
            self.seen[ctx.step] = {name: (ctx.status(name), ctx.get(name)) for name in ancestors}
            what = self.bodies.get(ctx.step)
            if what == "fail":
                raise ValueError
            if what == "skip":
                raise Skip("by itself")
            return int(ctx.run_id)

        return body

    def go(self) -> None:
        """Ask for a run of some kind, and hold what comes of it against the model."""
        names, draw = list(self.graph), self.draw
        if draw.random() < 0.2:
            name = draw.choice(names)
            self.graph[name] = replace(self.graph[name], version=self.graph[name].version + 1)
        self.bodies = {name: draw.choice(["ok"] * 6 + ["fail", "fail", "skip"]) for name in names}
        kind = draw.choice(["run"] * 4 + ["only"] * 3 + ["from", "fresh"])
        newest = max((number for number, run in self.runs.items() if run.whole), default=None)
        past = None if newest is None else self.runs[newest]
        only = set(draw.sample(names, draw.randint(1, 2))) if kind == "only" else set()
        redone = draw.choice(names) if kind == "from" and past else None
        others = [name for name in names if name not in {*only, redone}]
        marked = set(draw.sample(others, min(len(others), draw.choice([0, 0, 1, 2]))))
        plans = {name: Plan("marked" if name in marked else "run") for name in names}
        if only:
            plans = chain_model.choose(self.graph, past, only, marked)
        elif past and (redone or (past.status == "failed" and kind != "fresh")):
            plans = chain_model.go_on(self.graph, past, marked, redone)
        request: dict[str, Any] = {"only": sorted(only), "from_step": redone}
        request |= {"mark_done": [(name, []) for name in sorted(marked)], "fresh": kind == "fresh"}
        self.seen.clear()
        if only and chain_model.is_refused(self.graph, plans):
            with pytest.raises(UsageError, match="neither chosen nor done"):
                self.bench.run(self.workflow(), **request)
            assert self.seen == {}
            return
        self.check(self.bench.run(self.workflow(), **request), plans, whole=not only)

    def check(self, report: dict[str, Any], plans: dict[str, Plan], *, whole: bool) -> None:
        """Hold a run against the model."""
        number = report["run_id"]
        expected = chain_model.carry_out(self.graph, plans, self.bodies, number)
        expected.whole = whole
        steps = report["steps"]
        assert {step["name"]: step["status"] for step in steps} == {
            name: left.status for name, left in expected.steps.items()
        }
        assert self.seen == expected.seen
        assert report["status"] == expected.status
        for step in steps:
            if step["status"] == "cached":
                assert step["source_run"] == expected.steps[step["name"]].source
        self.runs[number] = expected


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(draw=st.randoms(use_true_random=False))
def test_chains_of_runs_are_as_promised(draw: random.Random, tmp_path: Path) -> None:
    """Whatever fails, is chosen, marked, redone or changed: who runs, and on what, is certain."""
    chain = Chain(draw, tmp_path / str(next(NUMBERS)))
    for _ in range(RUNS):
        chain.go()
