"""A list in a big run's row is looked at once, not once for each of its steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.events import Action, BackOff, Claim, EndAttempt
from engine.model import AttemptOutcome
from store.connection import Database
from store.page import page
from store.reconcile import live_attempts
from tests.store.filled import begun

STEPS, LIVE = 2_000, 400
OPERATIONS = 1_000  # of SQLite's machine, at a time
ENOUGH = 500  # times so many: for each step and each live attempt they are a hundred times more

Look = Callable[[Database], int]


def attempts(database: Database) -> int:
    """Count all attempts, as people do."""
    rows = database.raw.execute("SELECT count(*) FROM attempts WHERE run_id = 1").fetchone()
    return int(rows[0])


def order(database: Database) -> int:
    """Count what it was ordered by."""
    rows = database.raw.execute("SELECT count(*) FROM run_order").fetchone()
    return int(rows[0])


def orphans(database: Database) -> int:
    """Look for what may still run, as a writing command does where an engine of processes died."""
    return len(live_attempts(database, 1))


def looked_at(database: Database) -> int:
    """Show the run."""
    with database.read() as cursor:
        counts = page(cursor, 1, 10, is_dead=False).counts
    return counts["running"] + counts["backing_off"]


@pytest.mark.parametrize(
    ("look", "found"), [(attempts, STEPS), (order, STEPS), (orphans, LIVE), (looked_at, STEPS)]
)
def test_it_is_looked_at_once(database: Database, look: Look, found: int) -> None:
    """Else a run of 100,000 steps takes 40 s, with a thousand claimed ahead."""
    text = " ".join(f"s{at}" for at in range(STEPS))
    journal = begun(database, text, weights=range(STEPS))
    journal.commit_tick([Claim(step, 1, 0.0, report=False) for step in range(STEPS)])
    ends: list[Action] = []
    for step in range(STEPS - LIVE):
        ends += [EndAttempt(step, 1, AttemptOutcome.FAILED, 0.0, 1.0), BackOff(step, 1, 9.0)]
    journal.commit_tick(ends)
    times: list[int] = []
    database.raw.set_progress_handler(lambda: times.append(1), OPERATIONS)
    assert look(database) == found
    database.raw.set_progress_handler(None, 0)
    assert len(times) < ENOUGH
