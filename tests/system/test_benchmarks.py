"""The benchmarks run, say what they were asked, and miss a bar where one is missed."""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# As little as shows that each works; a new one needs its line here.
SMALL = {
    "big_store": "--runs 50",
    "concurrency": "--steps 4 --repeat 1",
    "history": "--runs 2 --big 2 --repeat 1",
    "isolated": "--steps 4",
    "makespan": "--graphs 1 --workers 16 --repeat 1 --virtual",
    "memory": "--steps 2 4",
    "overhead": "--shape wide --steps 8 --repeat 1",
    "pages": "--most 5 --repeat 1",
    "peers": "--peers none",
    "resume": "--steps 10 --repeat 1",
    "scale": "--base 4 --steps 8 --repeat 1",
    "serve": "--runs 2 --big 2 --steps 4 --pairs 1 --repeat 1",
    "startup": "--repeat 1",
}
CASES = {
    "concurrency": ["bare", "engine"],
    "isolated": ["chain", "wide"],
    "memory": ["layered 2", "layered 4"],
    "overhead": ["wide 8"],
    "pages": ["5 steps"],
    "resume": ["one of 10 steps left"],
    "scale": ["layered 4", "layered 8"],
    "startup": ["import sqlalchemy", "run", "run, no store yet"],
}


def forked(words: Sequence[str], folder: Path, *, code: int = 0, **_: Any) -> str:
    """Do what a fresh Python would in a child of this process, which has its imports behind it."""
    out = folder / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of others do not matter
        child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            sys.stdout = os.fdopen(1, "w")
            ended = _carry_out(list(words))
        except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
            ended = 99
        sys.stdout.flush()
        os._exit(ended)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
    return out.read_text("utf-8")


def _carry_out(words: list[str]) -> int:
    try:
        if words[0] == "-c":
            exec(words[1])  # noqa: S102 - as `python -c` does
        elif words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as left:
        return int(left.code or 0)
    return 0


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the frame of the benchmarks; what their children need is imported once, here."""
    for module in ("engine.cli.main", "engine.session.live", "engine.workflow", "store.history"):
        importlib.import_module(module)
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("_common")


def test_all_are_here() -> None:
    """No benchmark is left out of this test."""
    assert sorted(SMALL) == sorted(path.stem for path in BENCHMARKS.glob("[!_]*.py"))


def found(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, words: str) -> dict[str, Any]:
    """Run a benchmark; gives its JSON."""
    path = folder / "found.json"
    argv = [name, *words.split(), "--dir", str(folder), "--json", str(path)]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    assert left.value.code == any(row["missed"] for row in told["rows"])
    return told


@pytest.mark.parametrize("name", SMALL)
def test_it_runs(name: str, common: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark measures, prints its rows and writes them as JSON."""
    if name == "makespan" and not SHARED.is_dir():
        pytest.skip("there are no real graphs")
    monkeypatch.setattr(common, "fresh", forked)
    told = found(monkeypatch, tmp_path, name, SMALL[name])
    assert "?" in told["question"]
    cases = [row["case"] for row in told["rows"]]
    assert cases == CASES.get(name, cases)
    assert all(len(row["cells"]) == len(told["columns"]) for row in told["rows"])


