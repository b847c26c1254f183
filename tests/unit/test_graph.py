"""Kahn's order, cycles as paths of real edges, and what every topological sorter must do."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CycleError, DefinitionError
from engine.graph import Graph, build, order_steps
from engine.model import Step
from engine.model import graph_of as graph_of_steps
from engine.naming import did_you_mean
from tests.builders import graph_of, steps
from tests.checker import ancestors


def groups(graph: Graph) -> list[list[str]]:
    """Give the steps of each generation, in order."""
    found: list[list[str]] = [[] for _ in range(max(graph.generations, default=-1) + 1)]
    for step in graph.order:
        found[graph.generations[step]].append(graph.names[step])
    return found


def assert_is_real_cycle(path: Sequence[str], depends_on: Mapping[str, Iterable[str]]) -> None:
    """Hold that the path is closed, simple, and each part depends on the one before it."""
    assert path[0] == path[-1]
    assert len(set(path)) == len(path) - 1
    for up, down in pairwise(path):
        assert up in depends_on[down]


# -- groups and order -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b>a c>b", [["a"], ["b"], ["c"]]),
        ("a b>a c>a d>b,c", [["a"], ["b", "c"], ["d"]]),
        ("a b>a x y>x", [["a", "x"], ["b", "y"]]),
        ("d>b,c c>a b>a a", [["a"], ["c", "b"], ["d"]]),
        ("a b>a c>a,b", [["a"], ["b"], ["c"]]),
        ("a", [["a"]]),
        ("", []),
    ],
)
def test_groups_are_the_generations(text: str, expected: list[list[str]]) -> None:
    """A step's generation is the longest way to it; ties go by declaration order."""
    assert groups(graph_of(text)) == expected


def test_a_dependency_given_twice_counts_once() -> None:
    """The same name again adds no edge."""
    graph = graph_of_steps([Step("a", print), Step("b", print, ["a", "a", "a"])])
    assert [*graph.upstreams] == [(), (0,)]
    assert [*graph.downstreams] == [(1,), ()]
    assert order_steps({"b": ["a", "a"], "a": []}) == ["a", "b"]


def test_dependencies_come_from_any_iterable() -> None:
    """A generator that can be read once is enough, and an unknown name in it is still told."""
    assert order_steps({"b": (name for name in ["a"]), "a": iter(())}) == ["a", "b"]
    with pytest.raises(DefinitionError, match="depends on unknown step 'zzz'"):
        order_steps({"a": (name for name in ["zzz"])})


def test_declaration_order_changes_no_group() -> None:
    """Groups hold the same steps whichever way the steps are declared."""
    words = ["a", "b>a", "c>a", "d>b,c", "e>a", "f>d,e"]
    expected = [sorted(group) for group in groups(graph_of(" ".join(words)))]
    assert [sorted(g) for g in groups(graph_of(" ".join(reversed(words))))] == expected


