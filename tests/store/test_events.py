"""The event log of a run: gap-free, in the order of the commits, and its head in the lock file."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SupersededError
from engine.events import Claim
from engine.model import StepStatus
from store import locks
from store.connection import Database
from store.journal import Journal
from store.new_run import TakenOver
from store.reconcile import reconcile
from store.tick import standing_of
from tests.store.filled import CLOCK, begun, dead_owner, did, end, settle


def log(database: Database, run_id: int = 1) -> list[tuple[object, ...]]:
    """Read a run's events as a user does."""
    sql = "SELECT seq, event, step, number, outcome FROM events WHERE run_id = ? ORDER BY seq"
    return database.raw.execute(sql, (run_id,)).fetchall()


def test_the_log_tells_a_run_from_end_to_end(database: Database) -> None:
    """Claims, attempts, steps and the run, numbered without a gap."""
    journal = begun(database, "a b>a")
    did(journal, 0, outcomes="failed ok")
    settle(journal, 1, "skipped")
    end(journal)
    assert log(database) == [
        (1, "claimed", "a", 1, None),
        (2, "attempt", "a", 1, "failed"),
        (3, "claimed", "a", 2, None),
        (4, "attempt", "a", 2, "ok"),
        (5, "step", "a", None, "ok"),
        (6, "step", "b", None, "skipped"),
        (7, "run", None, None, "ok"),
    ]
    assert standing_of(database, 1).events == 7


def test_what_is_taken_over_comes_first(database: Database) -> None:
    """Cached steps are events of the run that reuses them."""
    first = begun(database, "a b>a")
    did(first, 0)
    end(first, "failed")
    over = [TakenOver(0, StepStatus.CACHED, source_run=1)]
    second = begun(database, "a b>a", taken_over=over, resumed_from=1, root_run=1)
    did(second, 1)
    told = [row[1:] for row in log(database, 2)]
    assert told[0] == ("step", "a", None, "cached")
    assert [row[0] for row in log(database, 2)] == [1, 2, 3, 4]


def test_a_dead_engines_log_goes_on_where_it_stopped(database: Database) -> None:
    """Its attempts, its steps and its run are ended by the next numbers."""
    journal = begun(database, "a b c>b", owner=dead_owner())
    did(journal, 0)
    journal.commit_tick([Claim(1, 1, 0.0, report=False)])
    reconcile(database, mine=None, channels=lambda _: (), now_us=0, publish=lambda _: None)
    assert log(database)[3:] == [
        (4, "claimed", "b", 1, None),
        (5, "attempt", "b", 1, "abandoned"),
        (6, "step", "b", None, "interrupted"),
        (7, "step", "c", None, "cancelled"),
        (8, "run", None, None, "interrupted"),
    ]
    assert standing_of(database, 1).events == 8


def test_two_writers_of_one_run_cannot_interleave(database: Database) -> None:
    """Whoever writes second finds another number of events, and writes nothing."""
    journal = begun(database, "a b")
    other = Journal(database, journal.run_id, stamp=CLOCK.stamp, channels=lambda _: ())
    journal.commit_tick([Claim(0, 1, 0.0, report=False)])
    with pytest.raises(SupersededError):
        other.commit_tick([Claim(1, 1, 0.0, report=False)])
    assert len(log(database)) == 1


def test_the_head_is_as_far_as_the_last_commit(path: Path, database: Database) -> None:
    """After each tick, whatever the mapping; the next holder reads it too."""
    lock = locks.acquire(path, "flow")
    assert lock is not None
    lock.begin(locks.this_process("flow.lock"))
    run_id = begun(database, "a").run_id
    journal = Journal(
        database, run_id, stamp=CLOCK.stamp, channels=lambda _: (), committed=lock.reached
    )
    assert lock.head() == (1, 0)
    did(journal, 0)
    assert list(locks.heads(path)) == [("flow.lock", locks.Head(1, 3))]
    end(journal)
    lock.release()
    again = locks.acquire(path, "flow")
    assert again is not None
    assert again.head() == (1, 4)
    again.begin(locks.this_process("flow.lock"))
    assert again.head() == (1, 4)
    again.release()
