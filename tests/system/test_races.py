"""What meets in the same moment, thousands of times, through real threads and a real store."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine import Step, Workflow

LIMIT_S = 0.003
TRIES = 4_000
FAN_IN = 8
JOINS = 1_000


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder of its own, without anybody's settings."""
    monkeypatch.chdir(tmp_path)


def rows(sql: str) -> list[tuple[Any, ...]]:
    """Ask the store."""
    with closing(sqlite3.connect("var/runs.db")) as connection:
        return connection.execute(sql).fetchall()


def test_a_limit_hit_at_the_very_end_of_a_step() -> None:
    """Within a millisecond before or after it, 4,000 times: one outcome each, all workers live."""
    begun: Counter[int] = Counter()

    def ends_near_its_limit(number: int) -> Any:
        def body(_: Any) -> int:
            begun[number] += 1
            time.sleep(LIMIT_S + (number % 41 - 20) / 20_000)
            return number

        return body

    workflow = Workflow("flow")
    for number in range(TRIES):
        workflow.add(Step(f"s{number}", ends_near_its_limit(number), timeout=LIMIT_S, retries=0))
    report = workflow.run(workers=8)
    found = Counter(step["status"] for step in report["steps"])
    by_status = Counter((step["status"], begun[int(step["name"][1:])]) for step in report["steps"])
    by_status.pop(("failed", 0), None)  # on a busy machine the limit comes before the first line
    assert set(by_status) == {("ok", 1), ("failed", 1)}
    assert set(found) == {"ok", "failed"}
    assert sum(found.values()) == TRIES
    outcomes = dict(rows("SELECT outcome, count(*) FROM attempts GROUP BY outcome"))
    assert outcomes == {"ok": found["ok"], "timed_out": found["failed"]}
    assert rows("SELECT count(*) FROM outputs") == [(found["ok"],)]
    assert report["threads_left"] == 0


def test_many_ends_of_one_fan_in_in_the_same_moment() -> None:
    """Eight threads let go by one barrier end together, 1,000 times: each join starts once."""
    joined: Counter[int] = Counter()
    workflow = Workflow("flow")
    for group in range(JOINS):
        barrier = threading.Barrier(FAN_IN, timeout=60)
        names = [f"s{group}-{member}" for member in range(FAN_IN)]
        for name in names:
            workflow.add(Step(name, lambda _, barrier=barrier: barrier.wait() and None, retries=0))

        def join(_: Any, group: int = group) -> None:
            joined[group] += 1

        workflow.add(Step(f"join{group}", join, depends_on=names, retries=0))
    report = workflow.run(workers=FAN_IN)
    assert report["status"] == "ok"
    assert joined == dict.fromkeys(range(JOINS), 1)
    assert rows("SELECT count(*), max(number) FROM attempts") == [(JOINS * (FAN_IN + 1), 1)]
