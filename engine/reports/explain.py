"""What each step's failure, and its being skipped, would do downstream: `check --explain`.

Found by driving the frontier that drives runs, with every other step `ok` where its rule and its
condition let it run. A condition that hangs on more than statuses is told as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.conditions import FALSE, Condition, proviso
from engine.frontier import Frontier
from engine.graph import Edges, Graph
from engine.model import Definition, StepStatus, TriggerRule
from engine.text import printable
from engine.trigger import Decision

_S = StepStatus

WORK_MAX = 100_000  # steps looked at, for each of the two outcomes
GROUPS_MAX = 40
NAMED_MAX = 6
_IT = "\0"  # stands for the step itself while steps of equal effects are put together


class Effect(NamedTuple):
    """What becomes of a step: `then` it "runs", "runs if", is "skipped" or "fails", and `why`.

    It is `usual` if the same becomes of it in a run in which no step fails by itself.
    """

    step: str
    then: str
    why: str
    usual: bool = False


class _Outcome(NamedTuple):
    """How a step ends if all goes so; not `sure` where only a run can know."""

    status: StepStatus
    effect: Effect
    sure: bool = True


class Outlook:
    """Answers what would become of the steps below one that fails or is skipped."""

    def __init__(self, definition: Definition, graph: Graph) -> None:
        """Find out how a run goes in which no step fails by itself."""
        self._steps, self._graph = definition.steps, graph
        self._rules = [TriggerRule(step.trigger_rule) for step in definition.steps]
        self._turn = {step: at for at, step in enumerate(graph.order)}
        self._position = {name: at for at, name in enumerate(graph.names)}
        self._usual: dict[int, _Outcome] = {}
        self._loose: list[list[int]] = [[] for _ in graph.names]
        self._usual = self._ends(range(len(graph.names)), {})
        # Upstreams that do not surely end `ok`: the few that matter where they are not in a part.
        for step, ups in enumerate(graph.upstreams):
            self._loose[step] = [up for up in ups if not self._is_plain(self._usual[up])]

    def below(self, step: int) -> set[int]:
        """Give all steps that come after one, at any distance."""
        seen: set[int] = set()
        stack = [step]
        while stack:
            for down in self._graph.downstreams[stack.pop()]:
                if down not in seen:
                    seen.add(down)
                    stack.append(down)
        return seen

    def after(self, step: int, status: StepStatus, below: set[int]) -> list[Effect]:
        """Give what becomes of the steps below one that ends so, in dependency order."""
        ended = {step: status}
        beside = [up for one in below for up in self._loose[one]]
        while beside:  # what does not end `ok` there, and what that comes from
            up = beside.pop()
            if up not in below and up not in ended and self._usual[up].status is not _S.OK:
                ended[up] = self._usual[up].status
                beside += self._loose[up]
        found = self._ends(sorted({*below, *ended}), ended)
        effects = []
        for one in sorted(below, key=self._turn.__getitem__):
            effect = found[one].effect
            effects.append(effect._replace(usual=effect == self._usual[one].effect))
        return effects

    def _ends(self, part: Sequence[int], ended: Mapping[int, StepStatus]) -> dict[int, _Outcome]:
        """End the steps of a part in their turn; those outside it have ended `ok`."""
        place = {step: at for at, step in enumerate(part)}
        inner = _part_of(self._graph, place)
        frontier = Frontier(inner, [self._rules[step] for step in part])
        outcomes: dict[int, _Outcome] = {}
        for step in sorted(part, key=self._turn.__getitem__):
            at = place[step]
            if step in ended:
                outcomes[step] = _Outcome(ended[step], Effect("", "", ""))
            else:
                ups = [*self._loose[step], *(part[up] for up in inner.upstreams[at])]
                unsure = {up: None for up in ups if not self._known(up, outcomes).sure}
                decision, note = frontier.decide(at)
                if decision is Decision.READY:
                    outcomes[step] = self._ready(step, sorted(unsure), outcomes)
                else:
                    effect = Effect(self._graph.names[step], "skipped", note)
                    outcomes[step] = _Outcome(_S.SKIPPED, effect)
            frontier.end(at, outcomes[step].status)
        return outcomes

    def _ready(
        self, step: int, unsure: Sequence[int], outcomes: Mapping[int, _Outcome]
    ) -> _Outcome:
        """Ask the condition of a step that its rule lets run."""
        names, rule, when = self._graph.names, self._rules[step], self._steps[step].when
        name = names[step]
        if isinstance(when, Condition):
            from engine.conditions.foresight import Unread, foresee

            def status_of(other: str) -> str | None:
                known = self._known(self._position[other], outcomes)
                return str(known.status) if known.sure else None

            try:
                holds = foresee(when.meaning, status_of)
            except Unread as why:
                return _Outcome(_S.FAILED, Effect(name, "fails", f"its condition: {why}"))
            if holds is False:
                return _Outcome(_S.SKIPPED, Effect(name, "skipped", f"{FALSE}: {when.text}"))
            when = None if holds else when
        needed = [names[up] for up in unsure] if rule is TriggerRule.ALL_SUCCESS else []
        hangs_on = proviso(needed, when)
        if hangs_on:
            return _Outcome(_S.OK, Effect(name, "runs if", hangs_on), sure=False)
        told = "" if rule is TriggerRule.ALL_SUCCESS else str(rule)
        return _Outcome(_S.OK, Effect(name, "runs", told))

    def _known(self, step: int, outcomes: Mapping[int, _Outcome]) -> _Outcome:
        return outcomes[step] if step in outcomes else self._usual[step]

    @staticmethod
    def _is_plain(outcome: _Outcome) -> bool:
        return outcome.status is _S.OK and outcome.sure


def _part_of(graph: Graph, place: Mapping[int, int]) -> Graph:
    """Give the part of a graph that holds some steps; their order of declaration stays."""
    upstreams: list[list[int]] = [[] for _ in place]
    downstreams = []
    for step, at in place.items():
        downs = [place[down] for down in graph.downstreams[step] if down in place]
        downstreams.append(downs)
        for down in downs:
            upstreams[down].append(at)
    names = tuple(graph.names[step] for step in place)
    return Graph(names, Edges.of(upstreams), Edges.of(downstreams), (), ())


# -- told -----------------------------------------------------------------------------------------


def explain(definition: Definition) -> list[dict[str, Any]]:
    """Give for each step, as declared, what becomes of those below if it fails or is skipped.

    Where a workflow is so long that all would take too long, the rest has None.
    """
    graph = definition.graph
    outlook = Outlook(definition, graph)
    rows = []
    work = 0
    for step, name in enumerate(graph.names):
        row: dict[str, Any] = {"step": name, "if_failed": None, "if_skipped": None}
        if work < WORK_MAX:
            below = outlook.below(step)
            work += len(below)
            for key, status in (("if_failed", _S.FAILED), ("if_skipped", _S.SKIPPED)):
                row[key] = [one._asdict() for one in outlook.after(step, status, below)]
        rows.append(row)
    return rows


def explained(rows: Sequence[Mapping[str, Any]]) -> str:
    """Tell what `explain` gives in lines; steps of equal effects are told of together."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["if_failed"] is not None:
            groups.setdefault(_shape(row), []).append(row)
    last = [row["step"] for shape, alike in groups.items() if not any(shape) for row in alike]
    told = [alike for shape, alike in groups.items() if any(shape)]
    lines = [line for alike in told[:GROUPS_MAX] for line in _group(alike)]
    if len(told) > GROUPS_MAX:
        left = sum(len(alike) for alike in told[GROUPS_MAX:])
        lines.append(f"and {left} more, told in full by --json")
    unknown = [row["step"] for row in rows if row["if_failed"] is None]
    if unknown:
        lines.append(f"too long to work out for {_listed(unknown)}")
    if last:
        lines.append(f"nothing comes after {_listed(last)}")
    return "\n".join(map(printable, lines))


