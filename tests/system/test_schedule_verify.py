"""Generated units, held against the real systemd-analyze; it needs no running systemd."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from engine.model import Definition
from engine.schedule.hardening import WORDS
from engine.schedule.unit_parts import Installation
from engine.schedule.units import units
from engine.schedule.verify import NOT_VERIFIED, verify

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


def made(root: Path, *, name: str = "daily", system: bool = False) -> dict[str, str]:
    """Write units for a project at `root` that runs under this Python."""
    place: Installation = {
        "command": [sys.executable, "-m", "engine"],
        "root": root,
        "home": root / "var",
        "store_url": None,
        "user": "root" if system else None,
        "system": system,
    }
    hard = " ".join(WORDS) if system else ""
    definition = Definition(name, (), schedule="Mon..Fri 08:00", tz="Europe/Berlin", hardening=hard)
    return units(definition, **place)


@needs_systemd
@pytest.mark.parametrize("system", [False, True])
@pytest.mark.parametrize(
    "folder", ["plain", "50% $HOME \"q\" 'r' \\x41 ü [*]"], ids=["plain", "odd"]
)
@pytest.mark.parametrize(
    "name", ["daily", "übung-2.日", "日" * 66], ids=["plain", "unicode", "long"]
)
def test_systemd_takes_the_units(tmp_path: Path, name: str, folder: str, *, system: bool) -> None:
    """Whatever the names and paths, systemd has nothing to say."""
    root = tmp_path / folder
    root.mkdir()
    assert verify(made(root, name=name, system=system)) == []


@needs_systemd
def test_systemd_takes_a_program_at_an_odd_path(tmp_path: Path) -> None:
    """A program whose path systemd refuses in ExecStart= is reached all the same."""
    program = tmp_path / "it's 100% $odd" / "kahnban"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    place: Installation = {
        "command": [str(program)],
        "root": tmp_path,
        "home": tmp_path / "var",
        "store_url": None,
        "user": None,
        "system": False,
    }
    assert verify(units(Definition("daily", (), schedule="daily"), **place)) == []


@needs_systemd
def test_a_misspelt_key_is_a_problem(tmp_path: Path) -> None:
    """The tool itself exits 0 and only warns."""
    files = made(tmp_path)
    service = files["kahnban-daily.service"]
    files["kahnban-daily.service"] = service.replace("KillMode", "KilMode")
    (problem,) = verify(files)
    assert problem.startswith("kahnban-daily.service:")
    assert "'KilMode'" in problem


@needs_systemd
def test_a_calendar_systemd_cannot_read_is_a_problem(tmp_path: Path) -> None:
    """A schedule is text of the user's; systemd is the judge of it."""
    files = made(tmp_path)
    timer = files["kahnban-daily.timer"]
    files["kahnban-daily.timer"] = timer.replace("Mon..Fri", "Moon")
    problems = verify(files)
    assert any("calendar specification 'Moon 08:00 Europe/Berlin'" in each for each in problems)


@needs_systemd
def test_a_missing_program_and_folder_are_problems(tmp_path: Path) -> None:
    """Each is said once, about the unit that names it."""
    files = {
        name: text.replace(sys.executable, "/nowhere/python").replace(str(tmp_path), "/nowhere")
        for name, text in made(tmp_path).items()
        if name.endswith(".service")
    }
    said = [
        "the program '/nowhere/python' is not there or may not be executed",
        "the folder '/nowhere' is not there",
    ]
    assert verify(files) == [f"{name}: {text}" for name in files for text in said]


def test_without_systemd_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is passed off as verified; what can be looked at without systemd is."""
    files = made(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert verify(files) == [NOT_VERIFIED]
    gone = {name: text.replace(sys.executable, "/nowhere/x") for name, text in files.items()}
    said = "the program '/nowhere/x' is not there or may not be executed"
    assert verify(gone) == [
        f"kahnban-daily.service: {said}",
        f"kahnban.alerts-daily.service: {said}",
        NOT_VERIFIED,
    ]
