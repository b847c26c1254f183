"""The dependency graph: Kahn's algorithm, cycles as paths, generations, longest remaining path.

Steps are positions (0, 1, 2 … in declaration order). Nothing here recurses, so a chain of any
length orders, and ties always go by declaration order.

Source: A. B. Kahn, "Topological sorting of large networks", Communications of the ACM 5 (1962).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.errors import FAULTS_TOLD_MAX, CycleError, DefinitionError, Fault
from engine.naming import did_you_mean

_UNFIT_HINT = "every name in depends_on must be a step of this workflow, and every name unique"


@dataclass(frozen=True, slots=True)
class Graph:
    """An acyclic graph, compiled.

    `upstreams[i]` and `downstreams[i]` are positions, ascending; `order` is a dependency order;
    `generations[i]` is the number of steps on the longest path that leads to step `i`.
    """

    names: tuple[str, ...]
    upstreams: tuple[tuple[int, ...], ...]
    downstreams: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]
    generations: tuple[int, ...]

    def remaining(self, weights: Sequence[int] = ()) -> list[int]:
        """Longest path from each step to an end, itself included: in `weights`, else in steps."""
        own = weights or [1] * len(self.names)
        longest = [0] * len(own)
        downstreams = self.downstreams
        for step in reversed(self.order):
            after = 0
            for down in downstreams[step]:
                after = max(after, longest[down])
            longest[step] = own[step] + after
        return longest

    def ranked(self, weights: Sequence[int] = ()) -> list[int]:
        """Steps, the most urgent first: what has the longest remaining path.

        In `weights`; of equal paths the one of more steps, then the one declared first.
        """
        count = len(self.names)
        # A step more on the path never outweighs a weight: no path has more than `count`.
        longest = self.remaining([weight * (count + 1) + 1 for weight in weights])
        return sorted(range(count), key=longest.__getitem__, reverse=True)


def build(names: Sequence[str], depends_on: Sequence[Iterable[str]]) -> Graph:
    """Compile and validate a graph given as parallel sequences.

    Raises `DefinitionError` naming every duplicate name and unknown dependency in one go, and
    `CycleError` with a closed path of real edges.
    """
    position = {name: index for index, name in enumerate(names)}
    faults = _duplicates(names) if len(position) != len(names) else []
    upstreams: list[tuple[int, ...]] = []
    for index, wanted in enumerate(depends_on):
        found = set()
        for name in wanted:
            if name in position:
                found.add(position[name])
            else:
                near = names if len(faults) < FAULTS_TOLD_MAX else ()
                faults.append(_unknown(names[index], name, near))
        upstreams.append(tuple(sorted(found)) if len(found) > 1 else tuple(found))
    if faults:
        raise DefinitionError.of([Fault(fault) for fault in faults], _UNFIT_HINT)
    downstreams: list[list[int]] = [[] for _ in names]
    for index, ups in enumerate(upstreams):
        for up in ups:
            downstreams[up].append(index)
    order, generations = _kahn(upstreams, downstreams)
    if len(order) != len(names):
        path = _cycle(upstreams, set(range(len(names))) - set(order))
        raise CycleError(tuple(names[step] for step in path))
    return Graph(
        tuple(names),
        tuple(upstreams),
        tuple(map(tuple, downstreams)),
        tuple(order),
        tuple(generations),
    )


def _kahn(
    upstreams: Sequence[tuple[int, ...]], downstreams: Sequence[list[int]]
) -> tuple[list[int], list[int]]:
    """Order by generations; steps in or behind a cycle are left out."""
    blocked = [len(ups) for ups in upstreams]
    generations = [0] * len(blocked)
    wave = [step for step, count in enumerate(blocked) if not count]
    order: list[int] = []
    generation = 0
    while wave:
        order.extend(wave)
        generation += 1
        freed: list[int] = []
        for step in wave:
            for down in downstreams[step]:
                blocked[down] -= 1
                if not blocked[down]:
                    generations[down] = generation
                    freed.append(down)
        freed.sort()
        wave = freed
    return order, generations


def _cycle(upstreams: Sequence[tuple[int, ...]], blocked: set[int]) -> list[int]:
    """Find one cycle among steps that Kahn could not order, as a closed path, upstream first.

    Every such step has an upstream of its own kind, so walking upstream must come round; the walk
    leaves behind the steps that merely wait for the cycle.
    """
    step = min(blocked)
    seen: dict[int, int] = {}
    walked: list[int] = []
    while step not in seen:
        seen[step] = len(walked)
        walked.append(step)
        step = next(up for up in upstreams[step] if up in blocked)
    ring = walked[seen[step] :]
    ring.reverse()
    first = ring.index(min(ring))
    ring = ring[first:] + ring[:first]
    return [*ring, ring[0]]


def _duplicates(names: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    faults = []
    for name in names:
        if name in seen:
            faults.append(f"two steps are named '{name}'")
        seen.add(name)
    return faults


def _unknown(step: str, wanted: str, names: Sequence[str]) -> str:
    guess = did_you_mean(str(wanted), names)
    hint = f" ({guess})" if guess else ""
    return f"step '{step}' depends on unknown step '{wanted}'{hint}"


def order_steps(steps: Mapping[str, object]) -> list[str]:
    """Dependency order of `steps`: name -> a `Step`, or the names it depends on.

    Ties go by the mapping's order. Raises a `ValueError` for an unknown dependency, and one that
    spells a cycle as `a -> b -> a`.
    """
    depends_on = [getattr(step, "depends_on", step) for step in steps.values()]
    for name, wanted in zip(steps, depends_on, strict=True):
        if isinstance(wanted, str):
            raise DefinitionError(
                f"step '{name}': depends_on is the text {wanted!r}", hint=f"write [{wanted!r}]"
            )
    graph = build(list(steps), depends_on)  # type: ignore[arg-type]
    return [graph.names[step] for step in graph.order]
