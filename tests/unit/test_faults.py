"""docs/faults.md has every fault once, and the tests it names are there."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LETTERS = {
    "A": (1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13, 14),
    "B": (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12),
    "C": (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13),
    "D": (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20),
    "E": (1, 2, 4, 5, 6, 7, 8, 9, 10),
    "F": (1, 2, 3, 4, 5),
    "G": (1, 2, 3, 4, 5, 6, 7, 9, 10),
    "H": (2, 3, 5, 6, 7, 8, 9, 10),
    "I": (1, 2, 3, 4, 5, 7, 8, 9),
    "J": (1, 2, 3, 4, 5, 6, 7, 9, 10),
    "K": (1, 2, 3, 4, 5, 7, 8),
}
FAULTS = [f"{letter}{number}" for letter, numbers in LETTERS.items() for number in numbers]

_ROW = re.compile(r"^\| ([A-Z]\d+) \|(.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/\S+\.py)::(test_\w+)(?:\[([^`]+)\])?`")
NO_TEST = "–"


def rows() -> list[tuple[str, str, str, str]]:
    """Give fault, what is done, tests and what was seen, of each row of the page."""
    found = []
    for name, rest in _ROW.findall(source_of("docs/faults.md")):
        fault, tests, seen = (cell.strip() for cell in rest.split("|"))
        found.append((name, fault, tests, seen))
    return found


def source_of(path: str) -> str:
    """Give a file's text."""
    return (ROOT / path).read_text("utf-8")


@functools.cache
def functions_of(path: str) -> frozenset[str]:
    """Give the names of the tests in a file."""
    tree = ast.parse(source_of(path))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def test_every_fault_is_there_once() -> None:
    """In its order."""
    assert [name for name, _, _, _ in rows()] == FAULTS
    assert len(FAULTS) == 109


@pytest.mark.parametrize("row", rows(), ids=[name for name, _, _, _ in rows()])
def test_a_fault_names_its_tests(row: tuple[str, str, str, str]) -> None:
    """Each is a test of that file; without one the row says why it cannot apply."""
    name, fault, tests, seen = row
    assert fault, name
    assert seen, name
    if tests == NO_TEST:
        assert re.match(r"cannot apply(?: yet)?: \S", seen), name
        return
    assert _TEST.sub("", tests).strip() == "", f"{name} names something that is no test"
    named = _TEST.findall(tests)
    assert len(set(named)) == len(named) > 0, name
    for path, test, case in named:
        assert test in functions_of(path), f"{path} has no {test}"
        assert f'"{case}"' in source_of(path) or not case, f"{path} has no case '{case}'"
