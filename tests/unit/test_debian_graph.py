"""A thousand real packages with six cycles among them: what is told of each is true and in time."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from time import process_time  # noqa: TID251 - what is asked of the search is an end in time
from typing import Any

import pytest
import yaml

from engine.definitions import load_file
from engine.errors import CycleError, DefinitionError
from engine.graph import Graph, build
from engine.model import Definition, Step
from engine.reports.drawing import drawing
from engine.reports.step_words import words_of
from tests.builders import nothing
from tests.foreign import legal

Packages = dict[str, list[str]]


def real(shared: Path, name: str) -> Any:
    """Read one of the files on the packages."""
    data = (shared / "data" / "graphs" / f"debian-closure-{name}").read_bytes()
    return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)


def packages(shared: Path, name: str) -> Packages:
    """Give what each package depends on, under names that are legal here."""
    found = {
        legal(task["name"]): [legal(up) for up in task["deps"]]
        for task in real(shared, f"{name}.json.gz")["tasks"]
    }
    assert len(found) == len(real(shared, f"{name}.json.gz")["tasks"]), "two names became one"
    return found


def cyclic_sets(shared: Path) -> list[set[str]]:
    """Give the sets of packages that depend on each other, as others have found them."""
    return [set(map(legal, names)) for names in real(shared, "answers.json")["all_scc"]]


def built(depends_on: Mapping[str, list[str]]) -> Graph:
    """Build the graph."""
    return build(list(depends_on), list(depends_on.values()))


def written(folder: Path, depends_on: Packages) -> Path:
    """Write the packages as a workflow in YAML."""
    steps = [
        {"name": name, "command": "true", "depends_on": ups} for name, ups in depends_on.items()
    ]
    path = folder / "debian.yaml"
    path.write_text(yaml.dump({"steps": steps}, Dumper=yaml.CSafeDumper, sort_keys=False))
    return path


def assert_is_cycle(path: tuple[str, ...], depends_on: Packages, sets: list[set[str]]) -> None:
    """Hold that the path is closed, simple, of real edges, and within one set of the answers."""
    assert path[0] == path[-1]
    assert len(set(path)) == len(path) - 1
    assert all(up in depends_on[down] for up, down in pairwise(path))
    assert len([one for one in sets if set(path) <= one]) == 1


def test_every_cycle_is_told_until_there_is_none(shared: Path) -> None:
    """With each cycle told broken in one place, the next is told; in the end the graph orders."""
    depends_on = packages(shared, "cyclic")
    sets = cyclic_sets(shared)
    met: list[tuple[str, ...]] = []
    begun = process_time()
    while True:
        try:
            graph = built(depends_on)
        except CycleError as error:
            assert_is_cycle(error.path, depends_on, sets)
            met.append(error.path)
            depends_on[error.path[-1]].remove(error.path[-2])
            continue
        break
    assert process_time() - begun < 2
    assert len(graph.order) == len(depends_on) == 1074
    assert all(any(set(path) <= one for path in met) for one in sets), "a cycle was never told"
    assert len(met) == len(set(met))


def test_what_waits_for_a_cycle_is_not_told(shared: Path) -> None:
    """Of 843 packages that can never be ready, 813 only wait: none of them is named."""
    depends_on = packages(shared, "cyclic")
    cyclic = set().union(*cyclic_sets(shared))
    answers = real(shared, "answers.json")
    assert answers["nodes_never_ready_under_kahn"] - len(cyclic) == 813
    with pytest.raises(CycleError) as caught:
        built(depends_on)
    assert set(caught.value.path) <= cyclic


def test_through_yaml(shared: Path, tmp_path: Path) -> None:
    """The same cycle is among those told of a file; with cycles merged it loads."""
    depends_on = packages(shared, "cyclic")
    with pytest.raises(CycleError) as wanted:
        built(depends_on)
    path = written(tmp_path, depends_on)
    with pytest.raises(DefinitionError) as caught:
        load_file(path)
    told = "dependency cycle: " + " -> ".join(wanted.value.path)
    fault = next(fault for fault in caught.value.faults if fault.message == told)
    assert fault.line
    line = path.read_text().splitlines()[fault.line - 1]
    assert line.split()[0] == "depends_on:"
    condensed = packages(shared, "condensed")
    made = load_file(written(tmp_path, condensed))
    assert {step.name: list(step.depends_on) for step in made.steps} == condensed


def test_the_merged_graph_can_be_drawn(shared: Path) -> None:
    """1,050 packages in thirty generations: the drawing has an end, and fits."""
    depends_on = packages(shared, "condensed")
    steps = tuple(Step(name, nothing, ups) for name, ups in depends_on.items())
    text = drawing(words_of(Definition("debian", steps), str), built(depends_on))
    lines = text.splitlines()
    assert len(lines) == 204
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("1050 steps, the longest path has 30; ")
