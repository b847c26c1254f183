"""Fail-points: inert unless armed, and never armed by mistake."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import failpoints
from engine.errors import UsageError
from engine.failpoints import FailpointRaised, failpoint

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _disarm() -> Iterator[None]:
    yield
    failpoints.arm({})


def arm(text: str) -> None:
    """Arm what a text asks for."""
    failpoints.arm({"KAHNBAN_FAILPOINTS": text})


def placed() -> Counter[str]:
    """Count the fail-points in the code by name."""
    calls = (
        node
        for folder in ("engine", "store")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "failpoint"
    )
    return Counter(ast.literal_eval(call.args[0]) for call in calls)


def test_every_name_stands_in_one_place() -> None:
    """What can be armed is in the code, once; what is in the code can be armed."""
    assert placed() == Counter(failpoints.NAMES)


def test_every_name_is_told() -> None:
    """The table for contributors has all of them, in order."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE) == list(failpoints.NAMES)


def test_nothing_armed_does_nothing() -> None:
    """Without the variable every point is passed."""
    failpoints.arm({})
    for name in failpoints.NAMES:
        failpoint(name)


def test_raises_where_it_is_armed_and_there_alone() -> None:
    """An armed point acts at its first hit, and then no more."""
    arm("run-begun:raise")
    failpoint("run-ended")
    with pytest.raises(FailpointRaised):
        failpoint("run-begun")
    failpoint("run-begun")


def test_waits_for_the_hit_that_is_asked_for() -> None:
    """`@N` acts at the N-th hit; several points are counted apart."""
    arm("run-begun:raise@3, run-ended:raise")
    failpoint("run-begun")
    failpoint("run-begun")
    with pytest.raises(FailpointRaised):
        failpoint("run-ended")
    with pytest.raises(FailpointRaised):
        failpoint("run-begun")


def test_arming_again_begins_anew() -> None:
    """Only the last arming counts, from its own first hit."""
    arm("run-begun:raise@2")
    failpoint("run-begun")
    arm("run-begun:raise@2")
    failpoint("run-begun")
    with pytest.raises(FailpointRaised):
        failpoint("run-begun")


@pytest.mark.parametrize(
    "text",
    [
        "run-begun",
        "run-begun:die",
        "run-begun:kill@0",
        "run-begun:sleep",
        "run-begun:sleep=-1",
        "run-begun:kill;run-ended:kill",
        "run-begun:kill,",
        ":kill",
    ],
)
def test_refuses_what_would_test_nothing(text: str) -> None:
    """A misspelt word is a usage error that tells how it is written."""
    with pytest.raises(UsageError) as caught:
        arm(text)
    assert caught.value.exit_code == 2
    assert "KAHNBAN_FAILPOINTS" in caught.value.message or "no fail-point" in caught.value.message


def test_refuses_an_unknown_name() -> None:
    """A name that stands nowhere is a usage error that lists those that do."""
    with pytest.raises(UsageError, match="there is no fail-point 'tick-after-comit'") as caught:
        arm("tick-after-comit:kill")
    assert caught.value.hint == f"one of {', '.join(failpoints.NAMES)}"
