"""What is asked of a pause: by when it ends, and why it was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli.main import run_command
from tests.system.project import Project

SECRET = "sekret-0123456789"


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Give a project with a schedule, entered."""
    project = Project(tmp_path)
    project.write(
        "flow",
        'workflow = Workflow("flow", schedule="08:00", tz="America/Chicago")\n'
        'workflow.add(Step("one", shell("true")))',
    )
    project.home.mkdir()
    (project.home / "env").write_text(f"TOKEN={SECRET}\n")
    (project.home / "env").chmod(0o600)
    monkeypatch.chdir(project.root)
    return project


@pytest.mark.parametrize(
    ("until", "why"),
    [
        ("9999-12-31 23:59", "is too far away"),  # in UTC there is no such time
        ("9999-12-31T00:00-12:00", "is too far away"),
        ("0001-01-01", "is past"),
        ("2026-11-01 00:00", "is past"),
        ("tomorrow", "is no date"),
    ],
)
def test_an_end_that_cannot_be_is_refused(
    flow: Project, until: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is recorded: a date that could not be shown would break `list` for good."""
    assert run_command(["schedule", "pause", "flow", "--until", until]) == 2
    assert why in capsys.readouterr().err
    assert not flow.store.exists()


def test_a_reason_is_masked_before_it_is_cut(flow: Project) -> None:
    """A secret across the limit leaves none of its beginning."""
    assert run_command(["schedule", "pause", "flow", "--reason", "x" * 490 + SECRET]) == 0
    assert flow.rows("SELECT reason FROM pauses") == [("x" * 490 + "***",)]
