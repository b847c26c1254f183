"""The graph of a run's steps as SVG: layers from left to right, a node for each step or group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from engine.graph import Graph
from engine.reports.html.collapse import Nodes, label, nodes_of
from engine.reports.html.markup import EMPTY, Html, joined
from engine.reports.html.placing import Placed, place
from engine.reports.html.words import count, duration, sign, tone, word
from engine.reports.terminal import LOOKS
from engine.text import columns, cut, printable

_NODE_HEIGHT = 44
_PITCH = 56  # from node to node, downwards
_BEND = 14
_GAP = 46  # between layers, where edges bend
_CHAR = 7.9  # of a name, on average; drawn as wide as that allows
_SMALL = 7.3
_WIDTH_MIN, _WIDTH_MAX = 84, 250
_LABEL_MAX = 31
_MARGIN = 8
_NAMED_MAX = 8
_TROUBLE = 5  # of the ranks of statuses: those after it are skipped, ok, cached

_SVG = Html(
    '<svg width="{w}" height="{h}" viewBox="0 0 {w} {h}"'
    ' role="group" aria-label="{label}">{edges}{nodes}</svg>'
)
_NODE = Html(
    '<a href="#{target}" data-n="{n}" class="{tone}"><title>{title}</title>{stack}'
    '<rect x="{x}" y="{y}" width="{w}" height="{h}"{way}/>'
    '<text x="{tx}" y="{ty}">{name}</text>'
    '<text x="{tx}" y="{sy}" class="sub">{sub}</text>{bar}</a>'
)
_EDGE = Html('<path data-e="{} {}"{} d="{}"/>')
_WAY = Html(' class="way"')


def graph_picture(
    graph: Graph, steps: Sequence[Mapping[str, Any]], path: Sequence[int]
) -> tuple[Html, int]:
    """Draw the graph, with the critical path; gives the picture and how many nodes it has."""
    nodes = nodes_of(graph)
    placed = place(nodes.layers, nodes.upstreams, _PITCH, _BEND)
    drawn = [_Node(number, nodes, steps, set(path)) for number in range(len(nodes.steps))]
    columns_ = _columns(nodes.layers, drawn)
    ways = _ways(nodes, path)
    edges = [
        _EDGE.format(
            up,
            down,
            _WAY if (up, down) in ways else EMPTY,
            _curve(columns_, nodes.layers, placed, (up, down)),
        )
        for up, down in sorted(placed.bends, key=lambda edge: (edge in ways, edge))
    ]
    right = max((x + width for x, width in columns_), default=0.0)
    picture = _SVG.format(
        w=round(right + 2 * _MARGIN),
        h=round(placed.height + 2 * _MARGIN),
        label=f"graph of {count(len(steps), 'step')}",
        edges=joined(edges),
        nodes=joined(one.drawn(columns_, placed.nodes[one.number]) for one in drawn),
    )
    return picture, len(drawn)


class _Node:
    """A node as it is labelled: a step, or several that share it."""

    def __init__(
        self,
        number: int,
        nodes: Nodes,
        steps: Sequence[Mapping[str, Any]],
        path: Collection[int],
    ) -> None:
        self.number, self.layer = number, nodes.layers[number]
        self.members = nodes.steps[number]
        rows = [steps[step] for step in self.members]
        names = [printable(row["name"]) for row in rows]
        self.counts = Counter(row["status"] for row in rows)
        self.status = _of_all(self.counts)
        self.is_way = not path.isdisjoint(self.members) if isinstance(path, set) else False
        many = f" ×{len(rows):,}" if len(rows) > 1 else ""
        self.name = cut(label(names), _LABEL_MAX - len(many)) + many
        told = ", ".join(
            f"{number:,} {word(status)}"
            for status, number in sorted(
                self.counts.items(), key=lambda one: (one[0] != self.status, _rank(one[0]))
            )
        )
        if len(rows) == 1:
            row = rows[0]
            took = duration(row["duration_s"]) if row.get("attempts") else ""
            self.sub = f"{sign(self.status)} {word(self.status)}"
            self.sub += f" · {took}" if took and took != "–" else ""
            self.title = f"{names[0]}: {word(self.status)}" + (f", {took}" if took else "")
            if row.get("note"):
                self.title += f" ({printable(row['note'])[:200]})"
        else:
            self.sub = cut(f"{sign(self.status)} {told}", _LABEL_MAX + 2)
            listed = ", ".join(names[:_NAMED_MAX])
            more = f" and {len(names) - _NAMED_MAX:,} more" if len(names) > _NAMED_MAX else ""
            self.title = f"{count(len(rows), 'step')}: {told}. {listed}{more}"

    @property
    def width(self) -> float:
        """How wide its texts are, with room around them."""
        text = max(columns(self.name) * _CHAR, columns(self.sub) * _SMALL)
        return min(max(text + 22, _WIDTH_MIN), _WIDTH_MAX)

    def drawn(self, columns_: Sequence[tuple[float, float]], middle: float) -> Html:
        """Draw it around its middle."""
        x, width = columns_[self.layer]
        left, top = round(x + _MARGIN), round(middle - _NODE_HEIGHT / 2 + _MARGIN)
        single = len(self.members) == 1
        return _NODE.format(
            target=f"s{self.members[0]}" if single else "steps",
            n=self.number,
            tone=tone(self.status),
            title=self.title,
            stack=EMPTY if single else _behind(left, top, round(width)),
            x=left,
            y=top,
            w=round(width),
            h=_NODE_HEIGHT,
            way=_WAY if self.is_way else EMPTY,
            tx=left + 11,
            ty=top + 18,
            name=self.name,
            sy=top + 34,
            sub=self.sub,
            bar=EMPTY if single else self._bar(left, top + _NODE_HEIGHT - 5, round(width)),
        )

    def _bar(self, left: int, top: int, width: int) -> Html:
        """Show the shares of the statuses along the foot of the node."""
        parts, at = [], left + 6.0
        for status, number in sorted(self.counts.items(), key=lambda one: -_rank(one[0])[0]):
            wide = (width - 12) * number / len(self.members)
            shape = Html('<rect class="bar {}" x="{:.1f}" y="{}" width="{:.1f}" height="3"/>')
            parts.append(shape.format(tone(status), at, top, wide))
            at += wide
        return joined(parts)


def _behind(left: int, top: int, width: int) -> Html:
    """Show that there are others behind it."""
    shape = Html('<rect class="more" x="{}" y="{}" width="{}" height="{}"/>')
    return shape.format(left + 4, top + 4, width, _NODE_HEIGHT)


def _of_all(counts: Counter[str]) -> str:
    """Give the status that stands for several: what did not go well, else what most have."""
    worst = min(counts, key=_rank)
    return worst if _rank(worst)[0] <= _TROUBLE else counts.most_common(1)[0][0]


def _rank(status: str) -> tuple[int, str]:
    """Say how early a status is worth a look."""
    return LOOKS[status][2] if status in LOOKS else 4, status


def _columns(layers: Sequence[int], drawn: Sequence[_Node]) -> list[tuple[float, float]]:
    """Give each layer's left edge and width."""
    widths = [0.0] * (max(layers, default=-1) + 1)
    for node in drawn:
        widths[node.layer] = max(widths[node.layer], node.width)
    found, x = [], 0.0
    for width in widths:
        found.append((x, width))
        x += width + _GAP
    return found


