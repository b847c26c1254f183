"""A definition made ready: graph, fingerprints, the core's plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import graph
from engine.fingerprint import Fingerprint, Fingerprints
from engine.model import Definition, OnOverrun, Order, Step, TriggerRule
from engine.plan import Plan
from engine.resume import Fresh

THREAD_STOP_S = 0.1  # how long a thread gets to end after its limit, before it is left behind
PROCESS_STOP_S = 2.0  # beyond its grace: KILL, and time to be reaped


@dataclass(frozen=True, slots=True)
class Compiled:
    """A definition with all that is derived from it."""

    definition: Definition
    graph: graph.Graph
    fingerprints: tuple[Fingerprint, ...]
    plan: Plan

    def fresh_steps(self) -> list[Fresh]:
        """Steps in the form in which a resume compares them."""
        rows = zip(self.graph.names, self.graph.upstreams, self.fingerprints, strict=True)
        return [Fresh(name, ups, print_.digest, print_.parts) for name, ups, print_ in rows]


def compile_definition(definition: Definition, root: Path) -> Compiled:
    """Order and fingerprint a checked definition.

    Raises `DefinitionError` for an isolated step that a process of its own cannot be given.
    """
    steps = definition.steps
    ordered = graph.build([step.name for step in steps], [step.depends_on for step in steps])
    prints = Fingerprints(root)
    if definition.source is None and any(step.isolate for step in steps):
        from engine.workers.isolation.pickled import check_importable

        check_importable(steps)
    plan = plan_of(steps, ordered, Order(definition.order))
    return Compiled(definition, ordered, tuple(prints.of(step) for step in steps), plan)


def plan_of(steps: Sequence[Step], ordered: graph.Graph, order: Order = Order.LONGEST_PATH) -> Plan:
    """Give what the core needs to know of steps."""
    return Plan(
        graph=ordered,
        rules=[TriggerRule(step.trigger_rule) for step in steps],
        retries=[step.retries for step in steps],
        timeout_s=[step.timeout_s for step in steps],
        stop_s=[
            step.grace_s + PROCESS_STOP_S if step.in_process else THREAD_STOP_S for step in steps
        ],
        gentle=[step.in_process for step in steps],
        on_overrun=[OnOverrun(step.on_overrun) for step in steps],
        order=order,
    )
