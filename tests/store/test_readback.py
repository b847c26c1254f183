"""Values whose bytes are not what was written, or that were let go, are told step by step."""

from __future__ import annotations

import pytest

from engine.clock import SystemClock
from engine.events import Action, Claim, EndAttempt, EndStep
from engine.model import AttemptOutcome, StepStatus
from store.connection import Database
from store.history import History
from tests.store.filled import begun, did, end, value


@pytest.fixture
def filled(database: Database) -> Database:
    """Give a store with a run of two steps that left values, and an initial context."""
    journal = begun(database, "a b>a", context=[("start", value(b"7"))])
    did(journal, 0, writes=[("rows", value(b"[1]")), ("more", value(b"2"))])
    did(journal, 1, writes=[("sum", value(b"6"))])
    end(journal, "failed")
    return database


def faults(database: Database, run_id: int = 1) -> list[str]:
    """Give the faults of the initial context and of both steps."""
    found = History(database).value_faults()
    return [found.of_step(run_id, step) for step in ("", "a", "b")]


def test_whole_values_have_no_fault(filled: Database) -> None:
    """Nor has a step that left none."""
    assert faults(filled) == ["", "", ""]
    assert History(filled).value_faults().of_step(1, "other") == ""


@pytest.mark.parametrize(
    "change",
    [
        "SET data = x'5b325d'",  # another byte
        "SET data = x''",
        "SET data = '[1]'",  # the same, as text
        "SET sha256 = upper(sha256)",
    ],
)
def test_a_damaged_value_is_named(filled: Database, change: str) -> None:
    """Whichever of the two is wrong; the other steps of the run have their values."""
    filled.raw.execute(f"UPDATE output_rows {change} WHERE key = 'rows'")
    assert faults(filled) == ["", "its stored value 'rows' is damaged", ""]


def test_a_damaged_initial_context(filled: Database) -> None:
    """It is the run's own, under no step's name."""
    filled.raw.execute("UPDATE output_rows SET data = x'00' WHERE position = -1")
    assert faults(filled) == ["its stored value 'start' is damaged", "", ""]


def test_what_was_let_go(filled: Database) -> None:
    """Of a pruned run nothing can be used, whatever of it is still there."""
    filled.raw.execute("UPDATE run_rows SET pruned_at = 1")
    assert faults(filled) == ["its values were pruned"] * 3
    assert faults(filled, run_id=9) == ["its values are gone with run 9"] * 3


def test_ten_thousand_steps_are_no_wait(database: Database) -> None:
    """All values of a wide run are looked through in less than it takes to start one process."""
    count = 10_000
    journal = begun(database, " ".join(f"s{at}" for at in range(count)))
    journal.commit_tick([Claim(step, 1, 0.0, report=False) for step in range(count)])
    ends: list[Action] = []
    for step in range(count):
        ends.append(EndAttempt(step, 1, AttemptOutcome.OK, 0.0, 1.0))
        ends.append(EndStep(step, StepStatus.OK, 1.0, "", (("k", value(b"[1,2,3]")),)))
    journal.commit_tick(ends)
    clock = SystemClock()
    begin = clock.now()
    found = History(database).value_faults()
    assert not any(found.of_step(1, f"s{at}") for at in range(count))
    assert clock.now() - begin < 0.5  # 0.02 s on a quiet machine
