"""What the documentation promises of chains of runs, worked out a second way: by name, slowly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

GOOD = ("ok", "cached")
ASKS_FOR_SUCCESS = ("all_success", "none_failed")


@dataclass(frozen=True)
class Drawn:
    """A step: what is before it, its rule, and the status of another that it is to run on."""

    upstreams: tuple[str, ...]
    rule: str = "all_success"
    on: tuple[str, str] | None = None
    version: int = 0


@dataclass(frozen=True)
class Left:
    """What a run has left of a step; `source` is the run that really did it, or skipped it."""

    status: str
    step: Drawn
    source: int = 0
    by_itself: bool = False
    by_failure: bool = False
    marked: bool = False
    wrote: int | None = None


@dataclass(frozen=True)
class Plan:
    """What is to become of a step: run, kept, skipped, marked, left; and the run it is of."""

    what: str
    source: int = 0
    old: Left | None = None


@dataclass
class Run:
    """A run as it is to end; `seen` is what each step that ran is to have seen of those above."""

    status: str
    whole: bool
    steps: dict[str, Left]
    seen: dict[str, dict[str, tuple[str, int | None]]] = field(default_factory=dict)


Graph = Mapping[str, Drawn]


def above(graph: Graph, name: str) -> set[str]:
    """Give all steps before one, at any distance."""
    found = set(graph[name].upstreams)
    for up in graph[name].upstreams:
        found |= above(graph, up)
    return found


def go_on(graph: Graph, past: Run, marked: set[str], redone: str | None) -> dict[str, Plan]:
    """Plan a run that goes on from an earlier one."""
    plans: dict[str, Plan] = {}
    for name, step in graph.items():
        ancestors = above(graph, name)
        again = any(plans[up].what in ("run", "marked") for up in ancestors)
        old = past.steps.get(name)
        if name in marked:
            plans[name] = Plan("marked")
            continue
        if old is not None and old.marked and not ({name, *ancestors} & {redone}):
            again = False
        settled = old is not None and (old.status in GOOD or old.by_itself)
        if old is None or not settled or again or name == redone or old.step != step:
            plans[name] = Plan("run")
        else:
            plans[name] = Plan("kept" if old.status in GOOD else "skipped", old.source, old)
    return plans


def choose(graph: Graph, past: Run | None, only: set[str], marked: set[str]) -> dict[str, Plan]:
    """Plan a run of chosen steps."""
    plans: dict[str, Plan] = {}
    for name in graph:
        old = past.steps.get(name) if past else None
        if name in only or name in marked:
            plans[name] = Plan("run" if name in only else "marked")
        elif old is not None and old.status in GOOD:
            plans[name] = Plan("kept", old.source, old)
        else:
            plans[name] = Plan("left", 0, old)
    return plans


def is_refused(graph: Graph, plans: Mapping[str, Plan]) -> bool:
    """Tell whether a chosen step lacks an upstream."""
    for name, step in graph.items():
        if plans[name].what != "run":
            continue
        for plan in (plans[up] for up in step.upstreams):
            if plan.what == "left":
                failed = plan.old is not None and (
                    plan.old.status == "failed" or plan.old.by_failure
                )
                if plan.old is None or (failed and step.rule in ASKS_FOR_SUCCESS):
                    return True
    return False


def carry_out(
    graph: Graph, plans: Mapping[str, Plan], bodies: Mapping[str, str], number: int
) -> Run:
    """Work out a run: statuses, who ran, and what each one saw."""
    run = Run("ok", whole=True, steps={})
    as_seen: dict[str, Left] = {}
    for name, step in graph.items():
        plan = plans[name]
        if plan.what == "run":
            left = _run_one(graph, name, as_seen, number)
            if left.status == "ran":
                run.seen[name] = {
                    up: ("ok" if (one := as_seen[up]).status in GOOD else one.status, one.wrote)
                    for up in above(graph, name)
                }
                left = _ended(left, bodies.get(name, "ok"), number)
        elif plan.what == "marked":
            left = Left("ok", step, number, marked=True)
        elif plan.what == "left":
            left = Left("skipped", step)
        else:
            assert plan.old is not None
            left = replace(plan.old, status="cached" if plan.what == "kept" else "skipped")
        run.steps[name] = left
        as_seen[name] = plan.old if plan.what == "left" and plan.old is not None else left
    if any(left.status == "failed" for left in run.steps.values()):
        run.status = "failed"
    return run


def _run_one(graph: Graph, name: str, as_seen: Mapping[str, Left], number: int) -> Left:
    step = graph[name]
    ups = [as_seen[up] for up in step.upstreams]
    failed = any(up.status == "failed" or up.by_failure for up in ups)
    skipped = any(up.status == "skipped" for up in ups)
    if failed and step.rule in ASKS_FOR_SUCCESS:
        return Left("skipped", step, by_failure=True)
    if (skipped and step.rule == "all_success") or (not failed and step.rule == "one_failed"):
        return Left("skipped", step)
    if step.on is not None:
        one = as_seen[step.on[0]].status
        if step.on[1] != ("ok" if one in GOOD else one):
            return Left("skipped", step, number, by_itself=True)
    return Left("ran", step)


def _ended(left: Left, body: str, number: int) -> Left:
    if body == "fail":
        return replace(left, status="failed")
    if body == "skip":
        return replace(left, status="skipped", source=number, by_itself=True)
    return replace(left, status="ok", source=number, wrote=number)
