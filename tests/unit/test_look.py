"""What the commands that look are asked for."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.cli import look
from engine.cli.main import run_command
from engine.errors import UsageError
from store.database import open_writer
from tests.store.filled import a_run

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("7d", "2026-11-17T08:00:00"),
        ("12h", "2026-11-23T20:00:00"),
        ("99999999999999999999d", "0001-01-01T00:00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00"),
        ("0500-01-01T00:00:00Z", "0500-01-01T00:00:00"),
        ("2038-01-19T04:14:08+01:00", "2038-01-19T03:14:08"),
        ("9999-12-31T23:59:59+14:00", "9999-12-31T09:59:59"),
    ],
)
def test_since(since: str, expected: str) -> None:
    """An age or a moment of any year, as the store's texts say it in UTC."""
    assert look._since(since, NOW) == expected


@pytest.mark.parametrize(
    "since",
    [
        *("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"),
        *("2016-12-31T23:59:60Z", "2026-02-29", "-1d", "7", "x", "9" * 5_000 + "d"),
    ],
)
def test_since_when(since: str) -> None:
    """What is no moment, or one of no year there is, is refused."""
    with pytest.raises(UsageError) as caught:
        look._since(since, NOW)
    assert caught.value.message == f"--since {since!r} is neither an age nor a date"


def test_a_file_is_named_as_it_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a terminal opens it; what is no file is said to be none, and never read."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds the project's root
    for name in ("pipelines", "drafts", "empty"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "drafts")
    Path("a.yaml").write_text("steps: []\n")
    Path("b.py").write_text("workflow = 1 / 0\n")
    Path("c.py").write_text("workflow = (\n")
    os.mkfifo("d.yaml")
    names = ["../drafts/a.yaml", "b.py", "../drafts/c.py", "d.yaml", "../empty", ""]
    assert run_command(["check", *names, "--pipelines", str(tmp_path / "pipelines")]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert told == [
        "error: ../drafts/a.yaml:1:1: steps is empty",
        "error: b.py:1: ZeroDivisionError: division by zero",
        "error: ../drafts/c.py:1: SyntaxError: '(' was never closed",
        "error: 'd.yaml' is no plain file",
        "error: there is no workflow in '../empty'",
        "error: workflow name '' is empty",
    ]


def test_a_limit_beyond_all_counting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that SQLite has no room for is as good as no limit."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds the project's root
    database = open_writer(tmp_path / "runs.db")
    a_run(database)
    database.close()
    store = f"sqlite:///{tmp_path}/runs.db"
    words = ["history", "--json", "--limit", "9" * 30, "--store", store]
    assert run_command([*words, "--pipelines", str(tmp_path)]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
