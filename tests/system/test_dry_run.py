"""The dry run: the plan, and not one byte changed anywhere."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from tests.system.project import CHECKOUT, Project, statuses


def snapshot(*folders: Path) -> dict[str, str]:
    """Hash, mode and time of everything below; SQLite's own files beside the store aside."""
    found = {}
    for folder in folders:
        for path in [folder, *sorted(folder.rglob("*"))]:
            if path.name.endswith(("-wal", "-shm")):
                continue
            status = path.lstat()
            data = path.read_bytes() if path.is_file() else b""
            when = status.st_mtime_ns if path.is_file() else 0  # SQLite's own files touch folders
            digest = hashlib.sha256(data).hexdigest()
            found[str(path)] = f"{oct(status.st_mode)} {when} {digest}"
    return found


@pytest.fixture
def engine_copy(tmp_path: Path) -> Path:
    """Give a copy of the program that has never been imported: it holds no bytecode."""
    copy = tmp_path / "program"
    for name in ("engine", "store", "migrations"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, copy / name, ignore=ignore)
    return copy


SOURCE = """
import helper
workflow = Workflow("flow"DRY).add(Step("a", helper.body)).add(
    Step("b", broken, depends_on=["a"], retries=0)
)
"""


@pytest.mark.parametrize("how", ["option", "definition", "quiet json", "scheduled"])
@pytest.mark.parametrize("store", [False, True])
def test_changes_not_one_byte(
    project: Project, engine_copy: Path, *, how: str, store: bool
) -> None:
    """A dry run changes nothing in project, home and program, with a store or without."""
    dry = how == "definition"
    when = ', schedule="daily"' if how == "scheduled" else ""
    (project.root / "helper.py").write_text("def body(ctx):\n    return 1\n")
    project.write("flow", SOURCE.replace("DRY", ""))
    if store:
        assert project.run("run", "flow", "-q").code == 1
        shutil.rmtree(project.root / "__pycache__")
        shutil.rmtree(project.root / "pipelines" / "__pycache__")
    project.write("flow", SOURCE.replace("DRY", ", dry_run=True" if dry else when))
    options = {
        "option": ["--dry-run"],
        "definition": [],
        "quiet json": ["-q", "--json", "--dry-run"],
        "scheduled": ["--scheduled", "--dry-run"],
    }[how]
    # Python compiles a package's own `__init__` before any of its code can say not to.
    first = ["run", "flow"] if dry else ["--help"]  # that it is dry is known once it is loaded
    assert project.run(*first, PYTHONPATH=str(engine_copy)).code == 0
    before = snapshot(project.root, engine_copy)
    result = project.run("run", "flow", *options, PYTHONPATH=str(engine_copy))
    assert result.code == 0, result.err
    assert snapshot(project.root, engine_copy) == before
    assert "run" in result.out


def test_broken_definition_from_a_timer_is_not_recorded(project: Project) -> None:
    """Also what --scheduled would record of a broken definition is left out of a dry run."""
    project.write("flow", "raise RuntimeError('torn')")
    before = snapshot(project.root)
    assert project.run("run", "flow", "--scheduled", "--dry-run").code == 2
    assert snapshot(project.root) == before


def test_plan_without_a_store(project: Project) -> None:
    """Before the first run every step would run, and conditions are told as such."""
    project.write(
        "flow",
        """
workflow = (
    Workflow("flow")
    .add(Step("a", does("a")))
    .add(Step("b", does("b"), depends_on=["a"], when=lambda ctx: True))
    .add(Step("c", does("c"), depends_on=["b"]))
    .add(Step("d", does("d"), depends_on=["a"], trigger_rule="one_failed"))
    .add(Step("e", does("e"), depends_on=["c", "d"], trigger_rule="all_done"))
)
""",
    )
    report = project.report("flow", "--dry-run")
    assert report["status"] == "dry-run"
    assert report["run_id"] is None
    assert report["dry_run"] is True
    assert set(statuses(report).values()) == {"dry-run"}
    assert {row["step"]: row["what"] for row in report["plan"]} == {
        "a": "would run",
        "b": "would run if its condition holds",
        "c": "would run if 'b' runs",
        "d": "would run if a dependency fails",
        "e": "would run",
    }
    assert project.effects() == []


def test_plan_after_a_failed_run(project: Project) -> None:
    """What is done is shown as cached, the rest with its reason and its usual duration."""
    project.chain()
    assert project.run("run", "flow", "-q").code == 1
    report = project.report("flow", "--dry-run")
    assert statuses(report) == {"fetch": "cached", "transform": "dry-run", "end": "dry-run"}
    assert [(row["what"], row["why"]) for row in report["plan"]] == [
        ("cached", "ok in run 1"),
        ("would run", "failed in run 1"),
        ("would run", "skipped in run 1 (dependency failed: transform)"),
    ]
    assert report["resumed_from"] == 1
    result = project.run("run", "flow", "--dry-run", "--fresh")
    assert result.out.startswith("dry run of flow: nothing is changed (asked for with --fresh)\n")
    assert "3 would run" in result.out
    plan = project.report("flow", "--dry-run", "--fresh")["plan"]
    assert plan[0]["expected_s"] > 0
    assert plan[1]["expected_s"] is None
    assert project.effects() == ["fetched", "transform"]


def test_what_cannot_be_asked_is_2(project: Project) -> None:
    """A dry run refuses what the run would refuse."""
    project.chain()
    assert project.run("run", "flow", "--dry-run", "--resume", "1").error == (
        "error: there is no run to resume in this store\nhint: run it anew\n"
    )
    assert project.run("run", "flow", "--dry-run", "--from", "end").code == 2
    assert project.run("run", "flow", "--dry-run", "--set", "x=1").code == 2
    assert not project.home.exists()


def test_a_file_that_a_crash_kept_from_its_place(project: Project) -> None:
    """The run puts it there and reuses the step; its plan says so, and moves nothing."""
    project.write(
        "flow",
        """
def writes(ctx):
    with ctx.output("out.txt") as file:
        file.write("text")

workflow = Workflow("flow").add(Step("a", writes)).add(Step("b", does("b"), depends_on=["a"]))
""",
    )
    assert project.run("run", "flow", KAHNBAN_FAILPOINTS="before-publish:kill").code == -9
    plan = project.run("run", "flow", "--dry-run", "--json")
    assert [step["note"] for step in plan.report["steps"]] == [
        "cached; ok in run 1",
        "would run; interrupted in run 1",
    ]
    assert not (project.root / "out.txt").exists()
    assert statuses(project.report("flow")) == {"a": "cached", "b": "ok"}
    assert (project.root / "out.txt").read_text() == "text"
