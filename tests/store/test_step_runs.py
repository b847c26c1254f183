"""What became of a step: told in Python as the view tells it in SQL."""

from __future__ import annotations

import json
from random import Random  # noqa: TID251 - seeded
from typing import Any

import pytest

from engine.events import BackOff, Claim, EndAttempt, EndStep, RecordStart
from engine.model import AttemptOutcome, StepStatus
from store.connection import Database
from store.history import History
from store.journal import Journal
from store.new_run import OWN_KEY, Marked, TakenOver
from store.step_runs import StepRun, step_runs
from tests.store.filled import begun, did, end, settle, us

STEPS = 400
BAD = ("failed", "timed_out", "cancelled", "interrupted", "abandoned")


def told(database: Database, run_id: int, positions: list[int] | None = None) -> list[StepRun]:
    """Read the steps of a run."""
    with database.read() as cursor:
        return list(step_runs(cursor, run_id, positions))


def from_view(database: Database, run_id: int) -> list[dict[str, Any]]:
    """Read the same by the view."""
    sql = "SELECT * FROM step_runs WHERE run_id = ? ORDER BY position"
    with database.read() as cursor:
        cursor.execute(sql, (run_id,))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def draw(database: Database, seed: int) -> int:
    """Write rows as they come, likely or not: what is settled, tried, live, carried, marked."""
    random = Random(seed)
    journal = begun(database, " ".join(f"s{at}" for at in range(STEPS)))
    run_id, live = journal.run_id, []

    def at() -> int | None:
        return random.choice((None, us(random.randrange(10**4) / 7)))

    with database.write() as cursor:
        for step in range(STEPS):
            number = 0
            for number in range(1, random.choice((0, 1, 1, 1, 2, 4)) + 1):
                begins = at()
                ends = None if begins is None else begins + random.randrange(10**7)
                tried = (run_id, step, number, begins, ends, random.choice(BAD), at(), "e\nf")
                cursor.execute("INSERT INTO attempt_rows VALUES (?,?,?,?,?,?,?,?,0,0)", tried)
            if number and random.random() < 0.5:
                cursor.execute(
                    "UPDATE attempt_rows SET outcome = 'ok', retry_at = NULL, error = NULL"
                    " WHERE position = ? AND number = ?",
                    (step, number),
                )
            elif random.random() < 0.2:
                live.append([step, number + 1, 1, at()])
            if random.random() < 0.4:
                status = random.choice(("ok", "failed", "skipped", "cached", "interrupted"))
                note = random.choice(("", "a note"))
                source = 1 if status == "cached" else None
                settled = (run_id, step, status, at(), note, source)
                cursor.execute("INSERT INTO step_rows VALUES (?,?,?,?,?,?,0)", settled)
            if random.random() < 0.2:
                carried = (run_id, step, 1, at(), 1, 0, random.choice(("", "its code changed")))
                cursor.execute("INSERT INTO carried_rows VALUES (?,?,?,?,?,?,?)", carried)
            if random.random() < 0.1:
                cursor.execute("INSERT INTO marked_rows VALUES (?,?,'ann')", (run_id, step))
        cursor.execute("UPDATE run_rows SET live = ?", (json.dumps(live),))
    return run_id


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_rows_say_it_is_what_the_view_says(database: Database, seed: int) -> None:
    """All columns of all steps, of a run that is on and of one that has ended."""
    run_id = draw(database, seed)
    for _ in range(2):
        shown = from_view(database, run_id)
        assert [step.row(run_id) for step in told(database, run_id)] == shown
        assert len({row["status"] for row in shown}) >= 6
        with database.write() as cursor:
            cursor.execute("UPDATE run_rows SET status = 'failed', finished_at = started_at")


def test_some_steps_are_told_as_all_are(database: Database) -> None:
    """By position, in declaration order; of a run that is not there, none."""
    run_id = draw(database, 3)
    everything = told(database, run_id)
    assert told(database, run_id, [390, 7, 8, 1000]) == [everything[at] for at in (7, 8, 390)]
    assert told(database, run_id, []) == told(database, 77) == []


