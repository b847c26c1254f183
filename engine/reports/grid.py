"""A table for a terminal: columns by display width, cut to fit, optionally in colour."""

from __future__ import annotations

from collections.abc import Sequence

from engine.records import record
from engine.text import columns, cut, pad, printable

GAP = "  "
COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "dim": 2, "bold": 1}


@record
class Column:
    """A column: `least` is the width it may be cut to (0: as its cells are), None its full width.

    Where even that is too wide, columns go, those with the highest `drop` first; 0 stays.
    """

    title: str
    least: int | None = None
    right: bool = False
    drop: int = 0


@record
class Cell:
    """A cell with a colour."""

    text: str
    colour: str = ""


def paint(text: str, colour: str, *, on: bool) -> str:
    """Give `text` in a colour, or as it is."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if on and colour else text


def grid(
    head: Sequence[Column],
    rows: Sequence[Sequence[str | Cell]],
    *,
    width: int = 80,
    colour: bool = False,
) -> list[str]:
    """Lay the rows out in at most `width` columns; a column without any text is left out.

    Cells are made printable here: whatever they hold, a row is one line.
    """
    cells = [[_cell(each) for each in row] for row in rows]
    kept = [
        position
        for position, column in enumerate(head)
        if not column.drop or any(row[position].text for row in cells)
    ]
    natural = {
        position: max(
            columns(head[position].title), *(columns(row[position].text) for row in cells), 0
        )
        for position in kept
    }
    widths = _fit(head, kept, natural, width)
    lines = [[Cell(column.title, "dim") for column in head], *cells]
    return [_line(head, line, widths, width, colour=colour) for line in lines]


def _cell(value: str | Cell) -> Cell:
    cell = value if isinstance(value, Cell) else Cell(value)
    return Cell(printable(cell.text), cell.colour)


def _fit(
    head: Sequence[Column], kept: Sequence[int], natural: dict[int, int], width: int
) -> dict[int, int]:
    """Shrink the flexible columns, the widest first; where that is not enough drop columns."""
    widths = {position: natural[position] for position in kept}
    while True:
        over = sum(widths.values()) + len(GAP) * (len(widths) - 1) - width
        if over <= 0:
            return widths
        least = {
            position: min(natural[position], floor)
            for position in widths
            if (floor := head[position].least) is not None
        }
        slack = {p: widths[p] - least[p] for p in least if widths[p] > least[p]}
        if slack:
            _shrink(widths, slack, over)
            continue
        droppable = [position for position in widths if head[position].drop]
        if not droppable:
            return widths
        del widths[max(droppable, key=lambda position: head[position].drop)]
        widths = {position: natural[position] for position in widths}


def _shrink(widths: dict[int, int], slack: dict[int, int], over: int) -> None:
    """Take `over` columns from the widest flexible columns, evening them out."""
    for _ in range(min(over, sum(slack.values()))):
        widest = max((p for p in slack if slack[p]), key=lambda p: widths[p])
        widths[widest] -= 1
        slack[widest] -= 1


def _line(
    head: Sequence[Column], row: Sequence[Cell], widths: dict[int, int], width: int, *, colour: bool
) -> str:
    parts: list[str] = []
    left = width
    last = max((p for p in widths if row[p].text), default=-1)
    for position, wide in widths.items():
        if position > last or left <= 0:
            break
        room = min(wide, left)
        text = pad(cut(row[position].text, room), room, right=head[position].right)
        text = text.rstrip() if position == last else text
        parts.append(paint(text, row[position].colour, on=colour))
        left -= wide + len(GAP)
    return GAP.join(parts)
