"""The standard library's `graphlib` over our own graph, so that its tests can be run on ours.

Ordering and cycles are `engine.graph.build`, the release of one node after another is
`engine.frontier.Frontier`; here is only what the interface asks for besides.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping

from engine import errors
from engine.frontier import Frontier
from engine.graph import build
from engine.model import StepStatus, TriggerRule

PREPARES_AGAIN = sys.version_info >= (3, 14)  # as long as nothing was handed out


class CycleError(ValueError):
    """Its second argument is the cycle, closed."""


class TopologicalSorter:
    """Hands out nodes whose predecessors are done; nodes are steps named by their number."""

    def __init__(self, graph: Mapping[Hashable, Iterable[Hashable]] | None = None) -> None:
        """Begin with what a mapping of nodes to predecessors holds."""
        self._upstreams: dict[Hashable, list[Hashable]] = {}
        self._position: dict[Hashable, int] = {}
        self._frontier: Frontier | None = None
        self._ready: list[int] = []
        self._out: set[int] = set()
        self._done: set[int] = set()
        for node, predecessors in (graph or {}).items():
            self.add(node, *predecessors)

    def add(self, node: Hashable, *predecessors: Hashable) -> None:
        """Add a node, or more predecessors of one."""
        if self._frontier is not None:
            raise ValueError("Nodes cannot be added after a call to prepare()")
        for each in (node, *predecessors):
            self._upstreams.setdefault(each, [])
        self._upstreams[node] += predecessors

    def prepare(self) -> None:
        """Order the graph. Raises `CycleError`."""
        if self._frontier is not None and not (PREPARES_AGAIN and not self._out | self._done):
            again = "after starting sort" if PREPARES_AGAIN else "more than once"
            raise ValueError(f"cannot prepare() {again}")
        nodes = list(self._upstreams)
        self._position = {node: at for at, node in enumerate(nodes)}
        wanted = [[str(self._position[up]) for up in ups] for ups in self._upstreams.values()]
        try:
            graph = build([str(at) for at in range(len(nodes))], wanted)
        except errors.CycleError as error:
            cycle = [nodes[int(name)] for name in error.path]
            raise CycleError("nodes are in a cycle", cycle) from error
        self._frontier = Frontier(graph, [TriggerRule.ALL_SUCCESS] * len(nodes))
        self._ready = [at for at in range(len(nodes)) if self._frontier.is_due(at)]

    def get_ready(self) -> tuple[Hashable, ...]:
        """Hand out all nodes that are ready and were not yet handed out."""
        self._prepared()
        ready, self._ready = self._ready, []
        self._out.update(ready)
        nodes = list(self._upstreams)
        return tuple(nodes[at] for at in ready)

    def is_active(self) -> bool:
        """Whether a node is ready, or handed out and not done."""
        self._prepared()
        return bool(self._ready or self._out)

    def __bool__(self) -> bool:
        """Be true while active."""
        return self.is_active()

    def done(self, *nodes: Hashable) -> None:
        """Take nodes as done; what depended on them only is ready."""
        frontier = self._prepared()
        for node in nodes:
            at = self._position.get(node)
            if at is None:
                raise ValueError(f"node {node!r} was not added using add()")
            if at in self._done:
                raise ValueError(f"node {node!r} was already marked done")
            if at not in self._out:
                raise ValueError(
                    f"node {node!r} was not passed out (still not ready or already done)"
                )
            self._out.remove(at)
            self._done.add(at)
            self._ready += frontier.end(at, StepStatus.OK)

    def static_order(self) -> Iterator[Hashable]:
        """Give all nodes, group by group."""
        self.prepare()
        while self.is_active():
            nodes = self.get_ready()
            yield from nodes
            self.done(*nodes)

    def _prepared(self) -> Frontier:
        if self._frontier is None:
            raise ValueError("prepare() must be called first")
        return self._frontier