def test_a_continued_run_with_marks(database: Database) -> None:
    """As the engine records it: reused, redone, waiting, marked, skipped, and done at once."""
    taken = [
        TakenOver(0, StepStatus.CACHED, "ok in run 1", source_run=1),
        TakenOver(1, None, used=1, retry_at=us(9.5)),
        TakenOver(2, None, key_run=OWN_KEY, why="its code changed"),
        TakenOver(3, StepStatus.OK, "marked as done by ann"),
    ]
    marks = [Marked(3, "ann", [])]
    end(begun(database, "a b c d e f"), "failed")
    journal = begun(database, "a b c d e f", taken_over=taken, marked=marks, started_at=us(2.0))
    did(journal, 2, at=3.0)
    did(journal, 4, at=3.0, outcomes="failed failed ok")
    settle(journal, 5, "skipped", at=4.0, note="condition false")
    shown = [step.row(2) for step in told(database, 2)]
    assert shown == from_view(database, 2)
    keys = ("status", "note", "duration_s", "attempts", "next_attempt_at", "marked_by")
    assert [tuple(row[key] for key in keys) for row in shown] == [
        ("cached", "ok in run 1", 0.0, 0, None, None),
        ("backing_off", "", None, 0, "2011-11-14T00:00:09.500Z", None),
        ("ok", "redone: its code changed", 1.0, 1, None, None),
        ("ok", "marked as done by ann", 0.0, 0, None, "ann"),
        ("ok", "", 21.0, 3, None, None),
        ("skipped", "condition false", 0.0, 0, None, None),
    ]


# -- what its attempts came to --------------------------------------------------------------------


def came_to(database: Database, journal: Journal) -> tuple[int, str, int | None, int | None]:
    """Give what the report wants to know of a run's first step."""
    step = told(database, journal.run_id)[0]
    return step.made, step.error, step.last, step.failed


def test_the_last_attempt_tells_the_error(database: Database) -> None:
    """One that was overcome is none; which attempt failed last is known all the same."""
    journal = begun(database, "a")
    assert came_to(database, journal) == (0, "", None, None)
    journal.commit_tick([Claim(0, 1, 1.0, report=False), RecordStart(0, 1, 1.0)])
    assert came_to(database, journal) == (1, "", 1, None)
    failed = EndAttempt(0, 1, AttemptOutcome.TIMED_OUT, 1.0, 2.0, "too slow")
    journal.commit_tick([failed, BackOff(0, 1, 5.0)])
    assert came_to(database, journal) == (1, "too slow", 1, 1)
    journal.commit_tick([Claim(0, 2, 5.0, report=False)])
    assert came_to(database, journal) == (2, "", 2, 1)
    ended = EndAttempt(0, 2, AttemptOutcome.OK, 5.0, 6.0, "")
    journal.commit_tick([ended, EndStep(0, StepStatus.OK, 6.0, "")])
    assert came_to(database, journal) == (2, "", 2, 1)


def test_an_attempt_taken_back_before_it_began_is_none(database: Database) -> None:
    """A claim that was withdrawn never ran; one that was stopped did."""
    for begins, expected in ((None, (0, "", None, None)), (1.0, (1, "stopped", 1, None))):
        journal = begun(database, "a", workflow=f"flow-{begins}")
        journal.commit_tick([Claim(0, 1, 1.0, report=False)])
        outcome = AttemptOutcome.CANCELLED if begins is None else AttemptOutcome.INTERRUPTED
        error = "" if begins is None else "stopped"
        ended = EndAttempt(0, 1, outcome, begins, None if begins is None else 2.0, error)
        journal.commit_tick([ended, EndStep(0, StepStatus.CANCELLED, 2.0, "")])
        end(journal, "interrupted")
        assert came_to(database, journal) == expected
        assert History(database).steps(journal.run_id)[0]["attempts"] == 1
