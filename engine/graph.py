"""The dependency graph: Kahn's algorithm, cycles as paths, generations, longest remaining path.

Steps are positions (0, 1, 2 … in declaration order). Nothing here recurses, so a chain of any
length orders, and ties always go by declaration order.

Source: A. B. Kahn, "Topological sorting of large networks", Communications of the ACM 5 (1962).
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import overload

from engine.errors import FAULTS_TOLD_MAX, CycleError, DefinitionError, Fault
from engine.naming import GUESSED_AMONG_MAX, did_you_mean
from engine.records import record

_UNFIT_HINT = "every name in depends_on must be a step of this workflow, and every name unique"


@record
class Edges(Sequence[tuple[int, ...]]):
    """The neighbours of each step, ascending: those of step `i` are `row[ends[i]:ends[i + 1]]`.

    All lie in one row: a tuple for each step takes five times the memory, and a collector of
    garbage goes through them all.
    """

    row: array[int]
    ends: array[int]

    @classmethod
    def of(cls, neighbours: Iterable[Iterable[int]]) -> Edges:
        """Take the neighbours of one step after the other."""
        row, ends = array("i"), array("i", [0])
        for some in neighbours:
            row.extend(some)
            ends.append(len(row))
        return cls(row, ends)

    def __len__(self) -> int:
        """How many steps there are."""
        return len(self.ends) - 1

    @overload
    def __getitem__(self, step: int) -> tuple[int, ...]: ...

    @overload
    def __getitem__(self, step: slice) -> list[tuple[int, ...]]: ...

    def __getitem__(self, step: int | slice) -> tuple[int, ...] | list[tuple[int, ...]]:
        """Give the neighbours of a step."""
        if isinstance(step, slice):
            return [self[at] for at in range(*step.indices(len(self)))]
        if step < 0:
            step += len(self)
        return tuple(self.row[self.ends[step] : self.ends[step + 1]])

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """Go through the steps' neighbours."""
        begin = 0
        for end in self.ends[1:]:
            yield tuple(self.row[begin:end])
            begin = end

    def counts(self) -> list[int]:
        """How many neighbours each step has."""
        return [end - begin for begin, end in pairwise(self.ends)]


NO_EDGES = Edges.of(())


@record
class Graph:
    """An acyclic graph, compiled.

    `order` is a dependency order; `generations[i]` is the number of steps on the longest path that
    leads to step `i`.
    """

    names: tuple[str, ...]
    upstreams: Edges
    downstreams: Edges
    order: Sequence[int]
    generations: Sequence[int]

    def remaining(self, weights: Sequence[int] = ()) -> list[int]:
        """Longest path from each step to an end, itself included: in `weights`, else in steps."""
        longest = list(weights) or [1] * len(self.names)
        row, ends, find = self.downstreams.row, self.downstreams.ends, longest.__getitem__
        for step in reversed(self.order):
            downs = row[ends[step] : ends[step + 1]]
            if downs:
                longest[step] += max(map(find, downs))
        return longest

    def ranked(self, weights: Sequence[int] = ()) -> list[int]:
        """Steps, the most urgent first, which have the longest remaining path.

        That is in `weights`; of equal ones in steps, then in declaration order.
        """
        count = len(self.names)
        # A step more on the path never outweighs a weight: no path has more than `count`.
        longest = self.remaining([weight * (count + 1) + 1 for weight in weights])
        # Reversed, the sort still leaves steps of equal paths as they were declared.
        return sorted(range(count), key=longest.__getitem__, reverse=True)


def build(names: Sequence[str], depends_on: Sequence[Collection[str]]) -> Graph:
    """Compile and validate a graph given as parallel sequences; a step names no other twice.

    Raises `DefinitionError` naming every duplicate name and unknown dependency in one go, and
    `CycleError` with a closed path of real edges.
    """
    position = {name: index for index, name in enumerate(names)}
    if len(position) != len(names):
        raise _unfit(names, depends_on, position)
    row: list[int] = []
    find = position.__getitem__
    try:
        for wanted in depends_on:
            if len(wanted) > 1:
                row += sorted(map(find, wanted))
            elif wanted:
                row += map(find, wanted)
    except KeyError:
        raise _unfit(names, depends_on, position) from None
    ends = [0, *accumulate(map(len, depends_on))]
    down_row, down_ends = _turned(row, ends)
    order, generations = _kahn(ends, down_row, down_ends)
    upstreams = Edges(array("i", row), array("i", ends))
    if len(order) != len(names):
        path = _cycle(upstreams, set(range(len(names))) - set(order))
        raise CycleError(tuple(names[step] for step in path))
    downstreams = Edges(array("i", down_row), array("i", down_ends))
    return Graph(tuple(names), upstreams, downstreams, array("i", order), array("i", generations))


def _turned(row: Sequence[int], ends: Sequence[int]) -> tuple[list[int], list[int]]:
    """Give the same edges from their other ends."""
    counts = [0] * len(ends)
    for neighbour in row:
        counts[neighbour + 1] += 1
    place = list(accumulate(counts))  # where each step's next neighbour goes
    turned_ends = place[:]
    turned = [0] * len(row)
    begin = 0
    for step in range(len(ends) - 1):
        end = ends[step + 1]
        for neighbour in row[begin:end]:
            at = place[neighbour]
            turned[at] = step
            place[neighbour] = at + 1
        begin = end
    return turned, turned_ends


def _kahn(
    up_ends: Sequence[int], row: Sequence[int], ends: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Order by generations; steps in or behind a cycle are left out."""
    blocked = [end - begin for begin, end in pairwise(up_ends)]
    generations = [0] * len(blocked)
    wave = [step for step, count in enumerate(blocked) if not count]
    order: list[int] = []
    generation = 0
    while wave:
        order += wave
        generation += 1
        freed: list[int] = []
        for step in wave:
            for down in row[ends[step] : ends[step + 1]]:
                left = blocked[down] - 1
                blocked[down] = left
                if not left:
                    generations[down] = generation
                    freed.append(down)
        freed.sort()
        wave = freed
    return order, generations


def _cycle(upstreams: Edges, blocked: set[int]) -> list[int]:
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


def _unfit(
    names: Sequence[str], depends_on: Sequence[Collection[str]], position: Mapping[str, int]
) -> DefinitionError:
    """Tell every fault of the names."""
    seen: set[str] = set()
    faults = []
    for name in names:
        if name in seen:
            faults.append(f"two steps are named '{name}'")
        seen.add(name)
    guesses = min(FAULTS_TOLD_MAX, GUESSED_AMONG_MAX // len(names))
    for name, wanted in zip(names, depends_on, strict=True):
        for other in dict.fromkeys(wanted):
            if other not in position:
                near = names if len(faults) < guesses else ()
                faults.append(_unknown(name, other, near))
    return DefinitionError.of([Fault(fault) for fault in faults], _UNFIT_HINT)


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
    graph = build(list(steps), [tuple(dict.fromkeys(wanted)) for wanted in depends_on])  # type: ignore[call-overload]
    return [graph.names[step] for step in graph.order]
