"""A power cut at any moment of real runs: the store still knows all that it had acknowledged."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import checker
from tests.checker import Effect, chains, read_log
from tests.system import old_store
from tests.system.powercut import record
from tests.system.powercut.facts import Fact, facts_in, faults
from tests.system.powercut.record import Disk, Later
from tests.system.powercut.shape import GRAPH
from tests.system.project import CHECKOUT

POINTS = int(os.environ.get("KAHNBAN_POINTS", "60"))
EVERY = 20  # of so many points, the run is gone on with at one

HERE = Path(__file__).parent / "powercut"


class Cuts:
    """A recorded folder, to be made again as a cut at each of some points leaves it."""

    def __init__(self, folder: Path, shim: Path, word: str = "") -> None:
        """Record runs in `folder`: what the driver does with `word`, or without one."""
        self.folder = folder / "home"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.store = self.folder / "runs.db"
        self._shim = shim
        self._record = folder / "record"
        self._empty = Disk(self.folder)
        said = ["2 ok"] if word == "--old" else ["1 failed", "2 ok", "3 ok"]
        assert self.drive(*[word] if word else []) == said
        self.lines = list(record.read(self._record))
        self.before = [{"fact": "run", "run": 1, "status": "failed"}] if word == "--old" else []
        self.facts = [*self.before, *facts_in(self.lines)]

    def drive(self, *words: str, to: Path | None = None) -> list[str]:
        """Run the driver, recording to `to` or to our record; gives what it has printed."""
        shimmed = {
            "LD_PRELOAD": str(self._shim),
            "SHIM_FOLDER": str(self.folder),
            "SHIM_RECORD": str(to or self._record),
        }
        done = subprocess.run(
            [sys.executable, str(HERE / "driver.py"), str(self.folder), *words],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), **shimmed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == ""  # such as from a loader that could not load the shim
        return done.stdout.splitlines()

    def go_on(self, point: int) -> list[Fact]:
        """Run the workflow as a user would after the cut; gives the effects of that run."""
        after = self._record.with_name("after")
        after.unlink(missing_ok=True)
        (said,) = self.drive("--continue", to=after)
        assert said.endswith(" ok"), (point, said)
        return facts_in(record.read(after))

    def cut(self, points: int, draw: random.Random) -> Iterator[tuple[int, Later, list[Fact]]]:
        """Make the folder anew at each point; gives it with what was acknowledged by then."""
        disk, done = self._empty, 0
        known: list[Fact] = [*self.before]
        for point in sorted(draw.choices(range(len(self.lines)), k=points)):
            for line in self.lines[done:point]:
                disk.take(line)
            known += facts_in(self.lines[done:point])
            done = point
            later = draw.choice(list(Later))
            disk.write_out(later, draw)
            yield point, later, known


def lost(cuts: Cuts, points: int, draw: random.Random) -> Iterator[str]:
    """Say what is wrong after each of some cuts."""
    for point, later, known in cuts.cut(points, draw):
        for fault in faults(cuts.store, known, cuts.facts):
            yield f"point {point} of {len(cuts.lines)}, {later.name}: {fault}"


def seeded() -> random.Random:
    """Give random numbers whose seed is printed, and may be given."""
    seed = int(os.environ.get("KAHNBAN_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"KAHNBAN_SEED={seed}")
    return random.Random(seed)


def test_nothing_acknowledged_is_lost(tmp_path: Path, shim: Path) -> None:
    """Every fact is there, a step and its outputs together, each file at its target."""
    cuts = Cuts(tmp_path, shim)
    assert len(cuts.facts) > 100
    assert list(lost(cuts, POINTS, seeded())) == []
    print(f"{POINTS} points in {len(cuts.lines)} operations, {len(cuts.facts)} facts")


def test_an_upgrade_loses_nothing(
    tmp_path: Path, shim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The past is there whenever the power goes, and the copy once the upgrade is done."""
    old_store.make(tmp_path / "home" / "runs.db", monkeypatch)
    cuts = Cuts(tmp_path, shim, "--old")
    assert [fact["fact"] for fact in cuts.facts][:3] == ["run", "copy", "run"]
    assert list(lost(cuts, POINTS, seeded())) == []


@pytest.mark.parametrize(("plant", "said"), [("normal", "lost: {"), ("folder", "the file '")])
def test_a_planted_fault_is_found(tmp_path: Path, shim: Path, plant: str, said: str) -> None:
    """Without a sync at each commit, or of a renamed file's folder, facts are lost: it is seen."""
    cuts = Cuts(tmp_path, shim, plant)
    assert any(said in fault for fault in lost(cuts, 40, random.Random(1)))  # the first will do


def test_the_next_run_goes_on_from_a_cut(tmp_path: Path, shim: Path) -> None:
    """No effect without a claim, nothing that was ok done again, and all is done in the end."""
    cuts = Cuts(tmp_path, shim)
    for point, later, known in cuts.cut(max(3, POINTS // EVERY), seeded()):
        effects = [
            Effect(fact["run"], fact["step"], fact["number"])
            for fact in [*known, *cuts.go_on(point)]
            if fact["fact"] == "effect"
        ]
        for chain in chains(read_log(cuts.store)):
            assert checker.faults(chain, effects, GRAPH) == [], (point, later)
