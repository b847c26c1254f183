"""What system tests share."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.system.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give an empty project in a folder of its own."""
    return Project(tmp_path)


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile what records a process's writes, or lets one sync fail."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: install one (on Debian: apt install gcc libc6-dev)")
    made = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).parent / "powercut" / "shim.c"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
    subprocess.run([compiler, *flags, "-o", str(made), str(source), "-ldl"], check=True)
    return made
