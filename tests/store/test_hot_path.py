"""What the write side does to be quick: rows in blocks, marks through a mapping."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SupersededError
from engine.events import Action, Claim, EndAttempt, EndStep
from engine.model import AttemptOutcome, StepStatus
from store import cancels, journal, locks, mounts, statements
from store.connection import Database
from store.database import open_writer
from store.journal import Journal
from tests.store.filled import CLOCK, begun

OK = AttemptOutcome.OK
STEPS = 200  # one block of each size, and a rest


def ended(step: int, number: int = 1) -> list[Action]:
    """End a step well."""
    return [
        EndAttempt(step, number, OK, 1.0, 2.0 + step),
        EndStep(step, StepStatus.OK, 2.0 + step),
    ]


@pytest.fixture
def written(database: Database) -> Journal:
    """Give the journal of a run whose steps are all claimed."""
    made = begun(database, " ".join(f"s{at}" for at in range(STEPS)))
    made.commit_tick(
        [Claim(step, 1, 1.0 if step % 2 else None, report=False) for step in range(STEPS)]
    )
    return made


def test_many_rows_are_those_of_one_by_one(database: Database, written: Journal) -> None:
    """Each row of a block gets its own values."""
    written.commit_tick([action for step in range(STEPS) for action in ended(step)])
    rows = database.raw.execute(
        "SELECT position, number, outcome, started_at, finished_at, error FROM attempt_rows"
        " ORDER BY position"
    ).fetchall()
    stamp = CLOCK.stamp
    assert rows == [(s, 1, "ok", stamp(1.0), stamp(2.0 + s), None) for s in range(STEPS)]
    rows = database.raw.execute("SELECT position, status, ended_at FROM step_rows").fetchall()
    assert rows == [(s, "ok", stamp(2.0 + s)) for s in range(STEPS)]


@pytest.mark.parametrize("wrong", [0, 130, 165, STEPS - 1])
def test_one_row_in_a_wrong_state_undoes_all(
    database: Database, written: Journal, wrong: int
) -> None:
    """In whichever block it is."""
    actions = [a for s in range(STEPS) for a in ended(s, number=2 if s == wrong else 1)]
    with pytest.raises(SupersededError) as caught:
        written.commit_tick(actions)
    assert caught.value.message == f"1 of {STEPS} rows were not in the state to be left"
    count = "SELECT count(*) FROM attempt_rows WHERE outcome IS NOT NULL"
    assert database.raw.execute(count).fetchone() == (0,)


def test_a_step_that_has_ended_is_not_claimed_in_a_block(
    database: Database, written: Journal
) -> None:
    """The guard of a claim holds for each row."""
    written.commit_tick(ended(7))
    with pytest.raises(SupersededError):
        written.commit_tick([Claim(step, 2, None, report=False) for step in range(STEPS)])
    count = "SELECT count(*) FROM attempt_rows WHERE number = 2"
    assert database.raw.execute(count).fetchone() == (0,)


def test_a_block_is_looked_up_by_key(database: Database) -> None:
    """No plan loops over the attempts of all runs, whatever SQLite thinks of the sizes."""
    for size in journal.BLOCK_SIZES:
        sql = f"EXPLAIN QUERY PLAN {statements.end_attempts(size)}"
        plan = [row[3] for row in database.raw.execute(sql, [1] * 8 * size)]
        key = "(run_id=? AND position=? AND number=?)"
        assert f"SEARCH attempt_rows USING PRIMARY KEY {key}" in plan


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "written"])
def test_marks_stand_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, mapped: bool
) -> None:
    """With and without a mapping others read the same, and a released lock is free."""
    monkeypatch.setattr(locks, "_MAPPABLE", {mounts.of_device(tmp_path.stat().st_dev)})
    if not mapped:
        monkeypatch.setattr(locks, "_MAPPABLE", ())
    store = tmp_path / "runs.db"
    lock = locks.acquire(store, "flow")
    assert lock is not None
    lock.begin(locks.this_process("flow.lock"))
    lock.begin(locks.this_process("flow.lock"))  # what was mapped before is gone
    marks = [locks.Mark(7, lane, 1, 5) for lane in range(3)]
    for lane, mark in enumerate(marks):
        lock.mark(lane, mark)
    assert lock.marks() == marks
    assert ((locks.folder(store) / "flow.lock").stat().st_size == 1 << 16) is mapped
    lock.mark(5_000, locks.Mark(7, 9, 1, 5))  # no room in the mapping
    assert lock.marks()[-1] == locks.Mark(7, 9, 1, 5)
    lock.release()
    lock.mark(0, locks.Mark(8, 1, 1, 5))  # a thread that was left behind
    again = locks.acquire(store, "flow")
    assert again is not None
    assert again.marks()[:3] == marks
    again.release()


def test_looking_for_a_cancel_reads_no_row_while_nobody_writes(
    database: Database, written: Journal
) -> None:
    """Its own commits do not count; another's do, once."""
    told: list[str] = []
    assert written.asked_to_stop() is None
    database.raw.set_trace_callback(told.append)
    written.commit_tick(ended(0))
    for _ in range(3):
        assert written.asked_to_stop() is None
    assert [text for text in told if "cancel_rows" in text] == []
    other = open_writer(database.path)
    cancels.ask(other, written.run_id + 1, at_us=0, by="eve")  # of no run: nothing is written
    assert written.asked_to_stop() is None
    cancels.ask(other, written.run_id, at_us=0, by="ada")
    other.close()
    assert written.asked_to_stop() == "ada"
    assert len([text for text in told if "cancel_rows" in text]) == 1
    database.raw.set_trace_callback(None)
