"""The graphs that are run: names of steps, each with those it waits for.

Nothing but the standard library: peers import it in environments of their own.
"""

from __future__ import annotations

import random

LAYER_WIDTH = 100
LAYER_UPSTREAMS = 3
SEED = 1962  # A. B. Kahn, "Topological sorting of large networks"

Graph = dict[str, list[str]]


def chain(count: int) -> Graph:
    """Each step waits for the one before: nothing can be grouped."""
    return {f"s{at}": [f"s{at - 1}"] if at else [] for at in range(count)}


def wide(count: int) -> Graph:
    """No step waits for any other."""
    return {f"s{at}": [] for at in range(count)}


def layered(count: int) -> Graph:
    """Layers of 100 steps, each step waiting for 3 of the layer above."""
    draw = random.Random(SEED)
    graph: Graph = {}
    above: list[str] = []
    layer: list[str] = []
    for at in range(count):
        name = f"s{at}"
        graph[name] = draw.sample(above, min(LAYER_UPSTREAMS, len(above)))
        layer.append(name)
        if len(layer) == LAYER_WIDTH:
            above, layer = layer, []
    return graph


SHAPES = {"chain": chain, "wide": wide, "layered": layered}