def _curve(
    columns_: Sequence[tuple[float, float]],
    layers: Sequence[int],
    placed: Placed,
    edge: tuple[int, int],
) -> str:
    """Give an edge as a line that leaves and enters level, and passes layers level too."""
    up, down = edge
    x, y = columns_[layers[up]][0] + columns_[layers[up]][1] + _MARGIN, placed.nodes[up] + _MARGIN
    parts = [f"M{x:.0f} {y:.0f}"]
    for layer, bend in enumerate(placed.bends[edge], layers[up] + 1):
        left, width = columns_[layer]
        parts.append(_bezier((x, y), (left + _MARGIN, bend + _MARGIN)))
        x, y = left + width + _MARGIN, bend + _MARGIN
        parts.append(f"H{x:.0f}")
    end = (columns_[layers[down]][0] + _MARGIN, placed.nodes[down] + _MARGIN)
    parts.append(_bezier((x, y), end))
    return "".join(parts)


def _bezier(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to_x, to_y) = start, end
    if round(y) == round(to_y):
        return f"H{to_x:.0f}"
    middle = (x + to_x) / 2
    return f"C{middle:.0f} {y:.0f} {middle:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"


def _ways(nodes: Nodes, path: Sequence[int]) -> set[tuple[int, int]]:
    """Give the edges along which the critical path goes."""
    of = {step: node for node, steps in enumerate(nodes.steps) for step in steps}
    return {(of[one], of[other]) for one, other in pairwise(path)}
