"""SIGKILL at random instants: a run goes on from there with its data, and nothing is done twice."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from typing import Any

import pytest

from tests.system.project import Project, statuses

KILLS = int(os.environ.get("KAHNBAN_KILLS", "12"))
STEPS = 30

WORKFLOW = """
import random

def body(name, ups):
    def run(ctx):
        value = sum(ctx[f"v{up}"] for up in ups) + int(name[1:]) + 1
        ctx[f"v{name}"] = value
        time.sleep(0.006 * (value % 6))
        effect(name)
        return {"ups": ups, "value": value}
    return run

def shape():
    draw = random.Random(7)
    steps = {}
    for number in range(30):
        if number in (0, 1, 2):
            ups = []
        elif number in (12, 29):
            ups = [f"s{up}" for up in range(max(0, number - 9), number)]
        else:
            ups = sorted({f"s{draw.randrange(max(0, number - 8), number)}" for _ in range(2)})
        steps[f"s{number}"] = ups
    return steps

workflow = Workflow("flow")
for name, ups in shape().items():
    workflow.add(Step(name, body(name, ups), depends_on=ups))
"""


def context_of(project: Project, run_id: int) -> dict[tuple[str, str], bytes]:
    """Give the final context of a run, wherever in its chain each value was written."""
    rows = project.rows(
        "SELECT s.step, o.key, o.data FROM step_runs s JOIN outputs o"
        " ON o.step = s.step AND o.run_id = coalesce(s.source_run, s.run_id)"
        f" WHERE s.run_id = {run_id}"
    )
    return {(step, key): data for step, key, data in rows}


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], bytes]:
    """Give the final context of a run that nobody killed."""
    project = Project(tmp_path_factory.mktemp("unkilled"))
    project.write("flow", WORKFLOW)
    assert project.run("run", "flow", "-q").code == 0
    found = context_of(project, 1)
    assert len(found) == 2 * STEPS
    return found


def killed_run(project: Project, draw: random.Random) -> tuple[dict[str, Any], int]:
    """Run and kill until a run ends by itself; gives its report and how often it was killed."""
    kills = 0
    while True:
        last, _ = newest(project)
        process = project.start("run", "flow", "--json", "--workers", "3")
        begun = time.monotonic()
        if draw.random() < 0.8:  # the others meet start-up and all else
            while process.poll() is None and newest(project)[0] == last:
                time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.25))
        process.kill()
        result = project.end(process, begun)
        if result.code == 0:
            return result.report, kills
        if result.code == 1:  # three kills in a row hit one step: it is held to be the killer
            assert "ended with the engine's death" in result.out, result.err
            continue
        assert result.code == -9, result.err
        kills += 1
        check_no_repeats(project)
        if newest(project)[1] == "ok":  # all was done and recorded when the kill came
            return project.run("show", "--json").report, kills


def newest(project: Project) -> tuple[int, str]:
    """Number and recorded status of the newest run; (0, "") before the first."""
    if not project.store.exists():
        return 0, ""
    rows = project.rows("SELECT id, status FROM runs ORDER BY id DESC LIMIT 1")
    return rows[0] if rows else (0, "")


def check_no_repeats(project: Project) -> None:
    """No step that a run reported `ok` may have been begun again by a later one."""
    if not project.store.exists():
        return
    again = project.rows(
        "SELECT a.run_id, a.step FROM attempts a JOIN step_runs s"
        " ON s.step = a.step AND s.status = 'ok' AND s.run_id < a.run_id"
        " JOIN runs b ON b.id = a.run_id JOIN runs r ON r.id = s.run_id"
        " WHERE b.root_run = r.root_run"
    )
    assert again == []


def test_killed_and_run_again_until_done(
    tmp_path_factory: pytest.TempPathFactory, unkilled: dict[tuple[str, str], bytes]
) -> None:
    """Every effect at least once, none after an `ok`, the same final context, nothing running."""
    seed = int(os.environ.get("KAHNBAN_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"KAHNBAN_SEED={seed}")
    draw = random.Random(seed)
    kills = chains = repeated = inside = 0
    while kills < KILLS:
        project = Project(tmp_path_factory.mktemp("killed"))
        project.write("flow", WORKFLOW)
        report, killed = killed_run(project, draw)
        kills += killed
        chains += 1
        assert set(statuses(report).values()) <= {"ok", "cached"}, seed
        done = Counter(project.effects())
        assert set(done) == {f"s{number}" for number in range(STEPS)}, seed
        repeated += sum(done.values()) - STEPS
        inside += project.rows("SELECT count(*) FROM runs WHERE status = 'interrupted'")[0][0]
        assert context_of(project, report["run_id"]) == unkilled, seed
        check_no_repeats(project)
        for table, column in (("runs", "status"), ("step_runs", "status")):
            left = f"SELECT count(*) FROM {table} WHERE {column} = 'running'"
            assert project.rows(left) == [(0,)], seed
        assert project.rows("SELECT count(*) FROM attempts WHERE outcome IS NULL") == [(0,)]
    print(f"{kills} kills in {chains} chains, {inside} of them within a begun run")
    print(f"{repeated} effects of unfinished steps were repeated")
