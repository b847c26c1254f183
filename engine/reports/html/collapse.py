"""Which steps of a big graph share a node, so that what is left can be looked at."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import takewhile

from engine.graph import Graph
from engine.records import record

NODES_MAX = 200
EDGES_MAX = 700
LAYERS_MAX = 60
_BANDS = 40
_ENDING = "0123456789_-. "  # what tells steps of one kind apart


@record
class Nodes:
    """What is drawn: the steps of each node, its layer, and the nodes above it."""

    steps: Sequence[tuple[int, ...]]
    layers: Sequence[int]
    upstreams: Sequence[tuple[int, ...]]

    @property
    def edges(self) -> int:
        """How many edges there are."""
        return sum(map(len, self.upstreams))


def nodes_of(graph: Graph) -> Nodes:
    """Give each step a node of its own, or put as few together as it takes.

    First those with the same upstreams and downstreams, then those of a layer whose names begin
    alike, then whole layers, then several layers.
    """
    steps = range(len(graph.names))
    for key in _keys(graph):
        keys = [key(step) for step in steps]
        if len(set(keys)) <= NODES_MAX:
            found = _by(graph, keys, graph.generations)
            if _fits(found):
                return found
    layers = max(graph.generations) + 1
    bands = [layer * min(layers, _BANDS) // layers for layer in graph.generations]
    return _by(graph, bands, bands)


def _fits(nodes: Nodes) -> bool:
    layers = max(nodes.layers, default=0) + 1
    return len(nodes.steps) <= NODES_MAX and nodes.edges <= EDGES_MAX and layers <= LAYERS_MAX


def _keys(graph: Graph) -> Iterator[Callable[[int], Hashable]]:
    ups, downs, layers = graph.upstreams, graph.downstreams, graph.generations
    yield lambda step: step
    yield lambda step: (ups[step], downs[step])
    yield lambda step: (layers[step], stem(graph.names[step]))
    yield lambda step: layers[step]


def _by(graph: Graph, keys: Sequence[Hashable], layers: Sequence[int]) -> Nodes:
    """Put steps of equal keys together; each node's steps must be of one layer."""
    alike: dict[Hashable, list[int]] = {}
    for step, key in enumerate(keys):
        alike.setdefault(key, []).append(step)
    of = {step: node for node, steps in enumerate(alike.values()) for step in steps}
    upstreams = [
        tuple(sorted({of[up] for step in steps for up in graph.upstreams[step]} - {node}))
        for node, steps in enumerate(alike.values())
    ]
    steps = [tuple(one) for one in alike.values()]
    return Nodes(steps, [layers[one[0]] for one in steps], upstreams)


def stem(name: str) -> str:
    """Give what a name has in common with others of its kind: "load" of "load_12"."""
    return name.rstrip(_ENDING) or name


def label(names: Sequence[str]) -> str:
    """Name a node: by its step, or by how the names of its steps begin."""
    if len(names) == 1:
        return names[0]
    first, last = min(names), max(names)
    same = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    )
    common = first[:same]
    start = common.rstrip("0123456789") or common
    return f"{start}*" if len(start) > 1 else f"{names[0]} …"
