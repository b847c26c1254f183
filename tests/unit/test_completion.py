"""What is offered to complete a command line with."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli.completion import FILES, offers
from engine.cli.main import run_command
from store.database import open_writer
from tests.store.filled import a_run, begun

HOSTILE = ("a b.py", "$(touch x).py", "x;y.yaml", "-v.py", "tab\t.py", "_helper.py", "notes.txt")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a project with two workflows, files of hostile names, and two runs."""
    root = tmp_path_factory.mktemp("project")
    (root / "pipelines").mkdir()
    for name in ("daily.py", "日報.yaml", *HOSTILE):
        (root / "pipelines" / name).write_text("raise SystemExit('loaded')\n")
    (root / "var").mkdir()
    database = open_writer(root / "var/runs.db")
    a_run(database, workflow="flow")
    begun(database, "fetch load>fetch lint", workflow="daily")
    database.close()
    return root


@pytest.fixture(autouse=True)
def _there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    for name in ("ENGINE_STORE", "ENGINE_HOME", "ENGINE_PIPELINES"):
        monkeypatch.delenv(name, raising=False)


def words(line: str) -> str:
    """Give the words offered at the end of a command line."""
    *before, last = line.split(" ")
    return " ".join(word for word, _ in offers(before, last))


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hi", "history"),
        ("complet", ""),
        ("db ", "upgrade verify backup restore prune"),
        ("db pr", "prune"),
        ("nonsense ", ""),
        ("run ", "daily 日報"),
        ("run 日", "日報"),
        ("--home elsewhere run d", "daily"),
        ("--pipelines nowhere run ", ""),
        ("run daily ", ""),
        ("run daily --on", "--only --once"),
        ("run daily --nonsense ", ""),
        ("run daily --from ", "fetch load lint"),
        ("run daily --from l", "load lint"),
        ("run daily --only fetch,l", "fetch,load fetch,lint"),
        ("run daily --resume ", "2 1 latest daily flow"),
        ("run daily --resume 1 --from ", "a"),
        ("run daily --workers ", ""),
        ("show ", "2 1 latest daily flow"),
        ("logs daily ", "fetch load lint"),
        ("logs 2 lo", "load"),
        ("why daily l", "load lint"),
        ("diff 1 ", "2 1 latest daily flow"),
        ("logs latest ", "fetch load lint"),
        ("logs 99999999999999999999 ", ""),
        ("logs --follow ", "2 1 latest daily flow"),
        ("--home nowhere show ", ""),
        ("--home=nowhere show ", ""),
        ("--store postgresql://x show ", ""),
        ("check daily d", "daily"),
        ("graph daily --format ", "mermaid dot"),
        ("completion ", "bash zsh fish"),
        ("history da", "daily"),
    ],
)
def test_offered(line: str, offered: str) -> None:
    """By what the declaration of the options says, the folder's files and the store's rows."""
    assert words(line) == offered


@pytest.mark.parametrize("line", ["db restore ", "check ./", "graph pipelines/d", "--home "])
def test_files_are_the_shell_s_to_offer(line: str) -> None:
    """Where one is wanted."""
    *before, last = line.split(" ")
    assert list(offers(before, last)) == [FILES]


def test_whatever_is_wrong_nothing_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A command line is no place for errors."""
    (tmp_path / "runs.db").write_bytes(b"no store")
    store = f"sqlite:///{tmp_path}/runs.db"
    assert run_command(["complete", "--", "--store", store, "show", ""]) == 0
    assert run_command(["complete", "--", "--store", "x:y", "show", ""]) == 0
    assert run_command(["complete"]) == 0
    out, err = capsys.readouterr()
    assert (out.split("\t")[0], err) == ("run", "")
