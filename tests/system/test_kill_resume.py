"""SIGKILL at random instants: a run goes on from there with its data, and nothing is done twice."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from store import locks
from tests import checker
from tests.checker import chains, effects_of, read_log
from tests.system.project import Project, marked
from tests.system.shapes import Shape, shape

KILLS = int(os.environ.get("KAHNBAN_KILLS", "9"))
GONE_S = 1.0  # step processes of a dead engine
PATIENCE_S = 10.0  # for the same, before the test gives up on them

ACKNOWLEDGED = (
    "SELECT 'step', run_id, step, outcome FROM events WHERE event = 'step'",
    "SELECT 'attempt', run_id, step, number, outcome FROM attempts WHERE outcome IS NOT NULL",
    "SELECT 'claim', run_id, step, number FROM attempts",
    "SELECT 'output', run_id, step, key, sha256 FROM outputs",
    "SELECT 'run', id, status FROM runs WHERE status <> 'running'",
    "SELECT 'begun', id FROM runs",
)


@dataclass
class Tally:
    """What a soak has met."""

    kills: int = 0
    inside: int = 0  # with a run begun, and not over
    chains: int = 0
    facts: int = 0
    repeated: int = 0
    processes: int = 0  # of steps, alive at a kill
    gone_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        """Tell it in a line."""
        late = sum(seconds > GONE_S for seconds in self.gone_s)
        return (
            f"{self.kills} kills in {self.chains} chains, {self.inside} of them within a run;"
            f" {self.facts} acknowledged facts held; {self.repeated} effects of attempts that were"
            f" lost; {self.processes} step processes, gone after"
            f" {max(self.gone_s, default=0):.2f} s at most, {late} times later than {GONE_S:g} s"
        )


class Chain:
    """One project whose workflow is run and killed until a run ends by itself."""

    def __init__(self, folder: Path, made: Shape, draw: random.Random, tally: Tally) -> None:
        """Write the workflow."""
        self._project = Project(folder)
        self._project.write("flow", made.source)
        self._made, self._draw, self._tally = made, draw, tally
        self._mark = uuid.uuid4().hex
        self._known: set[tuple[object, ...]] = set()

    def run(self) -> None:
        """Run and kill until all is done, then hold everything against what must be."""
        project = self._project
        while True:
            process = project.start("run", "flow", "-q", "--workers", "4", SOAK_MARK=self._mark)
            begun = time.monotonic()
            self._kill(process)
            result = project.end(process, begun)
            self._check_known()
            if result.code == 0:
                break
            if result.code == 1:  # three kills in a row hit one step: it is held to be the killer
                assert "ended with the engine's death" in result.out, result.err
                continue
            assert result.code == -9, result.err
            self._tally.kills += 1
            if self._status() == "ok":  # all was recorded when the kill came
                break
        self._tally.chains += 1
        self._check_end()

    def _kill(self, process: subprocess.Popen[str]) -> None:
        """Wait for a random instant, look at what is acknowledged, and kill."""
        last = self._newest()
        if self._draw.random() < 0.8:  # the others meet start-up and all else
            while process.poll() is None and self._newest() == last:
                time.sleep(0.005)
        time.sleep(self._draw.uniform(0.0, 0.6))
        if process.poll() is None:
            known = self._acknowledged()
            self._tally.inside += self._status() == "running"
            self._tally.processes += len(set(marked(self._mark)) - {process.pid})
            process.kill()
            process.wait()
            self._await_no_processes()
            self._known |= known

    # -- what the store says ----------------------------------------------------------------------

    def _rows(self, sql: str) -> list[tuple[object, ...]]:
        try:
            return self._project.rows(sql)
        except sqlite3.OperationalError:  # not there yet
            return []

    def _newest(self) -> object:
        return (self._rows("SELECT max(id) FROM runs") or [(None,)])[0][0]

    def _status(self) -> object:
        found = self._rows("SELECT status FROM runs ORDER BY id DESC LIMIT 1")
        return found[0][0] if found else None

    def _acknowledged(self) -> set[tuple[object, ...]]:
        """Read all that is committed, through a connection of its own that only reads."""
        return {row for sql in ACKNOWLEDGED for row in self._rows(sql)}

    # -- what must hold ---------------------------------------------------------------------------

    def _check_known(self) -> None:
        assert self._known - self._acknowledged() == set()

    def _await_no_processes(self) -> None:
        """Wait until no process has our mark: steps die with their engine."""
        begun = time.monotonic()
        while alive := marked(self._mark):
            assert time.monotonic() - begun < PATIENCE_S, alive
            time.sleep(0.01)
        self._tally.gone_s.append(time.monotonic() - begun)

    def _check_end(self) -> None:
        project, made = self._project, self._made
        result = project.run("run", "flow", "--once", "-q")  # reconciles, has nothing else to do
        assert result.code == 0, result.err
        effects = effects_of(project.effects())
        (chain,) = chains(read_log(project.store))
        assert checker.faults(chain, effects, made.graph) == []
        lost = {(e.run_id, e.step, e.number) for e in chain if e.outcome == "abandoned"}
        self._tally.repeated += len(lost & set(effects))
        assert self._known - self._acknowledged() == set()
        self._tally.facts += len(self._known)
        successes = [e.step for e in chain if (e.event, e.outcome) == ("attempt", "ok")]
        assert sorted(map(str, successes)) == sorted(made.graph)
        assert self._values() == {f"v{step}": value for step, value in made.values.items()}
        assert project.rows("SELECT count(*) FROM runs WHERE status = 'running'") == [(0,)]
        assert project.rows("SELECT count(*) FROM attempts WHERE outcome IS NULL") == [(0,)]
        assert list(locks.held_names(project.store)) == []

    def _values(self) -> dict[str, int]:
        """Give the final context, wherever in the chain each value was written."""
        rows = self._project.rows(
            "SELECT o.key, o.data FROM step_runs s JOIN outputs o"
            " ON o.step = s.step AND o.run_id = coalesce(s.source_run, s.run_id)"
            " WHERE s.run_id = (SELECT max(id) FROM runs)"
        )
        return {key: json.loads(data) for key, data in rows}


@pytest.mark.slow
@pytest.mark.timeout(60 + 20 * KILLS)
def test_killed_and_run_again_until_done(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing acknowledged is lost, nothing that was ok is done again, nothing is left running."""
    seed = int(os.environ.get("KAHNBAN_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"KAHNBAN_SEED={seed}")
    draw = random.Random(seed)
    tally = Tally()
    number = draw.randrange(3)
    while tally.kills < KILLS:
        number += 1
        Chain(tmp_path_factory.mktemp("killed"), shape(number, draw), draw, tally).run()
    print(tally)
    assert max(tally.gone_s) <= GONE_S
    if KILLS >= 100:  # of fewer, all may miss what most are to meet
        assert tally.inside > tally.kills / 3
        assert tally.processes
