"""What the write side does to be quick: rows in blocks, marks through a mapping."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import StoreBusy, SupersededError
from engine.events import Action, BackOff, Claim, EndAttempt, EndStep
from engine.model import AttemptOutcome, StepStatus
from store import cancels, journal, locks, mounts
from store.connection import Database
from store.database import open_writer
from store.journal import Journal
from tests.store.filled import CLOCK, begun

OK = AttemptOutcome.OK
STEPS = 700  # one block of each size, and a rest


FAILED: list[Action] = [
    EndAttempt(1, 1, AttemptOutcome.FAILED, 1.0, 2.0, "boom"),
    BackOff(1, 1, 9.0),
]


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
    assert database.raw.execute("SELECT count(*) FROM step_rows").fetchone() == (0,)
    rows = database.raw.execute(
        "SELECT position, status, attempts, duration_s FROM step_runs ORDER BY position"
    ).fetchall()
    assert rows == [(s, "ok", 1, 1.0 + s) for s in range(STEPS)]


@pytest.mark.parametrize("wrong", [0, 600, 650, STEPS - 1])
def test_one_row_in_a_wrong_state_undoes_all(
    database: Database, written: Journal, wrong: int
) -> None:
    """In whichever block it is."""
    actions = [a for s in range(STEPS) for a in ended(s, number=2 if s == wrong else 1)]
    with pytest.raises(SupersededError) as caught:
        written.commit_tick(actions)
    assert caught.value.message == f"attempt 2 of step {wrong} cannot be ended as the run stands"
    assert database.raw.execute("SELECT count(*) FROM attempt_rows").fetchone() == (0,)
    written.commit_tick([action for step in range(STEPS) for action in ended(step)])


def test_a_tick_that_fails_on_the_way_can_be_given_again(
    database: Database, written: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the journal knows of the run goes back with the transaction."""
    tick: list[Action] = [*ended(0), *FAILED, Claim(1, 2, 9.0, report=False)]

    def full(_: str) -> None:
        raise StoreBusy("no")

    monkeypatch.setattr(journal, "failpoint", full)
    with pytest.raises(StoreBusy):
        written.commit_tick(tick)
    monkeypatch.undo()
    assert database.raw.execute("SELECT count(*) FROM attempt_rows").fetchone() == (0,)
    written.commit_tick(tick)
    summary = "SELECT ok, attempts, retries FROM run_summary"
    assert database.raw.execute(summary).fetchone() == (1, STEPS + 1, 1)


def test_another_journal_goes_on_where_the_first_stands(
    database: Database, written: Journal
) -> None:
    """What is live, tried and ended is read from the store; the guards hold as before."""
    written.commit_tick([*ended(0), *FAILED])
    other = Journal(database, written.run_id, stamp=CLOCK.stamp, channels=lambda _: ())
    for wrong in (Claim(0, 2, 3.0, report=False), Claim(1, 1, 9.0, report=False), ended(0)[0]):
        with pytest.raises(SupersededError):
            other.commit_tick([wrong])
    other.commit_tick([*ended(2), Claim(1, 2, 9.0, report=False)])
    assert database.raw.execute("SELECT ok FROM run_summary").fetchone() == (2,)


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