def test_order_does_not_depend_on_the_hash_seed(root: Path) -> None:
    """Two processes with different string hashes order alike."""
    code = (
        "from engine import order_steps;"
        "print(order_steps({n: {'root', 'base'} for n in 'abcdefgh'} | {'root': (), 'base': ()}))"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert shown == {"['root', 'base', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']\n"}


def test_a_long_chain_orders() -> None:
    """Nothing recurses: 100,000 steps in a row."""
    count = 100_000
    names = [f"s{i}" for i in range(count)]
    graph = build(names, [[], *([name] for name in names[:-1])])
    assert [*graph.order] == [*range(count)]
    assert graph.generations[-1] == count - 1
    assert graph.remaining()[0] == count


def test_a_long_cycle_is_found() -> None:
    """Nor does the search for a cycle."""
    count = 100_000
    names = [f"s{i}" for i in range(count)]
    with pytest.raises(CycleError) as caught:
        build(names, [[names[-1]], *([name] for name in names[:-1])])
    assert caught.value.path == (*names, names[0])


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    """Draw a graph whose edges go forward in a hidden order, declared in another."""
    count = draw(st.integers(0, 12))
    edges = {
        f"s{i}": [f"s{up}" for up in draw(st.sets(st.integers(0, i - 1), max_size=3))] if i else []
        for i in range(count)
    }
    return {name: edges[name] for name in draw(st.permutations(list(edges)))}


@given(acyclic())
def test_upstreams_come_first(depends_on: dict[str, list[str]]) -> None:
    """Every step comes once, after all that it depends on."""
    order = order_steps(depends_on)
    assert sorted(order) == sorted(depends_on)
    for name, ups in depends_on.items():
        assert all(order.index(up) < order.index(name) for up in ups)


@given(acyclic(), st.data())
def test_any_cycle_is_one_of_real_edges(
    depends_on: dict[str, list[str]], data: st.DataObject
) -> None:
    """An edge back closes a cycle; the path told is closed and made of edges that are there."""
    order = order_steps(depends_on)
    if not order:
        return
    last = data.draw(st.integers(0, len(order) - 1))
    first = data.draw(st.integers(0, last))
    depends_on[order[first]] = [*depends_on[order[first]], order[last]]
    try:
        order_steps(depends_on)
    except CycleError as error:
        assert_is_real_cycle(error.path, {name: set(ups) for name, ups in depends_on.items()})
    else:
        assert order[first] not in ancestors(depends_on, order[last])


# -- cycles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a>a", "a -> a"),
        ("a>b b>a", "a -> b -> a"),
        ("a>c b>a c>b", "a -> b -> c -> a"),
        ("x y>x a>b b>a z>y", "a -> b -> a"),
        ("start a>start,c b>a c>b end>c", "a -> b -> c -> a"),
        ("waits>b b>c c>b", "b -> c -> b"),
        ("a>b b>a c>d d>c", "a -> b -> a"),
    ],
)
def test_a_cycle_is_told_as_a_closed_path(text: str, path: str) -> None:
    """Only steps of the cycle, upstream first, beginning with the one declared first."""
    with pytest.raises(CycleError) as caught:
        graph_of(text)
    assert str(caught.value) == f"dependency cycle: {path}"
    assert caught.value.hint == "take one of these dependencies out"


def test_a_long_cycle_is_cut() -> None:
    """Its beginning and its end are told, the rest counted; the path is whole."""
    count = 1_000
    with pytest.raises(CycleError) as caught:
        build([f"s{i}" for i in range(count)], [[f"s{(i - 1) % count}"] for i in range(count)])
    assert len(caught.value.path) == count + 1
    assert str(caught.value).startswith("dependency cycle: s0 -> s1 -> s2 -> ")
    assert str(caught.value).endswith(" -> s48 -> … (951 more) -> s0")


# -- what is refused ------------------------------------------------------------------------------


def test_unknown_and_duplicate_names_are_told_in_one_go() -> None:
    """All faults of a definition at once, with the name that was probably meant."""
    with pytest.raises(DefinitionError) as caught:
        build(["fetch", "load", "load"], [[], ["fetsh"], ["qqq"]])
    told = [str(fault) for fault in caught.value.faults]
    assert told == [
        "two steps are named 'load'",
        "step 'load' depends on unknown step 'fetsh' (did you mean 'fetch'?)",
        "step 'load' depends on unknown step 'qqq'",
    ]
    assert str(caught.value) == "; ".join(told)


def test_a_flood_of_faults_is_cut() -> None:
    """Twenty are shown and the rest counted; all are kept."""
    with pytest.raises(DefinitionError) as caught:
        build([f"step{i}" for i in range(2000)], [[f"stap{i}"] for i in range(2000)])
    assert len(caught.value.faults) == 2000
    assert str(caught.value).endswith("; and 1980 more")
    assert str(caught.value).count("did you mean") == 20


