"""A definition made ready: graph, fingerprints, the core's plan."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from engine.fingerprint import Fingerprint, Fingerprints
from engine.graph import Graph
from engine.model import Definition, OnOverrun, Order, TriggerRule
from engine.plan import Plan
from engine.records import record
from engine.resume import Fresh
from store.new_run import NewSteps

THREAD_STOP_S = 0.1  # how long a thread gets to end after its limit, before it is left behind
PROCESS_STOP_S = 2.0  # beyond its grace: KILL, and time to be reaped


@record
class Compiled:
    """A definition with all that is derived from it."""

    definition: Definition
    fingerprints: tuple[Fingerprint, ...]
    plan: Plan

    @property
    def graph(self) -> Graph:
        """The graph of the definition's steps."""
        return self.definition.graph

    @property
    def has_processes(self) -> bool:
        """Whether a step is a process; a backfill's runs are stopped as gently, and are none."""
        steps = self.definition.steps
        return True in self.plan.gentle and any(step.in_process for step in steps)

    @property
    def has_limits(self) -> bool:
        """Whether a step has a timeout."""
        return self.plan.timeout_s.count(None) < len(self.plan.timeout_s)

    def fresh_steps(self) -> list[Fresh]:
        """Steps in the form in which a resume compares them."""
        return [self.fresh(position) for position in range(len(self.definition.steps))]

    def fresh(self, position: int) -> Fresh:
        """Give a step in that form."""
        step, one = self.definition.steps[position], self.fingerprints[position]
        ups = self.graph.upstreams[position]
        return Fresh(step.name, ups, one.digest, one.parts, step.depends_on)

    def new_steps(self) -> NewSteps:
        """Give the steps as they are recorded."""
        prints = self.fingerprints
        return NewSteps(
            self.graph.names,
            [one.digest for one in prints],
            [one.parts for one in prints],
            self.graph.upstreams,
        )


def compile_definition(definition: Definition, root: Path) -> Compiled:
    """Order and fingerprint a checked definition.

    Raises `DefinitionError` for an isolated step that a process of its own cannot be given.
    """
    steps = definition.steps
    prints = Fingerprints(root)
    if definition.source is None and any(step.isolate for step in steps):
        from engine.workers.isolation.pickled import check_importable

        check_importable(steps)
    return Compiled(definition, tuple(map(prints.of, steps)), plan_of(definition))


def plan_of(definition: Definition) -> Plan:
    """Give what the core needs to know of a definition."""
    steps = definition.steps
    gentle = [step.in_process for step in steps]
    return Plan(
        graph=definition.graph,
        # A step has made words of both: to ask the enums again costs 0.4 µs a step.
        rules=cast("list[TriggerRule]", [step.trigger_rule for step in steps]),
        retries=[step.retries for step in steps],
        timeout_s=[step.timeout_s for step in steps],
        stop_s=[
            step.grace_s + PROCESS_STOP_S if killed else THREAD_STOP_S
            for step, killed in zip(steps, gentle, strict=True)
        ],
        gentle=gentle,
        on_overrun=cast("list[OnOverrun]", [step.on_overrun for step in steps]),
        order=Order(definition.order),
    )
