"""A definition made ready: graph, fingerprints, the core's plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine import graph
from engine.fingerprint import Fingerprint, Fingerprints
from engine.model import Definition, OnOverrun, Shell, TriggerRule
from engine.plan import Plan
from engine.resume import Fresh

THREAD_STOP_S = 0.1  # how long a thread gets to end after its limit, before it is left behind
COMMAND_STOP_S = 7.0  # TERM, 5 s grace, KILL, and time to be reaped


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
    """Order and fingerprint a checked definition."""
    steps = definition.steps
    ordered = graph.build([step.name for step in steps], [step.depends_on for step in steps])
    prints = Fingerprints(root)
    commands = [isinstance(step.run, Shell) for step in steps]
    plan = Plan(
        graph=ordered,
        rules=[TriggerRule(step.trigger_rule) for step in steps],
        retries=[step.retries for step in steps],
        timeout_s=[step.timeout_s for step in steps],
        stop_s=[COMMAND_STOP_S if command else THREAD_STOP_S for command in commands],
        gentle=commands,
        on_overrun=[OnOverrun(step.on_overrun) for step in steps],
    )
    return Compiled(definition, ordered, tuple(prints.of(step) for step in steps), plan)
