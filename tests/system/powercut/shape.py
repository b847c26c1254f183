"""The graph that is run under the shim: layers of steps, each on two of the layer before."""

from __future__ import annotations

LAYERS, WIDTH = 4, 3


def _upstreams(position: int) -> list[str]:
    layer, place = divmod(position, WIDTH)
    places = {place, (place + 1) % WIDTH} if layer else set()
    return [f"s{(layer - 1) * WIDTH + place}" for place in sorted(places)]


GRAPH = {f"s{position}": _upstreams(position) for position in range(LAYERS * WIDTH)}