def test_many_faults_are_complained_of_in_few_lines() -> None:
    """The first fifty one by one, what is left by its number; their common hint is told once."""
    with pytest.raises(DefinitionError) as caught:
        build([f"step{i}" for i in range(2000)], [["qqq"]] * 2000)
    told = caught.value.complaints()
    assert [message for message, _ in told[49:]] == [
        "step 'step49' depends on unknown step 'qqq'",
        "and 1950 more",
    ]
    assert [hint for _, hint in told if hint] == [caught.value.hint]
    assert told[-1][1] == caught.value.hint


def test_among_very_many_names_none_is_guessed() -> None:
    """To look through 100,001 for the nearest takes longer than it helps."""
    names = [f"step{i}" for i in range(100_001)]
    with pytest.raises(DefinitionError) as caught:
        build(names, [["stepp1"], *[()] * 100_000])
    assert str(caught.value) == "step 'step0' depends on unknown step 'stepp1'"
    assert did_you_mean("stepp1", names) == ""
    assert did_you_mean("STEP1", names) == "did you mean 'step1'?"


def test_a_text_is_no_list_of_names() -> None:
    """`depends_on="fetch"` is told, not taken letter by letter."""
    with pytest.raises(ValueError, match="step 'b': depends_on is the text 'a'") as caught:
        order_steps({"a": [], "b": "a"})
    assert getattr(caught.value, "hint", "") == "write ['a']"


def test_an_unhashable_name_is_a_type_error() -> None:
    """A list among the names is refused at once."""
    with pytest.raises(TypeError, match="unhashable"):
        order_steps({"a": [["b"]]})


def test_a_name_that_is_no_text_is_unknown() -> None:
    """A number among the names of steps is an unknown step."""
    with pytest.raises(DefinitionError, match="step 'a' depends on unknown step '3'"):
        order_steps({"a": [3]})


def test_order_steps_takes_steps_too() -> None:
    """Values may be `Step`s; a missing dependency is a `ValueError`."""
    made = {step.name: step for step in steps("c>b a b>a")}
    assert order_steps(made) == ["a", "b", "c"]
    assert order_steps({}) == []
    with pytest.raises(ValueError, match="depends on unknown step 'a'"):
        order_steps({"b": ["a"]})


# -- what hangs on what ---------------------------------------------------------------------------


def test_remaining_is_the_longest_way_to_an_end() -> None:
    """Counted in steps, the first included."""
    graph = graph_of("a b>a c>b d>a")
    assert graph.remaining() == [3, 2, 1, 1]


# -- real graphs ----------------------------------------------------------------------------------


def real(shared: Path, name: str) -> Any:
    """Read a real graph."""
    path = shared / "data" / "graphs" / name
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return json.loads(data)


def depends_on_of(tasks: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Give each task's dependencies by name."""
    return {task["name"]: task["deps"] for task in tasks}


def test_a_package_graph_without_cycles(shared: Path) -> None:
    """With each cycle merged it orders, thirty deep."""
    depends_on = depends_on_of(real(shared, "debian-closure-condensed.json.gz")["tasks"])
    expected = real(shared, "debian-closure-answers.json")["condensed"]
    graph = build(list(depends_on), list(depends_on.values()))
    sizes = [len(group) for group in groups(graph)]
    assert (len(graph.names), len(sizes), max(sizes)) == (
        expected["tasks"],
        expected["depth"],
        expected["width"],
    )
    assert sum(map(len, graph.upstreams)) == expected["edges"]


@pytest.mark.parametrize(
    ("name", "key"),
    [("github-actions-structures.json", "workflows"), ("airflow-example-dags.json", "dags")],
)
def test_workflows_of_others_order(shared: Path, name: str, key: str) -> None:
    """Twenty real workflows of each kind put every task after its dependencies."""
    found = real(shared, name)[key]
    assert len(found) == 20
    for workflow in found:
        tasks = workflow.get("tasks") or workflow.get("jobs")
        depends_on = depends_on_of(tasks)
        order = {task: place for place, task in enumerate(order_steps(depends_on))}
        assert len(order) == len(tasks)
        assert all(order[up] < order[task] for task, ups in depends_on.items() for up in ups)
