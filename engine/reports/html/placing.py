"""Where the nodes of a layered graph are drawn: few crossings, short edges, nothing on another."""

from __future__ import annotations

from collections.abc import Sequence

from engine.records import record

_SWEEPS = 6
_BENDS_MAX = 3_000  # in a graph with more, long edges run straight


@record
class Placed:
    """The middle of each node, downwards, and of each bend: of edge (upstream, node), by layer."""

    nodes: Sequence[float]
    bends: dict[tuple[int, int], list[float]]
    height: float


def place(
    layers: Sequence[int], upstreams: Sequence[Sequence[int]], size: float, bend: float
) -> Placed:
    """Place nodes of this size in their layers, and bends of long edges, of another, among them."""
    points = _Points(layers, upstreams)
    points.order()
    ys = points.spread([size if point < len(layers) else bend for point in range(points.count)])
    half = [(size if point < len(layers) else bend) / 2 for point in range(points.count)]
    top = min((y - h for y, h in zip(ys, half, strict=True)), default=0.0)
    ys = [y - top for y in ys]
    height = max((y + h for y, h in zip(ys, half, strict=True)), default=0.0)
    bends = {edge: [ys[point] for point in way] for edge, way in points.ways.items()}
    return Placed(ys[: len(layers)], bends, height)


class _Points:
    """Nodes, and a point in each layer that an edge passes."""

    def __init__(self, layers: Sequence[int], upstreams: Sequence[Sequence[int]]) -> None:
        self.rows: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
        self.count = len(layers)
        self.ways: dict[tuple[int, int], list[int]] = {}
        self._ups: list[list[int]] = [[] for _ in layers]
        self._downs: list[list[int]] = [[] for _ in layers]
        for node, layer in enumerate(layers):
            self.rows[layer].append(node)
        edges = [(up, node) for node, ups in enumerate(upstreams) for up in ups]
        passed = sum(layers[node] - layers[up] - 1 for up, node in edges)
        for up, node in edges:
            between = range(layers[up] + 1, layers[node]) if passed <= _BENDS_MAX else ()
            way = [self._bend(layer) for layer in between]
            self.ways[up, node] = way
            for one, other in zip([up, *way], [*way, node], strict=True):
                self._downs[one].append(other)
                self._ups[other].append(one)

    def _bend(self, layer: int) -> int:
        self.rows[layer].append(self.count)
        self._ups.append([])
        self._downs.append([])
        self.count += 1
        return self.count - 1

    def order(self) -> None:
        """Order each layer by the middle of what its points are joined to, to and fro."""
        at = [0.0] * self.count
        for row in self.rows:
            _number(row, at)
        for sweep in range(_SWEEPS):
            forward = sweep % 2 == 0
            near = self._ups if forward else self._downs
            for row in self.rows if forward else reversed(self.rows):
                middle = {
                    point: _mean([at[one] for one in near[point]], at[point]) for point in row
                }
                row.sort(key=middle.__getitem__)
                _number(row, at)

    def spread(self, sizes: Sequence[float]) -> list[float]:
        """Move each point as near to what it is joined to as the others of its layer allow."""
        ys = [0.0] * self.count
        for row in self.rows:
            middle = sum(sizes[point] for point in row) / 2
            _settle(row, dict.fromkeys(row, 0.0), sizes, ys)
            for point in row:
                ys[point] -= middle - sum(sizes[one] for one in row) / 2
        for sweep in range(_SWEEPS):
            for row in self.rows if sweep % 2 == 0 else reversed(self.rows):
                wanted = {
                    point: _mean(
                        [ys[one] for one in (*self._ups[point], *self._downs[point])], ys[point]
                    )
                    for point in row
                }
                _settle(row, wanted, sizes, ys)
        return ys


def _number(row: Sequence[int], at: list[float]) -> None:
    for place_, point in enumerate(row):
        at[point] = place_ - (len(row) - 1) / 2


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _settle(
    row: Sequence[int], wanted: dict[int, float], sizes: Sequence[float], ys: list[float]
) -> None:
    """Place a layer's points, in their order and none on another, as near as can be to `wanted`.

    Those that would meet move together, by the mean of what they want.
    """
    offsets, offset = [], 0.0
    for before, point in zip([None, *row], row, strict=False):
        offset += (sizes[before] + sizes[point]) / 2 if before is not None else 0.0
        offsets.append(offset)
    blocks: list[tuple[float, int]] = []  # the sum of what they want, and how many they are
    for point, off in zip(row, offsets, strict=True):
        total, count = wanted[point] - off, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            more, many = blocks.pop()
            total, count = total + more, count + many
        blocks.append((total, count))
    starts = [total / count for total, count in blocks for _ in range(count)]
    for point, off, start in zip(row, offsets, starts, strict=True):
        ys[point] = start + off
