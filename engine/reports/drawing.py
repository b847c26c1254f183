"""A workflow's graph as people read it in a terminal: a line a step, with rails to its left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from engine.graph import Graph
from engine.reports.grid import Cell, Column, grid, paint
from engine.reports.rails import Line, lay_out
from engine.reports.step_words import StepWords
from engine.text import cut

FOLD_OVER = 50  # in workflows with more steps, those that are alike take one line
ALIKE_LEAST = 4
LINES_MAX = 200
_HEAD_LINES = 150
_AFTER_MAX = 3
_ROUNDS_MAX = 100
_RAILS_LEAST = 3

_RAILS = Column("")
_STEP = Column("STEP", least=16)
_AFTER = Column("AFTER", least=12)
_RUNS = Column("RUNS", least=8, drop=3)
_RULE = Column("RULE", drop=1)
_WHEN = Column("WHEN", least=8, drop=2)

# One character for one, so that what is aligned stays so.
_ASCII = str.maketrans(
    {
        **dict.fromkeys("├┤┼", "+"),
        **dict.fromkeys("┴╰╯", "'"),
        **dict.fromkeys("╮·", "."),
        "●": "*",
        "◆": "#",
        "○": "o",
        "│": "|",
        "─": "-",
        "…": "~",
        "×": "x",
        "⋮": ":",
    }
)


def drawing(
    steps: Sequence[StepWords],
    graph: Graph,
    *,
    width: int = 80,
    colour: bool = False,
    ascii_only: bool = False,
) -> str:
    """Draw a workflow: its steps in dependency order, what they run, their rules and conditions.

    Of more than 50 steps, those that differ in nothing but name and body take one line; of more
    than 200 lines the middle is left out.
    """
    folds = _alike(steps, graph) if len(steps) > FOLD_OVER else []
    lines = lay_out(graph, folds, _rails_for(width))
    shown = lines
    if len(lines) > LINES_MAX:
        shown = lines[:_HEAD_LINES] + lines[_HEAD_LINES - LINES_MAX :]
    if any(line.after for line in shown):  # wide ones: what a step runs would take the room
        head = [_RAILS, _STEP, _AFTER, _RULE, _WHEN]
    else:
        head = [_RAILS, _STEP, _RUNS, _RULE, _WHEN]
    rows = [_row(line, steps, head) for line in shown]
    if ascii_only:
        rows = [[Cell(_in_ascii(cell.text), cell.colour) for cell in row] for row in rows]
    told = grid(head, rows, width=width, colour=colour) if rows else []
    if len(shown) < len(lines):
        told.insert(_HEAD_LINES + 1, f"⋮ {len(lines) - len(shown)} lines are left out")
    told += ["", paint(cut(_summary(graph, folds), width), "dim", on=colour)]
    text = "\n".join(told)
    return _in_ascii(text) if ascii_only else text


def _rails_for(width: int) -> int:
    """Give at most two fifths to rails, and leave room for names, and for those they stand in."""
    room = sum(column.least or 0 for column in (_STEP, _AFTER)) + 4
    return max(_RAILS_LEAST, min(width // 5, (width - room) // 2))


def _in_ascii(text: str) -> str:
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def _row(line: Line, steps: Sequence[StepWords], head: Sequence[Column]) -> list[Cell]:
    first = steps[line.steps[0]]
    name, runs = first.name, first.runs
    if len(line.steps) > 1:
        name = f"{len(line.steps)} × {first.name} … {steps[line.steps[-1]].name}"
        if any(steps[step].runs != runs for step in line.steps):
            runs = f"{first.kind}s"
    cells = {
        _RAILS: Cell(line.rails),
        _STEP: Cell(name),
        _AFTER: Cell(_after(line, steps)),
        _RUNS: Cell(runs, "dim"),
        _RULE: Cell(first.rule, "yellow"),
        _WHEN: Cell(first.condition, "cyan"),
    }
    return [cells[column] for column in head]


def _after(line: Line, steps: Sequence[StepWords]) -> str:
    """Name the upstreams that no rail leads from."""
    names = ", ".join(steps[step].name for step in line.after[:_AFTER_MAX])
    more = len(line.after) - _AFTER_MAX
    return f"{names} and {more} more" if more > 0 else names


def _summary(graph: Graph, folds: Sequence[Sequence[int]]) -> str:
    count = len(graph.names)
    longest = max(graph.generations, default=-1) + 1
    said = f"{count} step{'' if count == 1 else 's'}, the longest path has {longest}"
    if folds:
        lines = f"{len(folds)} line{'' if len(folds) == 1 else 's'}"
        said += f"; {sum(map(len, folds))} that are alike take {lines}"
    return said


def _alike(steps: Sequence[StepWords], graph: Graph) -> list[list[int]]:
    """Give the sets of steps that nothing but name and body tells apart, their places included.

    Places are told apart until nothing changes any more: by how long the paths to and from a step
    are, then by how many of each kind stand before and after it.
    """
    remaining = graph.remaining()
    kinds = _numbered(
        [
            (generation, remaining[number], step.kind, step.rule, step.condition)
            for number, (step, generation) in enumerate(zip(steps, graph.generations, strict=True))
        ]
    )
    for _ in range(_ROUNDS_MAX):
        finer = _numbered(
            [
                (kinds[step], _counted(kinds, ups), _counted(kinds, downs))
                for step, (ups, downs) in enumerate(
                    zip(graph.upstreams, graph.downstreams, strict=True)
                )
            ]
        )
        if max(finer, default=0) == max(kinds, default=0):
            break
        kinds = finer
    else:
        return []
    alike: dict[int, list[int]] = defaultdict(list)
    for step, kind in enumerate(kinds):
        alike[kind].append(step)
    return [same for same in alike.values() if len(same) >= ALIKE_LEAST]


def _counted(kinds: Sequence[int], steps: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(kinds[step] for step in steps))


def _numbered(keys: Sequence[Hashable]) -> list[int]:
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]
