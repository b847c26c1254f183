"""What pages are made of: escaping, words, colours, and where things are drawn."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
import re
from itertools import pairwise

import pytest

from engine import graph
from engine.reports.html.collapse import EDGES_MAX, LAYERS_MAX, NODES_MAX, label, nodes_of, stem
from engine.reports.html.critical import Link, critical_path
from engine.reports.html.lanes import Bar, lanes, merged
from engine.reports.html.layout import document, policy
from engine.reports.html.markup import Html, joined, lines
from engine.reports.html.placing import place
from engine.reports.html.style import SCRIPT, STYLE
from engine.reports.html.timeline import axis_of
from engine.reports.html.words import against, badge, clock_time, times
from tests.builders import graph_of
from tests.conftest import ROOT
from tests.pages import START, ZERO, attempt

HTML = ROOT / "engine" / "reports" / "html"

# -- text -----------------------------------------------------------------------------------------


def test_all_that_is_formatted_in_is_escaped_and_shown() -> None:
    """Markup, quotes, hidden marks and line breaks show as what they are; HTML stays, once."""
    text = "<script>alert('1')</script>\"&\u202e\n"
    shown = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&#34;&amp;\\u202e\\x0a"
    assert Html('<b title="{}">{x}</b>').format(text, x=text) == f'<b title="{shown}">{shown}</b>'
    assert joined([Html("<i></i>"), "<"], ", ") == "<i></i>, &lt;"
    assert Html("{:,} {:.1f} {}").format(1234, 0.25, None) == "1,234 0.2 None"
    assert str(Html("{}").format(Html("<i>{}</i>").format("a&b"))) == "<i>a&amp;b</i>"


def test_lines_keep_their_breaks_and_the_last_ones_are_kept() -> None:
    """Of many lines the end is shown, with how many there were before."""
    assert lines("a\r\n\tb<\n\n") == "a\n    b&lt;"
    assert lines("1\n2\n3\n4", 2) == "… 2 lines before\n3\n4"


def test_words_stand_beside_colours() -> None:
    """A status has a sign and a word; a duration is told against the usual one."""
    assert badge("backing_off") == (
        '<span class="badge s-backing_off"><i aria-hidden="true">⏱\ufe0e</i> backing off</span>'
    )
    assert badge("timed_out") == (
        '<span class="badge s-failed"><i aria-hidden="true">✗</i> timed out</span>'
    )
    assert badge("<x>") == (
        '<span class="badge s-unknown"><i aria-hidden="true">?</i> &lt;x&gt;</span>'
    )
    assert against(84, 40) == "2.1 × its usual 40.0s"
    assert against(41, 40) == "its usual 40.0s"
    assert against(5, None) == ""
    assert [times(ratio) for ratio in (0.454, 31.4, float("inf"))] == ["0.45 ×", "31 ×", "–"]
    assert clock_time("2011-11-14T08:00:00.250Z", START.tzinfo) == (
        '<time datetime="2011-11-14T08:00:00.250Z">2011-11-14 08:00:00 UTC</time>'
    )
    assert clock_time("<no time>") == "&lt;no time&gt;"


# -- the document ---------------------------------------------------------------------------------


def test_a_document_allows_its_own_style_and_script_alone() -> None:
    """The policy names both by their hashes; without a script it allows none."""
    page = document("<a> & b", Html("<p>hello</p>"))
    assert "<title>&lt;a&gt; &amp; b</title>" in page
    assert f'content="{Html.escape(policy())}"' in page
    assert re.findall(r"([a-z-]+)-src '(none|sha256)", policy()) == [
        ("default", "none"),
        ("style", "sha256"),
        ("script", "sha256"),
    ]
    assert "script" not in document("t", Html(), script="")
    assert "http" not in page.replace("http-equiv", "")


def test_the_script_is_short() -> None:
    """There are at most 50 lines of it, and nothing in them makes markup of text."""
    assert len((HTML / "page.js").read_text("utf-8").splitlines()) <= 50
    assert "//" not in SCRIPT
    for word in ("innerHTML", "insertAdjacentHTML", "eval", "fetch", "document.write"):
        assert word not in SCRIPT


def _light(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * char for char in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_text_stands_out(scheme: int) -> None:
    """On each ground text has a contrast of 4.5 at least, by light and by dark."""
    pairs = re.findall(r"([\w-]+):light-dark\((#\w+),(#\w+)\)", STYLE)
    colours = [(name, pair[scheme]) for name, *pair in pairs]
    grounds = [colour for name, colour in colours if name in ("--bg", "--card", "--faint")]
    texts = [colour for name, colour in colours if name in ("--c", "--ink", "--soft", "--link")]
    assert (len(grounds), len(texts)) == (3, 11)
    for ground in grounds:
        for text in texts:
            low, high = sorted([_light(ground), _light(text)])
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


# -- which steps share a node ---------------------------------------------------------------------


def _graph(edges: dict[str, list[str]]) -> graph.Graph:
    return graph.build(list(edges), list(edges.values()))


def test_few_steps_have_a_node_each() -> None:
    """Nothing is put together in a graph that can be looked at."""
    nodes = nodes_of(graph_of("a b>a c>a d>b,c"))
    assert nodes.steps == [(0,), (1,), (2,), (3,)]
    assert list(nodes.layers) == [0, 1, 1, 2]
    assert nodes.upstreams == [(), (0,), (0,), (1, 2)]


def test_a_fan_out_of_like_steps_is_one_node() -> None:
    """Steps with the same upstreams and downstreams share a node; the others keep theirs."""
    fan = {f"load_{at}": ["begin"] for at in range(300)}
    nodes = nodes_of(_graph({"begin": [], **fan, "end": list(fan)}))
    assert nodes.steps == [(0,), tuple(range(1, 301)), (301,)]
    assert nodes.upstreams == [(), (0,), (1,)]


def test_lines_side_by_side_are_put_together_by_their_names() -> None:
    """Where no two have the same upstreams, those of a layer that are named alike share a node."""
    edges: dict[str, list[str]] = {}
    for at in range(150):
        edges |= {f"fetch_{at}": [], f"parse_{at}": [f"fetch_{at}"]}
    nodes = nodes_of(_graph(edges))
    assert [len(steps) for steps in nodes.steps] == [150, 150]
    assert nodes.upstreams == [(), (0,)]


def test_any_graph_comes_down_to_what_can_be_looked_at() -> None:
    """Long chains, and layers of which no two steps are alike, are drawn by layers."""
    chain = {f"s{at}": [f"s{at - 1}"] if at else [] for at in range(1000)}
    nodes = nodes_of(_graph(chain))
    assert [len(steps) for steps in nodes.steps] == [25] * 40
    assert nodes.upstreams[:3] == [(), (0,), (1,)]
    draw = random.Random(3)
    odd: dict[str, list[str]] = {}
    for at in range(1000):
        above = [f"{one % 97}x{one}y" for one in range(at // 50 * 50 - 50, at // 50 * 50)]
        odd[f"{at % 97}x{at}y"] = draw.sample(above, 3) if at >= 50 else []
    nodes = nodes_of(_graph(odd))
    assert [len(steps) for steps in nodes.steps] == [50] * 20
    assert len(nodes.steps) <= NODES_MAX
    assert nodes.edges <= EDGES_MAX
    assert max(nodes.layers) < LAYERS_MAX


def test_a_node_is_named_by_what_its_steps_have_in_common() -> None:
    """How the names begin tells the node; without that, the first of them."""
    assert label(["load_12"]) == "load_12"
    assert label(["load_12", "load_13", "load_1"]) == "load_*"
    assert label(["eggs", "ham"]) == "eggs …"
    assert [stem("load_12"), stem("v2"), stem("2011-11")] == ["load", "v", "2011-11"]


# -- where nodes stand ----------------------------------------------------------------------------


def test_a_diamond_is_drawn_as_one() -> None:
    """What is joined to two stands in the middle of them."""
    placed = place([0, 1, 1, 2], [(), (0,), (0,), (1, 2)], 50, 10)
    assert placed.nodes == [50, 25, 75, 50]
    assert placed.height == 100
    assert placed.bends == {(0, 1): [], (0, 2): [], (1, 3): [], (2, 3): []}


def test_an_edge_passes_beside_what_is_between() -> None:
    """A long edge bends around the steps of the layers that it passes."""
    placed = place([0, 1, 2], [(), (0,), (1, 0)], 50, 10)
    (bend,) = placed.bends[0, 2]
    assert abs(bend - placed.nodes[1]) >= 30


def test_nothing_stands_on_another() -> None:
    """Whatever the graph, nodes of a layer keep their distance; equal graphs are drawn equal."""
    draw = random.Random(5)
    for _ in range(20):
        layers = sorted(draw.choices(range(5), k=30))
        ups = [
            tuple({up for up in draw.choices(range(30), k=2) if layers[up] < layer})
            for layer in layers
        ]
        placed = place(layers, ups, 50, 10)
        assert placed == place(layers, ups, 50, 10)
        for layer in set(layers):
            row = sorted(placed.nodes[at] for at in range(30) if layers[at] == layer)
            assert all(low + 49.99 <= high for low, high in pairwise(row))
            assert row[0] >= 24.99
            assert row[-1] <= placed.height - 24.99


# -- time -----------------------------------------------------------------------------------------


def test_axes_have_round_ticks() -> None:
    """Two to six ticks, each a round number of a unit, hold the whole run."""
    found = {length: axis_of(0.0, length)[1:] for length in (0.0004, 0.7, 5, 47, 300, 5000, 1e6)}
    assert found == {
        0.0004: (0.0002, 5),
        0.7: (pytest.approx(0.2), 4),
        5: (1, 5),
        47: (10, 5),
        300: (60, 5),
        5000: (900, 6),
        1e6: (172_800, 6),
    }
    axis = axis_of(100.0, 147.0)
    assert [axis.share(at) for at in (100, 125, 150, 90, 999)] == [0, 50, 100, 0, 100]


def test_lanes_are_filled_from_the_top() -> None:
    """An attempt takes the first lane that is free when it begins."""
    tries = [attempt(0, 0, 4), attempt(1, 0, 1), attempt(2, 1, 2), attempt(3, 3, 5)]
    tries += [attempt(4, 3.5, None), attempt(5, 6, 7)]
    found = lanes(tries, ZERO + 8)
    assert [[one.step for one in lane] for lane in found] == [[0, 5], [1, 2, 3], [4]]


def test_short_bars_are_put_together_by_outcome() -> None:
    """What cannot be seen apart is one bar, unless it ended otherwise."""
    lane = [attempt(at, at / 10, at / 10 + 0.09) for at in range(4)]
    lane += [attempt(4, 0.4, 0.45, "failed"), attempt(5, 3, 4), attempt(6, 4, 5)]
    found = [
        Bar(round(bar.start - ZERO, 2), round(bar.end - ZERO, 2), *bar[2:])
        for bar in merged(lane, ZERO + 5, 0.1)
    ]
    assert found == [
        Bar(0, 0.39, "ok", 0, 4),
        Bar(0.4, 0.45, "failed", 4, 1),
        Bar(3, 4, "ok", 5, 1),
        Bar(4, 5, "ok", 6, 1),
    ]


def test_the_critical_path_goes_through_what_ended_last() -> None:
    """It walks back from the last end, by the upstream that ended last, retries included."""
    tries = [attempt(0, 0, 1), attempt(1, 0, 1, "failed", retry=3), attempt(1, 3, 4, number=2)]
    tries += [attempt(2, 4, 6), attempt(3, 1, 2)]
    path = critical_path(tries, graph_of("a b c>a,b d>a"), 4, (ZERO, ZERO + 6))
    assert path == [Link(1, "start", 0.0), Link(2, "upstream", 0.0)]


def test_the_critical_path_goes_through_a_busy_worker() -> None:
    """A step that was ready, but for a worker, comes after the one whose end made room for it."""
    tries = [attempt(0, 0, 1), attempt(1, 1, 5), attempt(2, 5, 9)]
    order = graph_of("a b>a c>a")
    busy = [Link(0, "start", 0.0), Link(1, "upstream", 0.0), Link(2, "worker", 0.0)]
    assert critical_path(tries, order, 1, (ZERO, ZERO + 9)) == busy
    idle = [Link(0, "start", 0.0), Link(2, "upstream", 4.0)]
    assert critical_path(tries, order, 4, (ZERO, ZERO + 9)) == idle
    assert critical_path([], order, 4, (ZERO, ZERO)) == []