def _shape(row: Mapping[str, Any]) -> tuple[Any, ...]:
    name = row["step"]
    return tuple(
        tuple(
            (one["step"], one["then"], _told_of(one["why"], name, _IT), one["usual"])
            for one in row[outcome]
        )
        for outcome in ("if_failed", "if_skipped")
    )


def _told_of(why: str, name: str, instead: str) -> str:
    return why.removesuffix(name) + instead if why.endswith(f": {name}") else why


def _group(alike: Sequence[Mapping[str, Any]]) -> list[str]:
    first = alike[0]
    it, one = ("it", first["step"]) if len(alike) == 1 else ("one", "NAME")
    lines = [_listed([row["step"] for row in alike])]
    for outcome, lead in (("if_failed", f"if {it} fails:"), ("if_skipped", f"if {it} is skipped:")):
        for line in _effects(first[outcome], first["step"], one):
            lines.append(f"  {lead:<20}{line}")
            lead = ""  # noqa: PLW2901 - told once
    return lines


def _effects(effects: Sequence[Mapping[str, Any]], name: str, one: str) -> list[str]:
    """Give a line for each thing that becomes of some steps."""
    alike: dict[tuple[str, str], list[str]] = {}
    whys: dict[tuple[str, str], dict[str, None]] = {}
    for effect in effects:
        then, why = effect["then"], _told_of(effect["why"], name, one)
        if effect["usual"] and then in ("skipped", "fails"):
            then += " as usual"
        # A chain of skips names another step each time.
        key = (then, why.partition(":")[0] if why.startswith("dependency skipped") else why)
        alike.setdefault(key, []).append(effect["step"])
        whys.setdefault(key, {})[why] = None
    lines = []
    for (then, _), steps in alike.items():
        reasons = list(whys[then, _])
        why = reasons[0] + (", …" if len(reasons) > 1 else "")
        ending = f" {why}" if then == "runs if" else f" ({why})" if why else ""
        lines.append(f"{_listed(steps)}: {then}{ending}")
    return lines


def _listed(names: Sequence[str]) -> str:
    if len(names) <= NAMED_MAX + 1:
        return ", ".join(names)
    return f"{', '.join(names[:NAMED_MAX])} and {len(names) - NAMED_MAX} more"
