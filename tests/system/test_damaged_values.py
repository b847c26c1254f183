"""A byte of a stored value is flipped on the disk: it is found before anything builds on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

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
    told = "run 1, step 'fetch': the value 'fetch' is damaged\n"
    saved = project.run("db", "backup", "saved.db")
    assert (saved.code, saved.err) == (3, told)
    restored = project.run("db", "restore", "saved.db")
    assert (restored.code, restored.err) == (0, told)
    assert project.effects() == ["fetched", "transform", "fetched", "transform", "fetched!"]


@pytest.fixture
def url(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name the store for runs within this process."""
    monkeypatch.chdir(project.root)
    return f"sqlite:///{project.store}"


def change(project: Project, *statements: str) -> None:
    """Change the store behind the engine's back."""
    raw = sqlite3.connect(project.store)
    for statement in statements:
        raw.execute(statement)
    raw.commit()
    raw.close()


def broken(_: object) -> None:
    """Do what goes wrong."""
    raise ValueError("no luck")


def test_a_value_damaged_in_mid_run_fails_its_reader(project: Project, url: str) -> None:
    """A step never gets a value other than the one that was written."""

    def flow(damage: Callable[[object], None]) -> Workflow:
        return (
            Workflow("flow")
            .add(Step("fetch", lambda _: "fetched"))
            .add(Step("damage", damage, depends_on=["fetch"], retries=0))
            .add(Step("late", lambda ctx: ctx["fetch"], depends_on=["damage"], retries=0))
        )

    assert flow(broken).run(store=url)["status"] == "failed"  # so that `fetch` is cached
    update = "UPDATE output_rows SET data = x'22ff22'"
    report = flow(lambda _: change(project, update)).run(store=url)
    assert statuses(report) == {"fetch": "cached", "damage": "ok", "late": "failed"}
    assert "is damaged: its sha256 does not match" in report["steps"][2]["error"]


def test_a_pruned_runs_values_are_made_again(project: Project, url: str) -> None:
    """A run whose values were let go can be gone on from; nothing is served from it."""
    first = Step("fetch", lambda _: "fetched")
    Workflow("flow").add(first).add(Step("b", broken, depends_on=["fetch"], retries=0)).run(
        store=url
    )
    change(project, "DELETE FROM output_rows", "UPDATE run_rows SET pruned_at = finished_at")
    then = Step("b", lambda ctx: ctx["fetch"], depends_on=["fetch"])
    report = Workflow("flow").add(first).add(then).run(store=url)
    assert statuses(report) == {"fetch": "ok", "b": "ok"}
    assert notes(report)["fetch"] == "redone: its values were pruned"


def test_a_damaged_initial_context_is_no_ground_to_go_on(project: Project, url: str) -> None:
    """No step can make it again, so the run is refused, and says how to start anew."""
    workflow = Workflow("flow").add(Step("a", broken, retries=0))
    workflow.run({"start": 1}, store=url)
    change(project, "UPDATE output_rows SET data = x'32'")
    with pytest.raises(StoreError) as caught:
        workflow.run({"start": 1}, store=url)
    assert caught.value.message == (
        "run 1 cannot be continued: of its initial context, its stored value 'start' is damaged"
    )
    assert workflow.run({"start": 1}, store=url, fresh=True)["run_id"] == 2
