"""Opening the store: made whole or not at all, under any name; one transaction at a time."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from engine.errors import StoreError, UsageError
from store import database as module
from store import locks
from store.connection import Database
from store.database import open_reader, open_writer, path_of
from store.history import History
from store.version import APPLICATION_ID
from tests.store.filled import a_run, begun, finished, python

NAMES = ("with space", "50%25", "what?", "a#b", "ünï-日本", "it's", ":memory:x", "&=;")


def pragma(database: Database, name: str) -> object:
    """Ask a connection for a setting."""
    return database.raw.execute(f"PRAGMA {name}").fetchone()[0]


def mode(path: Path) -> int:
    """Give a path's permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def without_what_is_kept(folder: Path) -> list[str]:
    """Name what is in a folder, but for the reserve, and what SQLite keeps for its readers."""
    kept = ("-wal", "-shm", ".reserve")
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(kept))


# -- names ----------------------------------------------------------------------------------------


def test_a_relative_url_starts_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three slashes are relative, four absolute."""
    monkeypatch.chdir(tmp_path)
    assert path_of("sqlite:///var/runs.db") == tmp_path / "var" / "runs.db"
    assert path_of("sqlite:////srv/runs.db") == Path("/srv/runs.db")


@pytest.mark.parametrize(
    "url",
    ["postgresql://host/db", "mysql+pymysql://h/d", "sqlite://", "sqlite:///", "runs.db", "",
     "sqlite:///:memory:", "sqlite+pysqlite:///x.db", "sqlite:///a\0b"],
)  # fmt: skip
def test_another_database_is_refused(url: str) -> None:
    """What is not a SQLite file ends with code 2 in one sentence."""
    with pytest.raises(UsageError) as caught:
        path_of(url)
    assert caught.value.exit_code == 2
    scheme = url.partition(":")[0]
    assert caught.value.message == f"the store must be a SQLite file, not '{scheme}:…'"
    assert "password" not in caught.value.message


def test_options_in_the_url_are_refused() -> None:
    """An option would otherwise become a part of the file's name."""
    with pytest.raises(UsageError, match=r"takes no options: 'mode=ro&cache=shared'"):
        path_of("sqlite:////srv/runs.db?mode=ro&cache=shared")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_file_and_folder_works(tmp_path: Path, name: str) -> None:
    """Nothing in a path is taken for syntax, in making, writing, reading or locking."""
    path = path_of(f"sqlite:///{tmp_path}/{name}/{name}.db")
    writer = open_writer(path)
    a_run(writer)
    lock = locks.acquire(path, "flow")
    assert lock is not None
    lock.release()
    writer.close()
    reader = open_reader(path)
    assert [row["status"] for row in History(reader).runs()] == ["ok"]
    reader.close()
    assert without_what_is_kept(tmp_path / name) == sorted([f"{name}.db", f"{name}.db.locks"])


def test_a_name_that_is_no_utf8_works(tmp_path: Path) -> None:
    """A path is bytes to the system, and to us."""
    path = tmp_path / os.fsdecode(b"caf\xe9.db")
    open_writer(path).close()
    open_reader(path).close()
    assert without_what_is_kept(tmp_path) == [path.name]


# -- making it ------------------------------------------------------------------------------------


def test_a_new_store_is_private(path: Path) -> None:
    """File, log and lock are for their user alone, as is the folder."""
    previous = os.umask(0)
    try:
        database = open_writer(path)
        begun(database)
        assert (mode(path.parent), mode(path)) == (0o700, 0o600)
        assert mode(path.with_name("runs.db-wal")) == 0o600
        database.close()
    finally:
        os.umask(previous)
    assert sorted(p.name for p in path.parent.iterdir()) == ["runs.db", "runs.db.reserve"]
    assert mode(path.with_name("runs.db.reserve")) == 0o600


def test_the_writer_is_durable(database: Database) -> None:
    """Write-ahead log, synced at every commit, foreign keys held."""
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2
    assert pragma(database, "foreign_keys") == 1
    assert pragma(database, "busy_timeout") == 10_000
    assert pragma(database, "application_id") == APPLICATION_ID


def test_the_reader_cannot_write(path: Path, database: Database) -> None:
    """It is refused by SQLite itself."""
    reader = open_reader(path)
    assert pragma(reader, "query_only") == 1
    with pytest.raises(StoreError, match="cannot be written or opened"), reader.write() as cursor:
        cursor.execute("DELETE FROM run_rows")
    reader.close()
    assert database.writable
    assert not reader.writable