def test_one_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    """Neither its folders nor the run that it measures, which may be of a million steps."""
    words = ["startup.py", "--dir", str(tmp_path), "--repeat", "999"]
    process = subprocess.Popen([sys.executable, *words], cwd=BENCHMARKS, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not list(tmp_path.glob("bench-*/*")) and time.monotonic() < until:
        time.sleep(0.01)  # until it is in the folder, which from then on is its own to remove
    assert list(tmp_path.glob("bench-*/*"))
    process.terminate()
    assert process.wait(20) == 143
    assert list(tmp_path.iterdir()) == []


def test_the_page_has_a_place_for_each(common: Any) -> None:
    """Figures go to where the page says, and what misses its bar is listed."""
    assert common
    page = importlib.import_module("_page")
    told = {
        "machine": {"cores": 2, "python": "3", "sqlite": "3", "file system": "f", "sync": "1 ms"},
        "columns": ["", "µs", "ratio", "bar"],
        "rows": [
            {
                "case": "all",
                "µs": 1,
                "ratio": 3,
                "cells": ["all", "1.00", "3.00", "ratio ≤ 2 ✗"],
                "missed": ["ratio ≤ 2"],
            },
            {"case": "none", "µs": None, "ratio": None, "cells": ["none"] * 4, "missed": []},
        ],
    }
    filled = page.filled(page.PAGE.read_text("utf-8"), dict.fromkeys(SMALL, told))
    table = (
        "|  | µs | ratio | bar |\n| --- | --- | --- | --- |\n| all | 1.00 | 3.00 | ratio ≤ 2 ✗ |"
    )
    for name in SMALL:
        assert f"<!-- {name} -->\n{table}\n<!-- /{name} -->" in filled
        assert f"* {name}, all: µs 1.00 · ratio 3.00; wanted: ratio ≤ 2.\n" in filled
    assert "2 cores, Python 3, SQLite 3, f, 1 ms to sync a page.\n<!-- /machine -->" in filled


def test_a_slow_peer_is_given_fewer_steps(
    common: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it costs is told by 100 steps, where more of them take longer than the limit."""

    def fresh(words: Sequence[str], folder: Path, *, limit_s: float, **_: Any) -> str:
        assert words[0].endswith("_peers/with_prefect.py")
        steps = len(json.loads((folder / "graph.json").read_text("utf-8")))
        if steps > 100:
            raise subprocess.TimeoutExpired(words[0], limit_s)
        return json.dumps({"seconds": 1 + 2e-3 * steps, "returned_s": 1 + 1e-3 * steps})

    monkeypatch.setattr(common, "fresh", fresh)
    monkeypatch.setattr(common, "once", lambda *_: {"seconds": 1.0})
    python = tmp_path / "prefect" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    told = found(
        monkeypatch, tmp_path, "peers", f"--only prefect --peers {tmp_path} --steps 101 --repeat 1"
    )
    assert [(row["case"], row["cells"][1]) for row in told["rows"]] == [
        (case, cost)
        for shape in ("chain", "wide", "layered")
        for case, cost in ((f"Prefect, {shape} 100", "1,900"), ("  until it returns", "950"))
    ]


def test_a_bar_is_missed_on_one_side_only(common: Any) -> None:
    """A figure may be at a bar, not beyond it; one that could not be measured misses none."""
    most, least = common.Bar("ratio", 2.0), common.Bar("ratio", 50.0, at_least=True)
    assert (str(most), str(least)) == ("ratio ≤ 2", "ratio ≥ 50")
    assert [most.missed({"ratio": value}) for value in (2.0, 2.01, None)] == [False, True, False]
    assert [least.missed({"ratio": value}) for value in (50.0, 49.9)] == [False, True]


def test_a_row_marks_what_it_misses(common: Any) -> None:
    """Figures have three digits that count; a missed bar is marked."""
    figures: Mapping[str, float | None] = {"µs": 17.4449, "ratio": 2.1, "MB": 1480.4, "s": None}
    row = common.Row("wide", figures, [common.Bar("ratio", 2.0), common.Bar("MB", 1500)])
    assert row.cells() == ["wide", "17.4", "2.10", "1,480", "–", "ratio ≤ 2 ✗, MB ≤ 1500"]
    assert row.missed() == ["ratio ≤ 2"]


def test_what_is_less_than_nothing_has_no_ratio(common: Any) -> None:
    """On a busy machine few steps may take longer than many; no bar is met or missed by that."""
    assert [common.ratio(*pair) for pair in ((3.0, 2.0), (3.0, -2.0), (-3.0, 2.0))] == [
        1.5,
        None,
        None,
    ]


def test_cases_take_turns(common: Any) -> None:
    """No case is measured twice before each was once."""
    seen: list[str] = []

    def measure(name: str) -> float:
        seen.append(name)
        return float(len(seen))

    cases = {name: partial(measure, name) for name in "ab"}
    assert common.in_turn(2, cases) == {"a": [1.0, 3.0], "b": [2.0, 4.0]}
    assert seen == ["a", "b", "a", "b"]
