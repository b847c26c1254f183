"""A store in which years of runs lie is looked at, and gone on from, as quickly as a new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.clock import SystemClock
from store.connection import Database
from store.database import open_reader, open_writer
from store.history import History
from store.reconcile import reconcile
from store.search import search
from store.trends import Trends, Wanted
from tests.store.filled import many_old_runs

RUNS = 5_000  # of ten steps: 100,000 rows of steps and attempts
SOME = 50  # a failed run that is there in smaller stores too
LIMIT_S = 0.25  # of one look; benchmarks/big_store.py measures a store ten times as large


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with old runs."""
    path = tmp_path_factory.mktemp("old") / "runs.db"
    database = open_writer(path)
    many_old_runs(database, RUNS)
    database.close()
    return path


def trends(history: History) -> Trends:
    """Look at many runs by the same connection."""
    return Trends(history._database)


LOOKS: dict[str, Callable[[History], object]] = {
    "history": lambda history: history.runs(limit=20),
    "history NAME": lambda history: history.runs(workflow="flow", limit=20),
    "history --failed": lambda history: history.runs(failed=True, limit=20),
    "history --since": lambda history: history.runs(since="2011-11-14T00:00:00", limit=20),
    "the run": lambda history: history.run(history.find("latest")),
    "its steps": lambda history: history.steps(SOME),
    "its page": lambda history: history.page(SOME, 50),
    "usual durations": lambda history: history.medians("flow", before=RUNS),
    "what to go on from": lambda history: history.newest("flow", params="{}", context_sha256=""),
    "nothing to go on from": lambda history: history.newest(
        "flow", params="{}", context_sha256="x"
    ),
    "the chain": lambda history: history.newest_of_chain(SOME),
    "--once": lambda history: history.succeeded("flow", "{}", ""),
    "values": lambda history: history.value_faults().of_step(SOME, "s1"),
    "workflows": lambda history: trends(history).workflows(100),
    "a page of runs": lambda history: trends(history).runs(Wanted("flow", "failed"), 50),
    "runs there are none of": lambda history: trends(history).runs(Wanted(status="skipped"), 50),
    "days": lambda history: trends(history).days("flow", 0),
    "a step's past": lambda history: trends(history).step("flow", "s9", 200),
    "a step there is not": lambda history: trends(history).step("flow", "none", 200),
    "a search": lambda history: search(history._database, "nowhere", '["flow"]'),
    "alerts": lambda history: history.undelivered(),
}


@pytest.mark.parametrize("what", LOOKS)
def test_each_look_is_quick(old: Path, what: str) -> None:
    """What a command asks of the store does not grow with all that is in it."""
    clock = SystemClock()
    reader = open_reader(old)
    begin = clock.now()
    LOOKS[what](History(reader))
    took_s = clock.now() - begin
    reader.close()
    assert took_s < LIMIT_S


def test_opening_and_reconciling_is_quick(old: Path) -> None:
    """Neither the check for losses nor that for dead runs reads all runs."""
    clock = SystemClock()
    begin = clock.now()
    database = open_writer(old)
    assert not reconcile(
        database, mine=None, channels=lambda _: (), now_us=0, publish=lambda _: None
    )
    took_s = clock.now() - begin
    database.close()
    assert took_s < LIMIT_S


def test_failed_runs_are_found_among_all(database: Database) -> None:
    """The newest first, however far apart they lie; a live run is none of them."""
    many_old_runs(database, 210)
    found = [row["run_id"] for row in History(database).runs(failed=True, limit=4)]
    assert found == [210, 200, 150, 100]
