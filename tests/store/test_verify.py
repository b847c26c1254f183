"""What can be wrong with a store, each told in a sentence that says where."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.produced import OutputFile
from store import locks, verify
from store.connection import Database
from store.database import open_reader
from tests.store.filled import begun, dead_owner, did, end, value


@contextmanager
def reader(path: Path) -> Iterator[Database]:
    """Look at a store."""
    opened = open_reader(path)
    yield opened
    opened.close()


def findings(path: Path, *, fault: bool) -> list[str]:
    """Give the faults of a store, or the notes on it but for that on SQLite's version."""
    with reader(path) as opened:
        found = list(verify.verify(opened))
    return [one.text for one in found if one.fault is fault and "SQLite 3" not in one.text]


@pytest.fixture
def filled(path: Path, database: Database) -> Path:
    """Give a store with a run of two steps, with values, and its initial context."""
    journal = begun(database, "a b>a", context=[("start", value(b'"then"'))])
    did(journal, 0, outcomes="failed ok", writes=[("rows", value(b"[1,2,3]"))])
    did(journal, 1, writes=[("sum", value(b"6"))])
    end(journal)
    database.checkpoint()
    return path


def change(path: Path, *statements: str) -> None:
    """Change a store behind the program's back."""
    raw = sqlite3.connect(path)
    for statement in statements:
        raw.execute(statement)
    raw.commit()
    raw.close()


def test_a_good_store_has_no_fault(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a note, on a SQLite that is new enough."""
    monkeypatch.setattr(verify, "WAL_RESET_FIXED", (3, 35, 0))
    with reader(filled) as opened:
        assert list(verify.verify(opened)) == []


def test_an_older_sqlite_is_a_note(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names both versions."""
    monkeypatch.setattr(verify, "WAL_RESET_FIXED", (99, 0, 0))
    with reader(filled) as opened:
        (note,) = list(verify.verify(opened))
    assert not note.fault
    assert note.text.startswith(f"SQLite {sqlite3.sqlite_version} is older than 99.0.0, which")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("rows", "run 1, step 'a': the value 'rows' is damaged"),
        ("start", "run 1, the initial context: the value 'start' is damaged"),
    ],
)
def test_a_flipped_byte_of_a_value(filled: Path, key: str, text: str) -> None:
    """One that SQLite's own check does not find: run, step and key are named."""
    data = {"rows": b"[1,2,3]", "start": b'"then"'}[key]
    whole = filled.read_bytes()
    assert whole.count(data) == 1
    flipped = bytes([data[0], data[1] ^ 1, *data[2:]])
    filled.write_bytes(whole.replace(data, flipped))
    assert findings(filled, fault=True) == [text]


def test_missing_rows_leave_a_gap(filled: Path) -> None:
    """Whatever took them."""
    change(filled, "DELETE FROM attempt_rows WHERE number = 2")
    gap = "run 1 of 'flow': 9 events, and not all of them are there"
    counts = "its counts are not those of its rows (ok, attempts, retries)"
    assert findings(filled, fault=True) == [gap, f"run 1 of 'flow': {counts}"]


def test_what_tells_why_is_read_back_too(filled: Path) -> None:
    """Versions by their sum, and whether they are there; decisions by their event and form."""
    change(filled, "INSERT INTO decision_rows VALUES (1, 0, 99, 'skip', '{}')")
    change(filled, "INSERT INTO environment_rows VALUES (7, 'x', '{}')")
    change(filled, "UPDATE run_rows SET environment_id = 8 WHERE id = 1")
    assert findings(filled, fault=True) == [
        "environment 7 is damaged",
        "run 1 of 'flow': the versions it ran on are not there",
        "run 1 of 'flow': a decision does not read back",
    ]


def test_numbers_given_twice_leave_a_gap(filled: Path) -> None:
    """As many rows as there should be are not enough."""
    change(filled, "UPDATE attempt_rows SET claimed_seq = 1 WHERE position = 1")
    gap = ["run 1 of 'flow': 9 events, and not all of them are there"]
    assert findings(filled, fault=True) == gap


