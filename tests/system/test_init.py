"""`init`: a first workflow that runs, in a folder where nothing else is touched."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli import first_workflow, project
from engine.cli.main import run_command
from tests.system.project import CHECKOUT, Project

KINDS = {"py": (), "yaml": ("--yaml",)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # commands add the project's root
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree(folder: Path) -> dict[str, str]:
    """Give all that is in a folder: files with their texts, folders with a slash."""
    return {
        str(path.relative_to(folder)) + "/" * path.is_dir(): ""
        if path.is_dir()
        else path.read_text()
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("suffix", KINDS)
def test_what_is_made(here: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    """A workflow and a `.gitignore`, nothing else; it passes `check`, and the commands are told."""
    assert run_command(["init", "mine", *KINDS[suffix]]) == 0
    out = capsys.readouterr().out
    assert list(tree(here)) == [
        "mine/",
        "mine/.gitignore",
        "mine/pipelines/",
        f"mine/pipelines/hello.{suffix}",
    ]
    assert out.startswith(f"made mine/pipelines/hello.{suffix}\nmade mine/.gitignore\nnext:\n")
    assert [line.split()[-2:] for line in out.splitlines()[-3:]] == [
        ["cd", "mine"],
        ["run", "hello"],
        ["graph", "hello"],
    ]
    os.chdir("mine")
    assert run_command(["check"]) == 0
    assert capsys.readouterr().out.startswith("hello: ok, ")


@pytest.mark.parametrize("suffix", KINDS)
def test_it_runs_and_survives_a_kill(tmp_path: Path, suffix: str) -> None:
    """Ok at once; a second run is a new one; killed in the middle it goes on."""
    made = Project(tmp_path)
    (made.root / "pipelines").rmdir()
    assert made.run("init", *KINDS[suffix]).code == 0
    assert made.report("hello")["status"] == "ok"
    assert (made.root / "out" / "hello.txt").read_text() == "Hello, world!\n"
    ada = ("--set", "name=Ada")
    killed = made.run("run", "hello", *ada, KAHNBAN_FAILPOINTS="tick-after-commit:kill@2")
    assert killed.code == -9
    report = made.report("hello", *ada)
    assert (report["run_id"], report["status"], report["resumed_from"]) == (3, "ok", 2)
    assert report["steps"][0]["status"] == "cached"
    assert (made.root / "out" / "hello.txt").read_text() == "Hello, Ada!\n"
    again = made.report("hello", *ada)
    assert (again["run_id"], again["resumed_from"]) == (4, None)


def test_the_current_folder_with_things_of_others(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without DIR it is the current folder; what is there stays, a `.gitignore` too."""
    (here / ".gitignore").write_text("*.tmp\n")
    (here / "pipelines").mkdir()
    (here / "pipelines" / "other.py").write_text("broken(\n")
    assert run_command(["init"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("made pipelines/hello.py\nnext:\n")
    assert "  cd " not in out
    assert tree(here) == {
        ".gitignore": "*.tmp\n",
        "pipelines/": "",
        "pipelines/hello.py": first_workflow.IN_PYTHON,
        "pipelines/other.py": "broken(\n",
    }


@pytest.mark.parametrize("rival", ["hello.py", "hello.yaml", "hello.yml", "hello.json"])
def test_nothing_is_overwritten(here: Path, capsys: pytest.CaptureFixture[str], rival: str) -> None:
    """A workflow of that name, in whatever language, is named, and nothing is made."""
    (here / "pipelines").mkdir()
    (here / "pipelines" / rival).symlink_to("nowhere")
    assert run_command(["init", "--yaml"]) == 2
    assert capsys.readouterr().err == (
        f"error: 'pipelines/{rival}' is there already; nothing was made\n"
        "hint: name another folder, or run what is there\n"
    )
    assert [path.name for path in here.rglob("*")] == ["pipelines", rival]


@pytest.mark.parametrize("where", ["file", "file/deeper", "project"])
def test_a_file_in_the_way(here: Path, capsys: pytest.CaptureFixture[str], where: str) -> None:
    """DIR, what is above it and its `pipelines` must be folders, where they are there."""
    (here / "file").write_text("mine")
    (here / "project").mkdir()
    (here / "project" / "pipelines").write_text("mine")
    before = tree(here)
    assert run_command(["init", where]) == 2
    named = "project/pipelines" if where == "project" else "file"
    assert capsys.readouterr().err.startswith(f"error: '{named}' is there and is no folder\n")
    assert tree(here) == before


def test_a_failure_leaves_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be finished is taken away again; it is a fault of the machine, exit code 3."""
    opened = Path.open

    def refusing(self: Path, *args: object) -> object:
        if self.name == ".gitignore":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", lambda self, *args, **_: refusing(self, *args))
    assert run_command(["init", "a/b"]) == 3
    assert capsys.readouterr().err == (
        "error: cannot make 'a/b/.gitignore': permission denied\n"
        "hint: name a folder that this user can write in\n"
    )
    assert list(here.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The machine's refusal is told, with the place."""
    here.chmod(0o500)
    try:
        assert run_command(["init", "mine"]) == 3
    finally:
        here.chmod(0o700)
    assert capsys.readouterr().err.startswith("error: cannot make 'mine': permission denied\n")


@pytest.mark.usefixtures("here")
def test_within_another_project(capsys: pytest.CaptureFixture[str]) -> None:
    """Allowed, and said."""
    assert run_command(["init", "outer"]) == 0
    os.chdir("outer")
    capsys.readouterr()
    assert run_command(["init", "inner"]) == 0
    assert f"it is a project of its own, within that of '{Path.cwd()}'\n" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_other_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other places are refused; a setting that leads elsewhere is overruled in the commands."""
    for option in ("--pipelines", "--home", "--store"):
        assert run_command(["init", option, "x"]) == 2
        assert f"error: {option} does not go with init\n" in capsys.readouterr().err
    monkeypatch.setenv("ENGINE_PIPELINES", "/elsewhere")
    assert run_command(["init", "-y"]) == 2  # no option of ours
    capsys.readouterr()
    assert run_command(["init", "--", "-y"]) == 0
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert lines[0] == "  cd ./-y"
    assert lines[1].endswith(" --pipelines pipelines run hello")


def test_the_program_as_it_is_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its short name where the shell finds it by that, else its whole path."""
    command = tmp_path / "bin" / "kahnban"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(command)])
    assert project.typed_words() == [str(command)]
    monkeypatch.setenv("PATH", str(command.parent))
    assert project.typed_words() == ["kahnban"]
    monkeypatch.setattr(sys, "argv", ["/somewhere/engine/__main__.py"])
    assert project.typed_words() == [sys.executable, "-m", "engine"]
    monkeypatch.setattr(sys, "executable", str(command.with_name("python")))
    command.rename(command.with_name("python"))
    assert project.typed_words() == ["python", "-m", "engine"]


def test_a_checkout_names_its_dev(tmp_path: Path) -> None:
    """Called as `./dev` does it, the commands go through `./dev`."""
    if not Path(sys.prefix).is_relative_to(CHECKOUT):
        pytest.skip("the tests do not run in the checkout's own environment")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "engine", "init", "mine"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    dev = shlex.quote(str(CHECKOUT / "dev"))
    assert done.stdout.splitlines()[-2:] == [f"  {dev} run hello", f"  {dev} graph hello"]
