"""Rails beside the steps of a graph: what they show is the graph, no more and no less."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.graph import Graph, build
from engine.reports.rails import Line, lay_out
from tests.builders import graph_of

OVER = "╰┴╯"  # the rail ends here
JOINTS = OVER + "├┼┤"


def picture(text: str, rails_max: int = 16) -> str:
    """Draw the graph of a text, each line's rails before the names."""
    graph = graph_of(text)
    lines = lay_out(graph, [], rails_max)
    wide = max(len(line.rails) for line in lines)
    return "\n".join(
        f"{line.rails:{wide}} {','.join(graph.names[step] for step in line.steps)}"
        for line in lines
    )


class Reader:
    """Reads a drawing as a person does, along its lines; knows nothing of how it was made."""

    def __init__(self) -> None:
        """Begin above the first line."""
        self.upstreams: dict[int, set[int]] = {}
        self._rails: dict[int, set[int]] = {}
        self._shared: dict[int, set[int]] = {}  # by column, while its steps are being listed

    def read(self, line: Line) -> None:
        """Take in one line; anything that hangs in the air is an error."""
        text = line.rails.rstrip("…")
        lost = text != line.rails
        cells, gaps = text[::2], text[1::2]
        (node,) = [column for column, sign in enumerate(cells) if sign in "●◆○"]
        sign = cells[node]
        low, high = node, node
        while low and gaps[low - 1] == "─":
            low -= 1
        while high < len(gaps) and gaps[high] == "─":
            high += 1
        if sign != "◆" or cells[high] == "╮":
            self._rails |= self._shared
            self._shared = {}
        assert set(gaps) <= {" ", "─"}
        assert gaps.count("─") == high - low, "a dash that leads nowhere"
        own = high if sign == "◆" else node
        joined = [column for column in range(low, high + 1) if self._is_joined(cells, column, own)]
        if node in self._rails:
            joined.append(node)
        ups = {step for column in joined for step in self._rails[column]}
        for column in {*self._rails, *range(len(cells))} - {node, own}:
            self._check(cells, column, inside=low < column < high)
        for step in line.steps:
            assert step not in self.upstreams
            self.upstreams[step] = ups | set(line.after)
        for column in joined:
            if column == node or cells[column] in OVER:
                del self._rails[column]
        self._open(line, sign, own, lost=lost)

    def _is_joined(self, cells: str, column: int, own: int) -> bool:
        return column != own and cells[column] in JOINTS

    def _check(self, cells: str, column: int, *, inside: bool) -> None:
        cell = cells[column : column + 1]
        if column in self._rails:
            assert cell
            assert cell in JOINTS + "│", f"the rail in column {column} is cut off"
        else:
            assert cell in (("─",) if inside else (" ", "")), f"{cell!r} in column {column}"

    def _open(self, line: Line, sign: str, own: int, *, lost: bool) -> None:
        assert own not in self._rails
        if lost or sign == "○":
            return
        if sign == "●":
            self._rails[own] = set(line.steps)
        else:
            self._shared.setdefault(own, set()).update(line.steps)

    def end(self) -> None:
        """Hold that no rail is left over."""
        assert not self._rails
        assert not self._shared


def read(lines: Sequence[Line]) -> list[tuple[int, ...]]:
    """Give each step's upstreams, as the drawing tells them."""
    reader = Reader()
    for line in lines:
        reader.read(line)
    reader.end()
    return [tuple(sorted(ups)) for _, ups in sorted(reader.upstreams.items())]


def assert_shows(graph: Graph, rails_max: int) -> None:
    """Hold that the drawing shows the graph, in dependency order and no wider than allowed."""
    lines = lay_out(graph, [], rails_max)
    assert read(lines) == list(graph.upstreams)
    order = {step: place for place, line in enumerate(lines) for step in line.steps}
    assert all(order[up] < order[step] for step in order for up in graph.upstreams[step])
    assert all(len(line.rails) <= 2 * rails_max + 4 for line in lines)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Give any small graph."""
    size = draw(st.integers(1, 12))
    names = [f"s{number}" for number in range(size)]
    ups = [draw(st.sets(st.sampled_from(names[:n]), max_size=4)) if n else () for n in range(size)]
    return build(names, ups)


@given(graphs(), st.integers(3, 9))
def test_a_drawing_shows_the_graph(graph: Graph, rails_max: int) -> None:
    """Read back along its lines, it gives every dependency and no other."""
    assert_shows(graph, rails_max)


def test_two_groups_of_like_steps_one_after_the_other() -> None:
    """The second begins left of the rail that the first has just opened."""
    assert_shows(graph_of("a b c d>a e>a f>b,c,d,e"), 3)


@pytest.mark.parametrize(
    ("name", "key"),
    [("github-actions-structures.json", "workflows"), ("airflow-example-dags.json", "dags")],
)
def test_drawings_of_real_graphs(shared: Path, name: str, key: str) -> None:
    """Forty workflows of others are shown as they are, in a wide terminal and in a narrow one."""
    for workflow in json.loads((shared / "data" / "graphs" / name).read_bytes())[key]:
        tasks = workflow.get("tasks") or workflow["jobs"]
        graph = build([task["name"] for task in tasks], [task["deps"] for task in tasks])
        assert_shows(graph, 16)
        assert_shows(graph, 5)


PICTURES = {
    "a chain": (
        "a b>a c>b",
        """
● a
● b
○ c""",
    ),
    "a diamond": (
        "a b>a c>a d>b,c",
        """
●     a
├─◆─╮ b
╰─◆─┤ c
○───╯ d""",
    ),
    "dead ends": (
        "a b>a c>a d>a",
        """
●   a
├─○ b
├─○ c
╰─○ d""",
    ),
    "branches": (
        "a b>a c>a d>b e>c f>d,e",
        """
●   a
├─● b
│ ● d
● │ c
● │ e
○─╯ f""",
    ),
    "the daily report": (
        "h p s j t>h,p,s,j r>t backup d>r,backup,t",
        """
◆─╮   h
◆─┤   p
◆─┤   s
◆─┤   j
●─╯   t
├─●   r
│ │ ● backup
○─┴─╯ d""",
    ),
    "a rail crossed": (
        "a b>a c>a,b x>c d>a e>d,b f>x,a",
        """
●       a
├───●   b
├───┼─● c
│   │ ● x
├───│─○ f
●   │   d
○───╯   e""",
    ),
    "no dependencies": ("a b x>b", "● b\n○ x\n○ a"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name: str) -> None:
    """Common shapes look as they should."""
    text, expected = PICTURES[name]
    assert picture(text) == expected.strip("\n")


def test_where_there_is_no_room_for_a_rail_names_take_its_place() -> None:
    """What could not be drawn is told by the line's `after`; nothing is lost."""
    text = "a w>a v>w x>a y>x p>a q>p z>v,y,q"
    assert (
        picture(text, 2)
        == """\
●      a
├─●    w
│ ●    v
├─│─●… x
│ │ ●… y
● │    p
● │    q
○─╯    z"""
    )
    lines = lay_out(graph_of(text), [], 2)
    assert [line.after for line in lines] == [(), (), (), (), (3,), (), (), (4,)]


def test_a_fold_takes_one_line() -> None:
    """Steps given as one fold stand in one line, joined to all that any of them is joined to."""
    graph = graph_of("a b>a c>a d>a e>b,c,d")
    assert lay_out(graph, [[1, 2, 3]], 4) == [
        Line((0,), "●"),
        Line((1, 2, 3), "●"),
        Line((4,), "○"),
    ]