def test_a_reader_makes_nothing(path: Path) -> None:
    """Where no store is, one sentence says so, and nothing is there afterwards."""
    with pytest.raises(StoreError) as caught:
        open_reader(path)
    assert caught.value.message == f"there is no store at '{path}' yet"
    assert caught.value.hint == "it is made by the first run; see `list`"
    assert caught.value.exit_code == 3
    assert not path.parent.exists()


MAKE = """
import sys
from pathlib import Path
from store.database import open_writer
sys.stdin.readline()
database = open_writer(Path(sys.argv[1]))
with database.write() as cursor:
    cursor.execute("INSERT INTO definition_rows (sha256, workflow) VALUES (?, 'w')", sys.argv[2:])
print(database.raw.execute("PRAGMA journal_mode").fetchone()[0])
"""


def test_made_once_by_processes_that_come_together(path: Path) -> None:
    """Both find the same whole store; what each wrote is in it."""
    both = [python(MAKE, path, number) for number in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [finished(process) for process in both] == ["wal\n", "wal\n"]
    reader = open_reader(path)
    rows = reader.raw.execute("SELECT sha256 FROM definition_rows ORDER BY 1").fetchall()
    reader.close()
    assert rows == [("0",), ("1",)]
    assert not list(path.parent.glob("*.new*"))


def test_a_making_that_was_killed_is_in_nobodys_way(path: Path) -> None:
    """What it left beside the place stops no later one, whatever number its process had."""
    path.parent.mkdir()
    path.with_name(f".{path.name}.{os.getpid()}.new").touch()
    open_writer(path).close()
    open_reader(path).close()


def test_a_making_that_fails_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a store is never seen."""

    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(module, "_write_schema", broken)
    with pytest.raises(StoreError, match="refused a statement: disk I/O error"):
        open_writer(path)
    assert list(path.parent.iterdir()) == []


def test_a_link_leads_to_one_store_and_its_locks(path: Path, database: Database) -> None:
    """Two ways to one file are one store: a lock taken by one is held for the other."""
    link = path.parent.parent / "link.db"
    link.symlink_to(path)
    lock = locks.acquire(link, "flow")
    assert lock is not None
    assert locks.held(database.path, "flow.lock")
    assert locks.acquire(path, "flow") is None
    lock.release()


def test_a_link_that_leads_nowhere_is_refused(path: Path) -> None:
    """Nothing is made in a place that may be a disk not mounted."""
    path.parent.mkdir()
    path.symlink_to(path.parent / "gone" / "runs.db")
    with pytest.raises(StoreError, match="is a link that leads nowhere"):
        open_writer(path)
    with pytest.raises(StoreError, match="there is no store at"):
        open_reader(path)


# -- transactions ---------------------------------------------------------------------------------


def test_a_write_is_all_or_nothing(database: Database) -> None:
    """Whatever is raised within, nothing of it stays."""
    insert = "INSERT INTO definition_rows (sha256, workflow) VALUES ('x', 'w')"

    def stopped() -> None:
        with database.write() as cursor:
            cursor.execute(insert)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with database.write() as cursor:
        assert cursor.execute("SELECT count(*) FROM definition_rows").fetchone() == (0,)


def test_a_read_ends_no_write(database: Database) -> None:
    """A read that comes into a transaction fails; the transaction goes on."""
    with database.write() as cursor:
        cursor.execute("INSERT INTO definition_rows (sha256, workflow) VALUES ('x', 'w')")
        with pytest.raises(StoreError, match="within a transaction"), database.read():
            pass
        with pytest.raises(StoreError, match="within a transaction"), database.write():
            pass
    assert database.raw.execute("SELECT sha256 FROM definition_rows").fetchall() == [("x",)]


def test_a_read_is_one_view(path: Path, database: Database) -> None:
    """What is committed meanwhile is seen by the next read only."""
    reader = open_reader(path)
    count = "SELECT count(*) FROM run_rows"
    with reader.read() as cursor:
        assert cursor.execute(count).fetchone() == (0,)
        a_run(database)
        assert cursor.execute(count).fetchone() == (0,)
    with reader.read() as cursor:
        assert cursor.execute(count).fetchone() == (1,)
    reader.close()


def test_errors_hold_no_values(database: Database) -> None:
    """What is bound to a statement may be private."""
    begun(database)
    sql = "INSERT INTO alert_rows (run_id, channel, status, created_at, tries, error)"
    sql += " VALUES (?, 'pigeon', 'pending', 0, 0, ?)"
    with pytest.raises(StoreError) as caught, database.write() as cursor:
        cursor.execute(sql, (1, "hunter2"))
    assert "hunter2" not in str(caught.value)
    assert "CHECK constraint failed: ck_alert_rows_channel" in caught.value.message
