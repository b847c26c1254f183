"""What is worth a look in a run, and how all its steps stand, without reading them all."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.events import BackOff, Claim, EndAttempt
from engine.model import AttemptOutcome, StepStatus
from store.connection import Database
from store.history import History
from store.new_run import TakenOver
from store.page import Page, page
from tests.store.filled import begun, did, end, settle, us

MOST = 2


def paged(database: Database, run_id: int, *, is_dead: bool = False) -> Page:
    """Read a page of a run."""
    with database.read() as cursor:
        return page(cursor, run_id, MOST, is_dead=is_dead)


def on(database: Database) -> int:
    """Leave a run on, with a step in each state there is."""
    end(begun(database, "x"), "failed")
    taken = [
        TakenOver(0, StepStatus.CACHED, "ok in run 1", source_run=1),
        TakenOver(1, None, used=1, retry_at=us(99.0)),
        TakenOver(2, None, used=1, retry_at=us(99.0)),
    ]
    journal = begun(database, " ".join("abcdefghij"), taken_over=taken)
    did(journal, 2, at=1.0)
    did(journal, 3, at=1.0, outcomes="failed failed ok")
    did(journal, 4, at=1.0, outcomes="failed")
    settle(journal, 5, "skipped", note="condition false")
    claims = [Claim(6, 1, 1.0, report=False), Claim(7, 1, 1.0, report=False)]
    journal.commit_tick(claims)
    failed = EndAttempt(6, 1, AttemptOutcome.FAILED, 1.0, 2.0, "boom")
    journal.commit_tick([failed, BackOff(6, 1, 9.0)])
    return journal.run_id


def test_the_counts_are_those_of_the_steps(database: Database) -> None:
    """Of a run that is on by all its states, of a dead one by what becomes of them."""
    run_id = on(database)
    history = History(database)  # nobody has its lock: it is told as dead
    left = Counter(row["status"] for row in history.steps(run_id))
    assert paged(database, run_id, is_dead=True).counts == left == history.page(run_id, 9).counts
    assert list(paged(database, run_id).counts.items()) == [
        ("waiting", 2),
        ("running", 1),
        ("backing_off", 2),
        ("ok", 2),
        ("failed", 1),
        ("skipped", 1),
        ("cached", 1),
    ]


def test_what_is_not_ok_is_on_the_page(database: Database) -> None:
    """Failed, running, waiting for a retry, skipped; then what took long. What waits is not."""
    found = paged(database, on(database))
    assert [(step.step, step.status) for step in found.steps] == [
        ("b", "backing_off"),
        ("c", "ok"),
        ("d", "ok"),
        ("e", "failed"),
        ("f", "skipped"),
        ("g", "backing_off"),
        ("h", "running"),
    ]
    dead = History(database).page(2, MOST)
    assert [(step.step, step.status, step.note) for step in dead.steps][-2:] == [
        ("g", "interrupted", "its engine died before the retry"),
        ("h", "interrupted", "its engine died"),
    ]


@pytest.mark.parametrize("status", ["cancelled", "interrupted"])
def test_a_run_that_was_stopped(database: Database, status: str) -> None:
    """What its row does not count is counted of its steps' rows."""
    journal = begun(database, "a b c")
    did(journal, 0)
    for step in (1, 2):
        settle(journal, step, status, at=1.0, note="not started")
    end(journal, "interrupted")
    found = paged(database, 1)
    assert found.counts == {"ok": 1, status: 2}
    assert [step.status for step in found.steps] == ["ok", status, status]


def test_what_failed_first_is_there_however_much_failed(database: Database) -> None:
    """By its end, not by its place."""
    journal = begun(database, "a b c d e")
    for step, at in enumerate((9.0, 8.0, 1.0, 7.0, 2.0)):
        did(journal, step, at=at, outcomes="failed")
    end(journal, "failed")
    assert {"c", "e"} <= {step.step for step in paged(database, 1).steps}
