"""Two engines with different workflows on one store, at full speed, while a reader looks on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from store.database import open_reader
from store.history import History
from tests.system.project import CHECKOUT

OVERLAP_S = float(os.environ.get("KAHNBAN_OVERLAP_S", "2"))
STEPS = 1_000

ENGINE = """
import sys, time
from engine import Step, Workflow

name, store, seconds, steps = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
workflow = Workflow(name)
for number in range(steps):
    upstreams = [f"s{number - 20}"] if number >= 20 else []
    workflow.add(Step(f"s{number}", lambda ctx: ctx.run_id, depends_on=upstreams))
end = time.monotonic() + seconds
runs = 0
while not runs or time.monotonic() < end:
    report = workflow.run(fresh=True, store=store)
    assert report["status"] == "ok", report
    runs += 1
print(runs)
"""


def start(name: str, folder: Path) -> subprocess.Popen[str]:
    """Start an engine that runs its workflow again and again until the time is up."""
    store = f"sqlite:///{folder / 'runs.db'}"
    return subprocess.Popen(
        [sys.executable, "-c", ENGINE, name, store, str(OVERLAP_S), str(STEPS)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "ENGINE_HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def look(path: Path) -> int:
    """Read as a report or a dashboard does; gives how many runs there are."""
    if not path.exists():
        return 0
    reader = open_reader(path)
    try:
        history = History(reader)
        runs = history.runs(limit=50)
        for run in runs[:2]:
            steps = history.steps(run["run_id"])
            assert len(steps) == STEPS
            if run["status"] == "ok":
                assert {step["status"] for step in steps} == {"ok"}
        return len(runs)
    finally:
        reader.close()


@pytest.mark.slow
@pytest.mark.timeout(120 + 3 * OVERLAP_S)
def test_two_engines_and_a_reader(tmp_path: Path) -> None:
    """Not one error in any of the three; every event of every run is there."""
    path = tmp_path / "runs.db"
    engines = [start(name, tmp_path) for name in ("one", "other")]
    looks = 0
    try:
        while any(engine.poll() is None for engine in engines):
            looks += bool(look(path))
            time.sleep(0.02)
        told = [engine.communicate(timeout=60) for engine in engines]
    finally:
        for engine in engines:
            engine.kill()
            engine.wait()
    assert [engine.returncode for engine in engines] == [0, 0], told
    assert [err for _, err in told] == ["", ""]
    runs = sum(int(out) for out, _ in told)
    print(f"{runs} runs of {STEPS} steps in {OVERLAP_S:g} s, looked at {looks} times")
    assert looks > OVERLAP_S
    reader = open_reader(path)
    ask = reader.raw.execute
    assert ask("SELECT status, count(*) FROM runs GROUP BY 1").fetchall() == [("ok", runs)]
    whole = (3 * STEPS + 1, 1, 3 * STEPS + 1)
    logs = ask("SELECT count(DISTINCT seq), min(seq), max(seq) FROM events GROUP BY run_id")
    assert set(logs.fetchall()) == {whole}
    assert ask("PRAGMA integrity_check").fetchall() == [("ok",)]
    reader.close()
