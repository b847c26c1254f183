"""A byte of a stored value is flipped on the disk: it is found before anything builds on it."""

from __future__ import annotations

import sqlite3

import pytest

from engine import Step, Workflow
from engine.errors import StoreError
from tests.system.project import Project, notes, statuses

VALUE = b'"fetched"'


def flip(project: Project) -> None:
    """Flip one bit of the value of `fetch`, in the file itself."""
    whole = project.store.read_bytes()
    assert whole.count(VALUE) == 1
    project.store.write_bytes(whole.replace(VALUE, b'"fetchfd"'))


def test_a_damaged_value_is_made_again(project: Project) -> None:
    """Verify names it, the run says so, its step and all after it run again."""
    project.chain()
    assert project.run("run", "flow").code == 1
    flip(project)
    (project.root / "go").touch()
    checked = project.run("db", "verify")
    assert checked.code == 3
    assert "fault: run 1, step 'fetch': the value 'fetch' is damaged" in checked.out
    assert checked.out.endswith("\n1 fault\n")
    why = "its stored value 'fetch' is damaged"
    report = project.report("flow")
    assert statuses(report) == {"fetch": "ok", "transform": "ok", "end": "ok"}
    assert notes(report)["fetch"] == f"redone: {why}"
    checked = project.run("db", "verify", "--json")
    assert (checked.code, checked.report["faults"]) == (3, 1)  # it is still there, in run 1
    assert project.effects() == ["fetched", "transform", "fetched", "transform", "fetched!"]


def test_a_value_damaged_in_mid_run_fails_its_reader(project: Project) -> None:
    """A step never gets a value other than the one that was written."""
    project.chain()
    assert project.run("run", "flow").code == 1
    source = project.root / "pipelines" / "flow.py"
    damage = """
def damage(ctx):
    import sqlite3
    raw = sqlite3.connect("var/runs.db")
    raw.execute("UPDATE output_rows SET data = x'22ff22'")
    raw.commit()

workflow.add(Step("damage", damage))
workflow.add(Step("late", lambda ctx: ctx["fetch"], depends_on=["fetch", "damage"], retries=0))
"""
    (project.root / "go").touch()
    source.write_text(source.read_text() + damage)
    report = project.report("flow", code=1)
    late = next(step for step in report["steps"] if step["name"] == "late")
    assert late["status"] == "failed"
    assert "is damaged: its sha256 does not match" in late["error"]


def test_a_pruned_runs_values_are_made_again(project: Project) -> None:
    """A run whose values were let go can be gone on from; nothing is served from it."""
    project.chain()
    assert project.run("run", "flow").code == 1
    raw = sqlite3.connect(project.store)
    raw.execute("DELETE FROM output_rows")
    raw.execute("UPDATE run_rows SET pruned_at = finished_at")
    raw.commit()
    raw.close()
    (project.root / "go").touch()
    report = project.report("flow")
    assert notes(report)["fetch"] == "redone: its values were pruned"


def test_a_damaged_initial_context_is_no_ground_to_go_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step can make it again, so the run is refused, and says how to start anew."""

    def broken(_: object) -> None:
        raise ValueError

    monkeypatch.chdir(project.root)
    url = f"sqlite:///{project.store}"
    workflow = Workflow("flow").add(Step("a", broken, retries=0))
    workflow.run({"start": 1}, store=url)
    raw = sqlite3.connect(project.store)
    raw.execute("UPDATE output_rows SET data = x'32'")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError) as caught:
        workflow.run({"start": 1}, store=url)
    assert caught.value.message == (
        "run 1 cannot be continued: of its initial context, its stored value 'start' is damaged"
    )
    assert workflow.run({"start": 1}, store=url, fresh=True)["run_id"] == 2
