"""Backups: consistent while runs go on, read back, and there whole or not at all."""

from __future__ import annotations

import fcntl
import os
import resource
import sqlite3
import stat
from pathlib import Path

import pytest

from engine.errors import StoreError, UsageError
from store import copies
from store.connection import Database
from store.database import open_reader, open_writer
from store.history import History
from store.journal import INITIAL
from tests.store.filled import a_run, begun, did, end, finished, python, value

WRITES = """
import sys, time
from pathlib import Path
from store.database import open_writer
from tests.store.filled import begun, did, end, value

database, worst = open_writer(Path(sys.argv[1])), 0.0
print("ready", flush=True)
while not Path(sys.argv[2]).exists():
    journal = begun(database, "a b>a c>b")
    for step in range(3):
        begins = time.monotonic()
        did(journal, step, outcomes="failed ok", writes=[("key", value(b"x" * 20_000))])
        worst = max(worst, time.monotonic() - begins)
    end(journal)
print(worst)
"""


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask a copy."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_a_backup_in_mid_run_is_whole(path: Path, tmp_path: Path) -> None:
    """Each of five copies of a store written at full speed reads back, and none is like another.

    A run that was going on is in it as far as it had come: its events have no gap.
    """
    open_writer(path).close()
    writer = python(WRITES, path, tmp_path / "stop")
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    made: list[copies.Backup] = []
    for number in range(5):
        there = rows(made[-1].path, "SELECT count(*) FROM attempts")[0] if made else (0,)
        while rows(path, "SELECT count(*) FROM attempts")[0] <= there:
            pass  # the writer is a process of its own
        reader = open_reader(path)
        made.append(copies.backup(reader, tmp_path / f"copy{number}.db"))
        reader.close()
    (tmp_path / "stop").touch()
    worst_s = float(finished(writer))
    print(f"the slowest step of the writer took {worst_s * 1000:.0f} ms")
    assert worst_s < 5
    counts = []
    for backup in made:
        assert copies.check(backup.path, "it does not read back") == backup.runs
        assert stat.S_IMODE(backup.path.stat().st_mode) == 0o600
        found = rows(backup.path, "SELECT (SELECT count(*) FROM events), count(*) FROM outputs")
        counts.append(found[0])
    assert counts == sorted(set(counts))
    assert [p.name for p in tmp_path.glob(".*")] == []


def test_a_copy_is_a_store(database: Database, tmp_path: Path) -> None:
    """With every row and the last number given, in one file that needs no other beside it."""
    journal = begun(database, "a", context=[("seed", value())])
    did(journal, 0, writes=[("k", value(b'"v"'))])
    end(journal)
    a_run(database)
    database.raw.execute("DELETE FROM sqlite_sequence WHERE name = 'alert_rows'")
    with database.write() as cursor:
        cursor.execute("UPDATE sqlite_sequence SET seq = 40 WHERE name = 'run_rows'")
    made = copies.backup(database, tmp_path / "copy.db")
    assert made == copies.Backup(tmp_path / "copy.db", made.path.stat().st_size, 2)
    reader = open_reader(made.path)
    assert History(reader).load(1, "a", "k") == value(b'"v"')
    assert reader.raw.execute("SELECT count(*) FROM outputs").fetchone() == (2,)
    assert reader.raw.execute("SELECT seq FROM sqlite_sequence").fetchall() == [(40,)]
    reader.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.db", "home"]


def test_nothing_is_overwritten(database: Database, tmp_path: Path) -> None:
    """What is there stays, a link that leads nowhere too."""
    there, link = tmp_path / "there.db", tmp_path / "link.db"
    there.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for target in (there, link):
        with pytest.raises(UsageError, match="is there already"):
            copies.backup(database, target)
    with pytest.raises(UsageError, match="there is no folder"):
        copies.backup(database, tmp_path / "none" / "copy.db")
    assert there.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (
            "UPDATE attempt_rows SET ended_seq = 1",
            "run 1 of 'flow': 4 events, and not all of them are there",
        ),
        ("DELETE FROM attempt_rows", "run 1 of 'flow': 4 events, and not all of them are there"),
        ("DELETE FROM definition_rows", "SQLite: a row of 'run_rows' names one that is not there"),
    ],
)
def test_what_does_not_read_back_is_no_backup(
    database: Database, tmp_path: Path, damage: str, told: str
) -> None:
    """The error names the fault, and no file is left."""
    journal = begun(database, "a")
    did(journal, 0, writes=[("k", value())])
    end(journal)
    database.raw.execute("PRAGMA foreign_keys = OFF")
    database.raw.execute(damage)
    with pytest.raises(StoreError) as caught:
        copies.backup(database, tmp_path / "copy.db")
    assert told in caught.value.message
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_a_value_that_is_damaged_in_the_store_is_copied(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one flipped bit, in a run that is kept, would be the end of all backups; it is named."""
    journal = begun(database, "a")
    did(journal, 0, writes=[("k", value())])
    end(journal)
    for damage, told in (
        ("UPDATE output_rows SET data = x'32'", "run 1, step 'a': the value 'k' is damaged"),
        (
            f"UPDATE output_rows SET position = {INITIAL}",
            "run 1, the initial context: the value 'k' is damaged",
        ),
    ):
        database.raw.execute(damage)
        made = copies.backup(database, tmp_path / f"copy{len(told)}.db")
        assert made.damaged == (told,)
    monkeypatch.setattr(copies, "damaged_values", lambda _: ("run 1, step 'b': as copied",))
    with pytest.raises(StoreError, match="run 1, step 'b': as copied"):
        copies.backup(database, tmp_path / "bad.db")
    assert not (tmp_path / "bad.db").exists()


def test_a_damaged_file_is_told(database: Database, tmp_path: Path) -> None:
    """A page of an index that is overwritten is found by the check, though queries may miss it."""
    for _ in range(30):
        a_run(database)
    made = copies.backup(database, tmp_path / "copy.db").path
    page = rows(made, "SELECT rootpage FROM sqlite_master WHERE name = 'ix_run_rows_age'")[0][0]
    assert isinstance(page, int)
    with made.open("r+b") as file:
        file.seek(page * 4096 - 1000)
        file.write(b"\x55" * 1000)
    with pytest.raises(StoreError, match="it is damaged"):
        copies.check(made, "it is damaged")


def test_leavings_of_the_killed_are_swept(database: Database, tmp_path: Path) -> None:
    """Half a copy goes with the next backup; one that somebody is making stays."""
    left = tmp_path / ".runs.db.abc.kahnban-copy"
    living = tmp_path / ".other.db.abc.kahnban-copy"
    mine = tmp_path / ".notes.copy"
    for path in (left, living, mine):
        path.write_text("half")
    fd = os.open(living, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    copies.backup(database, tmp_path / "copy.db")
    os.close(fd)
    assert {p.name for p in tmp_path.glob(".*")} == {living.name, mine.name}


def test_a_full_disk_makes_no_backup(database: Database, tmp_path: Path) -> None:
    """The error says which disk; nothing is left there."""
    a_run(database)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(StoreError, match=f"cannot be copied to '{tmp_path}': ") as caught:
            copies.backup(database, tmp_path / "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.hint == "make space on that disk"
    assert [p.name for p in tmp_path.iterdir()] == ["home"]
