"""The wheel holds what it should and runs from an environment that has nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HELLO = """
from engine import Step, Workflow

workflow = (
    Workflow("hello")
    .add(Step("greet", lambda ctx: "hello"))
    .add(Step("answer", lambda ctx: ctx["greet"] + " back", depends_on=["greet"]))
)
"""

pytestmark = pytest.mark.slow


def _run(*words: object, cwd: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        env["PATH"] = path
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the checkout, so that nothing is left in this one."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "checkout"
    shutil.copytree(
        ROOT,
        copy,
        ignore=lambda where, names: (
            {".git", ".venv", "var", "dist", "build"} & set(names) if Path(where) == ROOT else set()
        ),
    )
    built = _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=copy)
    assert built.returncode == 0, built.stderr
    (made,) = folder.glob("*.whl")
    return made


@dataclass(frozen=True)
class Installed:
    """A fresh environment with the wheel in it, and an empty folder to work in."""

    python: Path
    command: Path
    work: Path


def _installer(python: Path) -> list[str]:
    base = getattr(sys, "_base_executable", sys.executable)
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", str(python)]
    for pip in (sys.executable, base):
        if _run(pip, "-m", "pip", "--version", cwd=Path("/")).returncode == 0:
            options = ["--quiet", "--disable-pip-version-check", "--no-input"]
            return [pip, "-m", "pip", "--python", str(python), "install", *options]
    pytest.skip("neither uv nor pip is here to fill an environment")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the pinned requirements and the wheel, outside the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    made = _run(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
    if made.returncode:
        pytest.skip(f"no environment can be made here: {made.stderr.strip()[-200:]}")
    bin_folder = folder / "env" / "bin"
    install = _installer(bin_folder / "python")
    pins = ["--require-hashes", "-r", str(ROOT / "requirements.txt")]
    for what in (pins, ["--no-deps", str(wheel)]):
        done = _run(*install, *what, cwd=folder)
        if re.search(
            r"NewConnectionError|name resolution|dns error|Connect(ion)? ?error", done.stderr
        ):
            pytest.skip("no network: the pinned requirements cannot be had")
        assert done.returncode == 0, done.stderr
    work = folder / "work"
    work.mkdir()
    return Installed(bin_folder / "python", bin_folder / "kahnban", work)


def test_the_wheel_holds_engine_store_and_migrations(wheel: Path) -> None:
    """Both packages with the migrations inside the store; nothing of workflows or tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"engine", "store"}
    assert {"engine/py.typed", "engine/__main__.py", "store/_migrations/env.py"} <= set(names)
    versions = {path.name for path in (ROOT / "migrations" / "versions").glob("*.py")}
    assert versions
    assert {name.rsplit("/", 1)[1] for name in names if "/versions/" in name} == versions
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc")] == []


def test_the_command_helps(installed: Installed) -> None:
    """`kahnban --help` runs from anywhere, and speaks of `kahnban`."""
    done = _run(installed.command, "--help", cwd=installed.work)
    assert (done.returncode, done.stderr) == (0, "")
    assert "kahnban" in done.stdout


def test_the_command_runs_a_workflow(installed: Installed) -> None:
    """A workflow in a folder of one's own runs, on a store made by the wheel's migrations."""
    (installed.work / "pipelines").mkdir()
    (installed.work / "pipelines" / "hello.py").write_text(HELLO, "utf-8")
    done = _run(installed.command, "run", "hello", cwd=installed.work)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (installed.work / "var" / "runs.db").stat().st_size > 0
    shown = _run(installed.command, "history", "hello", cwd=installed.work)
    assert shown.returncode == 0, shown.stderr
    assert "hello" in shown.stdout


@pytest.mark.parametrize("options", [[], ["--yaml"]], ids=["python", "yaml"])
def test_the_first_workflow_runs(installed: Installed, options: list[str]) -> None:
    """What `init` makes runs by the very commands that it names, with `kahnban` on the path."""
    path = f"{installed.command.parent}:{os.environ['PATH']}"
    folder = f"first {len(options)}"
    made = _run(installed.command, "init", folder, *options, cwd=installed.work, path=path)
    assert (made.returncode, made.stderr) == (0, "")
    _, _, commands = made.stdout.partition("next:\n")
    assert commands == f"  cd '{folder}'\n  kahnban run hello\n  kahnban graph hello\n"
    done = _run("sh", "-euc", commands, cwd=installed.work, path=path)
    assert done.returncode == 0, done.stderr
    assert (installed.work / folder / "out" / "hello.txt").read_text() == "Hello, world!\n"


def test_a_folder_named_engine_is_not_taken_for_ours(installed: Installed) -> None:
    """Beside somebody else's `engine/`, the command still runs this one."""
    other = installed.work / "other"
    (other / "engine").mkdir(parents=True)
    (other / "engine" / "__init__.py").write_text("raise SystemExit('the wrong engine')\n")
    assert _run(installed.command, "--help", cwd=other).returncode == 0
