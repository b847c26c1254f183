"""The command `metrics`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.cli.main import run_command
from store.database import open_writer
from tests.store.filled import a_run


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a project that has one run, which failed."""
    (tmp_path / "pipelines").mkdir()
    database = open_writer(tmp_path / "var" / "runs.db")
    a_run(database, "failed", workflow="flow")
    database.close()
    monkeypatch.chdir(tmp_path)
    for name in ("ENGINE_STORE", "ENGINE_HOME", "ENGINE_PIPELINES"):
        monkeypatch.delenv(name, raising=False)


def test_metrics_are_written_whole_for_another_user(capsys: pytest.CaptureFixture[str]) -> None:
    """The file takes the old one's place, and holds what is printed otherwise."""
    Path("flow.prom").write_text("old", "utf-8")
    assert run_command(["metrics", "--output", "flow.prom"]) == 0
    assert capsys.readouterr() == ("", "")
    file = Path("flow.prom")
    assert file.stat().st_mode & 0o777 == 0o644
    assert run_command(["metrics"]) == 0
    assert capsys.readouterr().out == file.read_text("utf-8")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(file.read_text("utf-8"))
        for sample in family.samples
    }
    assert found["kahnban_last_run_status", "flow", "failed"] == 1
    assert found["kahnban_step_status", "flow", "a", "failed"] == 1
    assert [path.name for path in Path().glob("*.prom*")] == ["flow.prom"]


@pytest.mark.parametrize(
    ("output", "why"),
    [("pipe", "it is no file"), (".", "it is no file"), ("var/runs.db", "it is the store")],
)
def test_nothing_but_a_file_is_replaced(
    output: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A device such as /dev/null would become a file, and the store would be gone."""
    os.mkfifo("pipe")
    before = Path(output).stat()
    assert run_command(["metrics", "--output", output]) == 2
    assert capsys.readouterr().err.startswith(f"error: '{output}' cannot be written: {why}\n")
    assert Path(output).stat().st_ino == before.st_ino


def test_a_link_stays_one() -> None:
    """What it names is written."""
    Path("flow.prom").symlink_to("real.prom")
    assert run_command(["metrics", "--output", "flow.prom"]) == 0
    assert Path("flow.prom").is_symlink()
    assert Path("real.prom").read_text("utf-8").startswith("# HELP")


def test_no_folder_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    """A collector would not read it."""
    assert run_command(["metrics", "--output", "not/there.prom"]) == 2
    assert capsys.readouterr().err == (
        f"error: 'not/there.prom' cannot be written: there is no folder '{Path('not').resolve()}'\n"
        "hint: give a file in the folder that the collector reads\n"
    )
    assert not Path("not").exists()
