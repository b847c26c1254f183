"""Rails beside a list of steps: which lines, corners and crossings join each to its upstreams.

A rail is a column that goes down from a step to those that depend on it. It begins below `●`.
Steps with the same upstreams and the same downstreams share one, to the right of their `◆`. `○` has
none. A rail that is only crossed stays `│`; `…` marks one for which there is no room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from engine.graph import Graph
from engine.records import record

_FREE = -1


@record
class Line:
    """One line: the steps it stands for, its rails, and upstreams to which no rail leads."""

    steps: tuple[int, ...]
    rails: str
    after: tuple[int, ...] = ()


@dataclass(slots=True)
class _Unit:
    """Steps that are drawn together, on a line each, or all on one."""

    steps: tuple[int, ...]
    folded: bool
    upstreams: tuple[int, ...] = ()  # units
    downstreams: tuple[int, ...] = ()

    @property
    def rows(self) -> list[tuple[int, ...]]:
        return [self.steps] if self.folded else [(step,) for step in self.steps]

    @property
    def wide(self) -> int:
        """Its columns: one that all of its steps stand in, and one for a rail they share."""
        return 2 if len(self.rows) > 1 and self.downstreams else 1


def lay_out(graph: Graph, folds: Sequence[Sequence[int]], rails_max: int) -> list[Line]:
    """Draw every step of the graph, upstreams first; each of `folds` takes one line.

    The steps of a fold must be of one generation. At most `rails_max` rails stand side by side.
    """
    units = _units(graph, folds)
    board = _Board(units, rails_max)
    return [line for unit in _order(units) for line in board.draw(unit)]


def _units(graph: Graph, folds: Sequence[Sequence[int]]) -> list[_Unit]:
    folded = {step for fold in folds for step in fold}
    twins: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = defaultdict(list)
    for step in range(len(graph.names)):
        if step not in folded:
            twins[graph.upstreams[step], graph.downstreams[step]].append(step)
    units = [_Unit(tuple(fold), folded=True) for fold in folds]
    units += [_Unit(tuple(same), folded=False) for same in twins.values()]
    units.sort(key=lambda unit: unit.steps[0])
    of = {step: number for number, unit in enumerate(units) for step in unit.steps}
    for unit in units:
        unit.upstreams = _met(of, graph.upstreams, unit.steps)
        unit.downstreams = _met(of, graph.downstreams, unit.steps)
    return units


def _met(
    of: dict[int, int], neighbours: Sequence[tuple[int, ...]], steps: tuple[int, ...]
) -> tuple[int, ...]:
    return tuple(sorted({of[near] for step in steps for near in neighbours[step]}))


def _order(units: Sequence[_Unit]) -> list[int]:
    """Order units so that few rails are open: what a unit frees comes next, dead ends first."""
    blocked = [len(unit.upstreams) for unit in units]
    roots = [number for number, count in enumerate(blocked) if not count]
    # A stack: the last is taken first. Steps that nothing joins come at the end of all.
    ready = sorted(roots, key=lambda root: (not units[root].downstreams, root), reverse=True)
    order = []
    while ready:
        number = ready.pop()
        order.append(number)
        freed = []
        for down in units[number].downstreams:
            blocked[down] -= 1
            if not blocked[down]:
                freed.append(down)
        ready += sorted(freed, key=lambda down: (bool(units[down].downstreams), down), reverse=True)
    return order


@record
class _Spot:
    """Where a unit stands: its column, the rail it opens, the rails it joins and those it ends."""

    node: int
    rail: int
    joined: tuple[int, ...]
    ending: frozenset[int]
    lost: bool  # no room for its rail


class _Board:
    """The columns as they stand, from line to line."""

    def __init__(self, units: Sequence[_Unit], rails_max: int) -> None:
        self._units = units
        self._left = [len(unit.downstreams) for unit in units]  # not drawn yet
        self._blocked = [len(unit.upstreams) for unit in units]
        self._drawn: set[int] = set()
        self._rails = [_FREE] * rails_max  # whose rail each column is
        self._lost: set[int] = set()  # units for whose rail there was no room

    def draw(self, number: int) -> list[Line]:
        """Draw one unit, on a line for each of its rows."""
        unit = self._units[number]
        self._drawn.add(number)
        for up in unit.upstreams:
            self._left[up] -= 1
        for down in unit.downstreams:
            self._blocked[down] -= 1
        spot = self._spot(unit)
        lost = [up for up in unit.upstreams if up in self._lost]
        after = tuple(step for up in lost for step in self._units[up].steps)
        last = len(unit.rows) - 1
        lines = [
            Line(steps, self._line(unit, spot, first=row == 0, last=row == last), after)
            for row, steps in enumerate(unit.rows)
        ]
        for column in spot.ending:
            self._rails[column] = _FREE
        if spot.lost:
            self._lost.add(number)
        elif unit.downstreams:
            self._rails[spot.rail] = number
        return lines

    # -- where a unit stands ----------------------------------------------------------------------

    def _spot(self, unit: _Unit) -> _Spot:
        joined = [column for column, rail in enumerate(self._rails) if rail in unit.upstreams]
        ending = [column for column in joined if not self._left[self._rails[column]]]
        if ending and len(unit.rows) == 1 and not self._is_last_twig(unit):
            node = self._go_on(joined, min(ending))
        else:
            node = self._branch_off(unit, max(joined, default=_FREE))
        rail = node + unit.wide - 1
        lost = bool(unit.downstreams) and rail >= len(self._rails)
        return _Spot(node, rail, tuple(joined), frozenset(ending), lost)

    def _go_on(self, joined: list[int], column: int) -> int:
        """Give the column of a step that takes over a rail; if it joins some, it moves left."""
        left = column
        while left and self._rails[left - 1] == _FREE:
            left -= 1
        moves = not left or len(joined) > 1 or self._units[self._rails[column]].wide > 1
        return left if moves else column

    def _branch_off(self, unit: _Unit, source: int) -> int:
        """Give the column of a unit right of the rail it comes from; past the last: no room."""
        gap = self._gap_after(source)
        if gap >= unit.wide:
            spare = gap - unit.wide if unit.downstreams else 0
            return source + 1 + min(self._room_to_leave(source), spare)
        for column in range(source + 1, len(self._rails) - unit.wide + 1):
            if all(rail == _FREE for rail in self._rails[column : column + unit.wide]):
                return column
        return len(self._rails)

    def _is_last_twig(self, unit: _Unit) -> bool:
        """Whether it is a dead end beside others that branch off from the same unit."""
        if unit.downstreams or len(unit.upstreams) != 1:
            return False
        return len(self._units[unit.upstreams[0]].downstreams) > 1

    def _gap_after(self, column: int) -> int:
        """Count the free columns right of `column`, up to the next rail."""
        after = self._rails[column + 1 :]
        return next((size for size, rail in enumerate(after) if rail != _FREE), len(after))

    def _room_to_leave(self, source: int) -> int:
        """Count the columns for what will branch off from `source` next, and stand in between."""
        if source == _FREE:
            return 0
        coming = [
            self._units[down].wide
            for down in self._units[self._rails[source]].downstreams
            if self._units[down].downstreams and self._is_next(down)
        ]
        takes_over = bool(coming) and coming[-1] == 1  # a single step goes on in the rail itself
        return sum(coming) - takes_over

    def _is_next(self, number: int) -> bool:
        return number not in self._drawn and not self._blocked[number]

    # -- one line ---------------------------------------------------------------------------------

    def _line(self, unit: _Unit, spot: _Spot, *, first: bool, last: bool) -> str:
        ends = [spot.node, spot.rail, *spot.joined]
        low, high = min(ends), max(ends)
        text = ""
        for column in range(max(len(self._rails), high + 1)):
            if column == spot.node:
                text += _sign(unit)
            elif column == spot.rail:
                text += "╮" if first else "┤"
            elif column in spot.joined:
                over = last and column in spot.ending
                text += _joint(column, (low, spot.node, high), over=over)
            elif self._rails[column] != _FREE:
                text += "│"
            else:
                text += "─" if low < column < high else " "
            text += "─" if low <= column < high else " "
        return text.rstrip() + ("…" if spot.lost else "")


def _sign(unit: _Unit) -> str:
    if not unit.downstreams:
        return "○"
    return "●" if unit.wide == 1 else "◆"


def _joint(column: int, span: tuple[int, int, int], *, over: bool) -> str:
    low, node, high = span
    if column == low < node:
        return "╰" if over else "├"
    if column == high > node:
        return "╯" if over else "┤"
    return "┴" if over else "┼"
