"""The standard library's own tests of topological sorting, run on our graph."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine import graph
from tests import graphlib_adapter

RUN_THEM = """
import sys, unittest
sys.path.insert(0, sys.argv[1])
import tests.graphlib_adapter
sys.modules["graphlib"] = tests.graphlib_adapter
unittest.main("test.test_graphlib", argv=["graphlib"])
"""


def test_pythons_own_tests_pass(root: Path) -> None:
    """All tests that come with this Python for `graphlib`, not one of them copied."""
    if find_spec("test") is None or find_spec("test.test_graphlib") is None:
        pytest.skip("this Python comes without its tests (on Debian: libpython3-testsuite)")
    done = subprocess.run(
        [sys.executable, "-c", RUN_THEM, str(root)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    ran = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert ran
    assert int(ran[1]) >= 14


def test_the_adapter_asks_our_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in our order, or in our search for cycles, shows through it."""
    sorter = graphlib_adapter.TopologicalSorter({"b": ["a"], "c": ["b"], "a": ["c"]})
    with pytest.raises(graphlib_adapter.CycleError) as caught:
        sorter.prepare()
    assert caught.value.args[1] == ["b", "c", "a", "b"]
    monkeypatch.setattr(graph, "_cycle", lambda *_: [2, 1])
    with pytest.raises(graphlib_adapter.CycleError) as caught:
        sorter.prepare()
    assert caught.value.args[1] == ["c", "a"]


def test_what_their_tests_leave_open() -> None:
    """Nothing is added later, done twice, or done before it was handed out."""
    sorter = graphlib_adapter.TopologicalSorter({"b": ["a"]})
    assert [*graphlib_adapter.TopologicalSorter({"b": ["a"]}).static_order()] == ["a", "b"]
    sorter.prepare()
    assert bool(sorter)
    with pytest.raises(ValueError, match="Nodes cannot be added after"):
        sorter.add("c")
    with pytest.raises(ValueError, match="node 'a' was not passed out"):
        sorter.done("a")
    assert sorter.get_ready() == ("a",)
    sorter.done("a")
    with pytest.raises(ValueError, match="node 'a' was already marked done"):
        sorter.done("a")