def test_counts_that_are_not_those_of_the_rows(filled: Path) -> None:
    """They are kept beside the rows, and must say the same."""
    change(filled, "UPDATE run_rows SET ok = 7, retries = 0")
    told = "run 1 of 'flow': its counts are not those of its rows (ok, retries)"
    assert findings(filled, fault=True) == [told]


def test_a_pruned_run_has_no_events_to_check(filled: Path) -> None:
    """Only its row is left, and what it counted."""
    change(filled, "DELETE FROM attempt_rows", "UPDATE run_rows SET pruned_at = 1")
    assert findings(filled, fault=True) == []


def test_a_run_that_is_on_has_its_events(path: Path, database: Database) -> None:
    """The number of a live run's events is that of its rows, too."""
    did(begun(database, "a b"), 0)
    begun(database)
    assert findings(path, fault=True) == []


def test_rows_that_name_nothing(filled: Path) -> None:
    """A row whose run is gone is a fault."""
    change(filled, "UPDATE output_rows SET run_id = 7 WHERE key = 'sum'")
    assert findings(filled, fault=True) == [
        "SQLite: a row of 'output_rows' names one that is not there"
    ]


def test_a_schema_of_another_hand(filled: Path) -> None:
    """What is missing or changed is a fault; what somebody has added is a note."""
    change(
        filled,
        "DROP INDEX ix_alert_rows_status",
        "DROP VIEW alerts",
        "CREATE VIEW alerts AS SELECT 1",
        "CREATE VIEW mine AS SELECT 1",
    )
    assert findings(filled, fault=True) == [
        "the index 'ix_alert_rows_status' is missing",
        "the view 'alerts' is not as this version makes it",
    ]
    assert findings(filled, fault=False) == ["the view 'mine' is none of ours"]


def test_a_damaged_page_does_not_hide_the_rest(filled: Path) -> None:
    """Each check says what it can; none ends in a traceback."""
    raw = sqlite3.connect(filled)
    page = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'attempt_rows'").fetchone()
    raw.close()
    with filled.open("r+b") as file:
        file.seek((page[0] - 1) * 4096)
        file.write(b"\xff" * 64)
    change(filled, "UPDATE output_rows SET data = 'text' WHERE key = 'sum'")
    faults = findings(filled, fault=True)
    malformed = "could not go on: database disk image is malformed"
    assert f"the check of its events {malformed}" in faults
    assert "run 1, step 'b': the value 'sum' is damaged" in faults


def test_lost_commits(filled: Path) -> None:
    """The head of a lock file knows of more than there is."""
    lock = locks.acquire(filled, "flow")
    assert lock is not None
    lock.begin(locks.this_process(lock.name))
    lock.reached(1, 12)
    lock.release()
    assert findings(filled, fault=True) == [
        "commits are lost: run 1 of 'flow' had 12 events, the store has 9"
    ]


def test_what_the_next_run_sees_to(path: Path, database: Database) -> None:
    """A run without an engine and a file not yet renamed are notes."""
    journal = begun(database, "a b", owner=dead_owner())
    did(journal, 0, files=[OutputFile("/x/.tmp", "/x/out.csv", "0" * 64, 3)])
    assert findings(path, fault=False) == [
        "run 1 of 'flow' has no engine; the next run records that"
    ]
    end(journal, "interrupted")
    assert findings(path, fault=False) == [
        "the file '/x/out.csv' of run 1 of 'flow' is not in its place yet; the next run sees to it"
    ]


def test_what_others_may_use(filled: Path) -> None:
    """Made under another mask, or opened to others since: the command that mends it is there."""
    filled.chmod(0o644)
    filled.parent.chmod(0o777)
    found = [text for text in findings(filled, fault=False) if "runs.db-" not in text]
    assert found == [
        f"others may use '{filled}' (mode 644): chmod 600 {filled}",
        f"others may use '{filled.parent}' (mode 777): chmod 700 {filled.parent}",
    ]
    assert findings(filled, fault=True) == []


def test_a_copy_is_noted(filled: Path, database: Database) -> None:
    """It is whole, but cannot be written to."""
    database.close()
    copy = filled.with_name("copy.db")
    copy.write_bytes(filled.read_bytes())
    copy.chmod(0o600)
    assert findings(copy, fault=False) == [
        f"the store '{copy}' is a copy or was moved: it belongs at '{filled}'"
    ]
