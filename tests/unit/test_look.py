"""What the commands that look are asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.cli import look
from engine.cli.main import run_command
from engine.errors import UsageError
from engine.session import reporting
from store.database import open_writer
from tests.store.filled import a_run, begun, did, end, settle

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


# -- of a big run ---------------------------------------------------------------------------------


@pytest.fixture
def big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Give a look at a run of twelve steps that is big by what is set: what a command prints."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds the project's root
    monkeypatch.setattr(reporting, "PAGED_FROM", 3)
    monkeypatch.setenv("COLUMNS", "80")
    database = open_writer(tmp_path / "runs.db")
    journal = begun(database, " ".join(f"s{at}" for at in range(12)))
    for step in range(8):
        did(journal, step, took=step + 1.0)
    did(journal, 8, outcomes="failed ok", took=0.5)
    did(journal, 10, outcomes="failed", took=2.0)
    did(journal, 9, outcomes="failed", took=3.0)
    settle(journal, 11, "skipped", at=5.0, note="dependency failed: s10")
    end(journal, "failed", at=5.0)
    database.close()

    def look_at(*words: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
        options = ("--home", str(tmp_path), "--pipelines", str(tmp_path))
        assert run_command([*words, *options]) == 0
        return capsys.readouterr().out.splitlines()

    return look_at


def test_a_big_run_is_shown_by_what_is_worth_a_look(
    big: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """What failed, was tried again or skipped, what took longest; the rest is counted."""
    lines = big("show", "--limit", "5", capsys=capsys)
    assert lines[5:16] == [
        "STEP  STATUS     ATTEMPTS  DURATION  NOTE",
        "s7    ✓ ok              1      8.0s",
        "s8    ✓ ok              2     10.5s",
        "s9    ✗ failed          1      3.0s  ValueError: no luck",
        "s10   ✗ failed          1      2.0s  ValueError: no luck",
        "s11   – skipped         –         –  dependency failed: s10",
        "… and 7 more (all: --limit 12): 7 ok",
        "",
        "✗ flow, run 1: failed in 5.0s",
        "  12 steps: 9 ok, 2 failed, 1 skipped",
        "",
    ]
    assert lines[16:19] == [
        "✗ s10 failed after 1 attempt, 2.0s",
        "    ValueError: no luck",
        "also failed: s9",
    ]
    assert big("report", "--limit", "5", capsys=capsys)[:6] == lines[5:11]


def test_all_of_a_big_run_is_told_to_programs(
    big: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless they ask for less: then it is said how many there are."""
    report = json.loads("\n".join(big("show", "--json", capsys=capsys)))
    assert [step["name"] for step in report["steps"]] == [f"s{at}" for at in range(12)]
    assert "steps_in_all" not in report
    paged = json.loads("\n".join(big("report", "--json", "--limit", "3", capsys=capsys)))
    assert paged["steps"] == report["steps"][8:11]
    assert paged["steps_in_all"] == 12
    assert {key: paged[key] for key in ("counts", "first_failure", "status")} == {
        "counts": {"ok": 9, "failed": 2, "skipped": 1},
        "first_failure": "s10",
        "status": "failed",
    }


def test_workflows_are_listed(
    tmp_path: Path, big: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also those that have never run."""
    for name, count in (("one", 1), ("two", 2)):
        steps = ", ".join(f"{{name: s{at}, command: 'true'}}" for at in range(count))
        (tmp_path / f"{name}.yaml").write_text(f"steps: [{steps}]\n")
    assert big("list", capsys=capsys) == [
        "WORKFLOW  STEPS  LAST RUN",
        "one           1  never",
        "two           2  never",
    ]


@pytest.mark.parametrize("zone", ["tz: Etc/UCT", ""])
def test_a_zone_is_listed_once(
    tmp_path: Path, big: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], zone: str
) -> None:
    """The schedule may name it in the place of `tz`."""
    named = "08:00" if zone else "08:00 Etc/UCT"
    steps = "steps: [{name: a, command: 'true'}]"
    (tmp_path / "one.yaml").write_text(f"schedule: '{named}'\n{zone}\n{steps}\n")
    _, line = big("list", capsys=capsys)
    assert "  08:00 Etc/UCT" in line
    assert line.count("Etc/UCT") == 1


def test_logs_are_found_by_their_files(
    tmp_path: Path, big: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """In declaration order, then by attempt; what is no log of a step of the run is not read."""
    folder = tmp_path / "logs" / "flow" / "1"
    folder.mkdir(parents=True)
    for name in ("s10.2.log", "s10.11.log", "s9.1.log", "gone.1.log", "s9.x.log", "s9.1.log.1"):
        (folder / name).write_text(f"in {name}\n")
    heads = [line for line in big("logs", capsys=capsys) if line.startswith("──")]
    assert heads == [
        f"── s9, attempt 1: {folder}/s9.1.log",
        f"── s10, attempt 2: {folder}/s10.2.log",
        f"── s10, attempt 11: {folder}/s10.11.log",
    ]
    nothing = "nothing was logged or printed by 's0' in run 1"
    for follow in ([], ["-f"]):  # which ends at once: the run has ended
        assert big("logs", "1", "s9", *follow, capsys=capsys)[1:] == ["in s9.1.log"]
        assert big("logs", "1", "s0", *follow, capsys=capsys) == [nothing]
    with pytest.raises(AssertionError):
        big("logs", "1", "gone", capsys=capsys)
    assert capsys.readouterr().err.splitlines()[:2] == [
        "error: run 1 has no step 'gone'",
        f"hint: its steps: {', '.join(f's{at}' for at in range(12))}",
    ]


def test_what_became_a_secret_is_shown_by_none(
    tmp_path: Path, big: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """In errors, parameters and logs that were written before it was one."""
    folder = tmp_path / "logs" / "flow" / "1"
    folder.mkdir(parents=True)
    (folder / "s9.1.log").write_text("08:00:00 out     no luck\n")
    looks = [
        *(["show"], ["show", "--json"], ["report"], ["history", "--json"]),
        *(["logs"], ["logs", "--json"], ["logs", "--follow"]),
    ]
    database = open_writer(tmp_path / "runs.db")
    with database.write() as cursor:
        cursor.execute("UPDATE run_rows SET note = 'no luck'")
    database.close()
    told = ["\n".join(big(*words, capsys=capsys)) for words in looks]
    assert all("no luck" in text for text in told)
    (tmp_path / "env").write_text("TOKEN=no luck\n")
    (tmp_path / "env").chmod(0o600)
    for words, before in zip(looks, told, strict=True):
        assert big(*words, capsys=capsys) == before.replace("no luck", "***").splitlines(), words
