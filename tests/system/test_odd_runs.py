"""Runs asked for by names that no run has: refused before anything is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import Step, Workflow
from engine.errors import UsageError
from tests.system.project import Project

ODD = [
    "",
    " ",
    "0",
    "-1",
    "1.0",
    "1e0",
    "0x1",
    "+1",
    "\uff11",
    "1 ",
    "9" * 30,
    "x" * 300,
    "a\0b",
    "\ud800",
]
FLOW = 'workflow = Workflow("flow").add(Step("a", does("a")))'


@pytest.mark.parametrize("name", ODD)
def test_refused_by_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """`resume=` of a name that means no run raises, and leaves the one run there is."""
    monkeypatch.setenv("ENGINE_HOME", str(tmp_path))
    done: list[Any] = []
    workflow = Workflow("flow").add(Step("a", done.append))
    assert workflow.run()["run_id"] == 1
    with pytest.raises(UsageError, match=r"no run"):
        workflow.run(resume=name)
    assert workflow.run(fresh=True)["run_id"] == 2  # no number was used up
    assert len(done) == 2


def test_refused_by_the_command(project: Project) -> None:
    """`--resume` of a name that means no run exits 2, and no run is recorded."""
    project.write("flow", FLOW)
    assert project.run("run", "flow", "-q").code == 0
    result = project.run("run", "flow", "--resume=")
    assert result.code == 2
    assert "error: there is no run of a workflow ''" in result.err
    assert project.rows("SELECT id FROM runs") == [(1,)]
    assert project.effects() == ["a"]
