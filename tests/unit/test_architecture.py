"""The habits no linter keeps: sizes, reasons, pins, and nothing of this machine."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import engine

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
CODE = re.compile(r'\s*"[A-Z]+\d*",')
NOQA = re.compile(r"#\s*noqa\b(?!: [A-Z]+\d+(?:, [A-Z]+\d+)* - \S)")
REGISTRY = re.compile(r"://[a-z.]*py(?:pi|thonh)")
PIN = re.compile(r"([a-z0-9-]+)==(\S+)")
REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)>=([\d.]+)(?:,<([\d.]+))?")


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Give every text file that is, or would be, in the repository."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project is not known")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8000]]


@pytest.fixture(scope="module")
def sources(files: list[Path]) -> list[Path]:
    """Give the Python files that are not tests."""
    return [
        path for path in files if path.suffix == ".py" and not path.is_relative_to(ROOT / "tests")
    ]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """Give pyproject.toml, parsed."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _lines(paths: list[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        for number, line in enumerate(path.read_text("utf-8", "replace").split("\n"), 1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def _nodes(paths: list[Path]) -> Iterator[tuple[Path, ast.AST]]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield path, node


def test_a_file_has_one_subject(sources: list[Path]) -> None:
    """No file outside the tests is longer than 400 lines."""
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in sources
    }
    assert sizes
    assert {name: size for name, size in sizes.items() if size > FILE_LINES_MAX} == {}


def test_a_function_does_one_thing(sources: list[Path]) -> None:
    """No function outside the tests is longer than 60 lines."""
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, node in _nodes(sources)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_no_function_rebinds_a_global(sources: list[Path]) -> None:
    """State has an owner that is passed along: there is no `global` statement."""
    suspects = [path for path in sources if "global" in path.read_text("utf-8")]
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, node in _nodes(suspects)
        if isinstance(node, ast.Global)
    ]
    assert found == []


def test_nothing_of_this_machine_is_in_the_repository(files: list[Path]) -> None:
    """No file names the folder it was written in, or a package registry."""
    here = str(ROOT) if len(ROOT.parts) > 2 else None
    found = [
        f"{place}: {line.strip()[:80]}"
        for place, line in _lines(files)
        if REGISTRY.search(line) or (here and here in line)
    ]
    assert found == []


def test_a_silenced_rule_says_why(files: list[Path]) -> None:
    """Each `noqa` names its rules and goes on with a reason."""
    found = [
        f"{place}: {line.strip()[:80]}"
        for place, line in _lines([path for path in files if path.suffix == ".py"])
        if NOQA.search(line) and not place.startswith("tests/unit/test_architecture.py")
    ]
    assert found == []


def test_a_rule_switched_off_says_why() -> None:
    """Each rule that pyproject.toml takes out for the project or a folder carries a reason."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    lint = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.mccabe]")]
    rules = [line for line in lint.split("\n") if CODE.match(line)]
    assert len(rules) > 10
    assert [line.strip() for line in rules if not re.search(r"#\s+\S.{9,}", line)] == []


def test_every_part_of_the_engine_has_its_layer(project: dict[str, Any]) -> None:
    """A new module of the engine is placed in both of its orders that import-linter keeps."""
    parts = {
        f"engine.{path.stem}"
        for path in (ROOT / "engine").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"engine.__init__"}
    contracts = project["tool"]["importlinter"]["contracts"]
    orders = [contract for contract in contracts if "store" in contract.get("layers", ())]
    assert len(orders) == 2
    for order in orders:
        placed = set(re.findall(r"engine\.\w+", " ".join(order["layers"])))
        assert sorted(parts - placed) == []


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


@pytest.mark.parametrize(
    ("file", "groups"),
    [("requirements.txt", ("build",)), ("requirements-dev.txt", ("build", "dev"))],
)
def test_the_pins_are_those_of_the_project(
    project: dict[str, Any], file: str, groups: tuple[str, ...]
) -> None:
    """What pyproject.toml asks for is pinned inside the range it asks for, with hashes."""
    text = (ROOT / file).read_text("utf-8")
    pins = dict(PIN.findall(text))
    wanted = list(project["project"]["dependencies"])
    for group in groups:
        wanted += project["dependency-groups"][group]
    for requirement in wanted:
        match = REQUIREMENT.fullmatch(requirement)
        assert match, requirement
        name, least, below = match.groups()
        pinned = _release(pins[name.lower().replace("_", "-")])
        assert pinned >= _release(least)
        assert below is None or pinned < _release(below)
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[a-z0-9])", text)[1:])


def test_the_tools_run_on_the_pins_of_the_engine() -> None:
    """What `./dev test` installs beside the tools is what `./dev run` installs."""
    run, dev = (
        dict(PIN.findall((ROOT / file).read_text("utf-8")))
        for file in ("requirements.txt", "requirements-dev.txt")
    )
    assert run
    assert run.items() <= dev.items()


def test_the_package_tells_the_version_that_is_released(project: dict[str, Any]) -> None:
    """What pages say of themselves is what pip says."""
    assert engine.__version__ == project["project"]["version"]


def test_the_tables_of_rooms_are_whole() -> None:
    """Each module at the top of the engine, and each of the store, is named; none that is gone."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = set(re.findall(r"`((?:engine|store)/[\w/]+\.py)`", text))
    there = {
        str(path.relative_to(ROOT))
        for room in ("engine", "store")
        for path in (ROOT / room).glob("*.py")
        if not path.name.startswith("__")
    }
    assert there - named == set()
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
