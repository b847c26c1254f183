"""Opening the store: made whole or not at all, and everything that can be wrong with it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from engine.errors import AlreadyRunning, StoreBusy, StoreError, UsageError
from store import connection, locks
from store import database as module
from store.connection import Database
from store.database import open_reader, open_writer, path_of
from store.history import History
from store.tables import APPLICATION_ID, REVISIONS
from tests.store.filled import a_run, begun, finished, python

NAMES = ("with space", "50%25", "what?", "a#b", "ünï-日本", "it's", ":memory:x", "&=;")


def pragma(database: Database, name: str) -> object:
    """Ask a connection for a setting."""
    return database.raw.execute(f"PRAGMA {name}").fetchone()[0]


def mode(path: Path) -> int:
    """Give a path's permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def without_sqlites_own(folder: Path) -> list[str]:
    """Name what is in a folder, but for what SQLite keeps beside a store for its readers."""
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(("-wal", "-shm")))


def as_nobody(program: str, *arguments: object) -> str:
    """Run a program as another user, with the checkout's modules imported before."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    become = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    imports = (
        "import sys, sqlalchemy, sqlalchemy.dialects.sqlite, sqlalchemy.pool\n"
        "import sqlalchemy.schema, store.tables, store.database as d, pwd, locale\n"
        "from pathlib import Path\nfrom engine.errors import StoreError\n"
    )
    return finished(python(imports + become + program, *arguments))


REPORT = """
try:
    d.{open}(Path(sys.argv[1])).close()
    print("opened")
except StoreError as error:
    print(error.message, error.hint, sep="|")
"""

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
    assert without_sqlites_own(tmp_path / name) == sorted([f"{name}.db", f"{name}.db.locks"])


def test_a_name_that_is_no_utf8_works(tmp_path: Path) -> None:
    """A path is bytes to the system, and to us."""
    path = tmp_path / os.fsdecode(b"caf\xe9.db")
    open_writer(path).close()
    open_reader(path).close()
    assert without_sqlites_own(tmp_path) == [path.name]


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
    assert [p.name for p in path.parent.iterdir()] == ["runs.db"]


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

    def broken(_: Path) -> None:
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


# -- what is no store -----------------------------------------------------------------------------


def test_a_folder_is_refused(path: Path) -> None:
    """Reader and writer say what it is."""
    path.mkdir(parents=True)
    for opening in (open_writer, open_reader):
        with pytest.raises(StoreError) as caught:
            opening(path)
        assert caught.value.message == f"the store '{path}' is a folder"
        assert caught.value.hint == "name a file with --store"


def test_another_programs_file_is_not_touched(path: Path) -> None:
    """Not one byte of it changes, nor does anything appear beside it."""
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE runs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    for opening in (open_writer, open_reader):
        with pytest.raises(StoreError) as caught:
            opening(path)
        assert caught.value.message == f"'{path}' is not a store of this program"
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["runs.db"]


def test_an_empty_file_is_not_touched(path: Path) -> None:
    """Whose it is cannot be known."""
    path.parent.mkdir()
    path.touch()
    for opening in (open_writer, open_reader):
        with pytest.raises(StoreError, match="is not a store of this program"):
            opening(path)
    assert path.stat().st_size == 0


def test_garbage_is_refused(path: Path) -> None:
    """A file that SQLite cannot read is damaged or no store, and stays as it is."""
    path.parent.mkdir()
    path.write_bytes(b"garbage" * 1000)
    for opening in (open_writer, open_reader):
        with pytest.raises(StoreError) as caught:
            opening(path)
        assert caught.value.message == (
            f"the store '{path}' is damaged or no store: file is not a database"
        )
        assert caught.value.hint.startswith("move it away (with its -wal and -shm)")
    assert path.read_bytes() == b"garbage" * 1000


def test_a_truncated_store_is_refused(path: Path, database: Database) -> None:
    """Half a file is found at the first look."""
    a_run(database)
    database.close()
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // 8)
    with pytest.raises(StoreError, match="is damaged or no store: database disk image is malform"):
        History(open_writer(path)).runs()


# -- other versions -------------------------------------------------------------------------------


def versioned(path: Path, version: str | None) -> None:
    """Give an existing store another version, or take its version away."""
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM alembic_version")
    if version is not None:
        connection.execute("INSERT INTO alembic_version VALUES (?)", (version,))
    connection.commit()
    connection.close()


def old_store(path: Path) -> None:
    """Make a store of ours from before its first table."""
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    connection.commit()
    connection.close()


def test_a_newer_store_is_refused(path: Path, database: Database) -> None:
    """One sentence, and what to do."""
    database.close()
    versioned(path, "9999")
    for opening in (open_writer, open_reader):
        with pytest.raises(StoreError) as caught:
            opening(path)
        assert caught.value.message == (
            f"the store '{path}' is of version 9999, newer than this program"
        )
        assert caught.value.hint == "upgrade this program, or name another store with --store"


def test_an_older_store_is_upgraded_after_a_copy(path: Path) -> None:
    """The copy is what the store was; the store is then as a new one."""
    old_store(path)
    database = open_writer(path)
    assert database.raw.execute("SELECT * FROM alembic_version").fetchall() == [(REVISIONS[-1],)]
    a_run(database)
    database.close()
    copy = path.with_name("runs.db.before-upgrade-from-none.1")
    assert mode(copy) == 0o600
    connection = sqlite3.connect(copy)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    assert tables == [("alembic_version",)]


def test_an_older_copy_is_kept(path: Path) -> None:
    """A second upgrade takes a second copy."""
    old_store(path)
    old = path.with_name("runs.db.before-upgrade-from-none.1")
    old.write_text("keep")
    open_writer(path).close()
    assert old.read_text() == "keep"
    assert path.with_name("runs.db.before-upgrade-from-none.2").exists()


def test_a_reader_upgrades_nothing(path: Path) -> None:
    """It says that the next run will."""
    old_store(path)
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        open_reader(path)
    assert caught.value.message == f"the store '{path}' is of the older version none"
    assert path.read_bytes() == before


def test_no_upgrade_under_a_live_run(path: Path) -> None:
    """While any workflow's lock is held the store stays as it is, and the code is 75."""
    old_store(path)
    lock = locks.acquire(path, "other")
    assert lock is not None
    with pytest.raises(AlreadyRunning) as caught:
        open_writer(path)
    assert caught.value.message == (
        f"the store '{path}' must be upgraded, but a run holds 'other.lock'"
    )
    assert caught.value.exit_code == 75
    assert not list(path.parent.glob("*before-upgrade*"))
    lock.release()
    open_writer(path).close()


def test_an_upgrade_without_room_for_the_copy_changes_nothing(path: Path) -> None:
    """Neither does a half copy stay."""
    old_store(path)
    program = """
import resource, signal, sys
from pathlib import Path
import alembic.command, sqlalchemy, store.migrate
from store.database import open_writer
from engine.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.dont_write_bytecode = True
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
try:
    open_writer(Path(sys.argv[1]))
except StoreError as error:
    print(error.message.partition(":")[0])
"""
    path.with_name("runs.db-shm").touch()
    said = finished(python(program, path))
    assert said.startswith(("cannot copy the store", "the disk of the store"))
    assert not list(path.parent.glob("*before-upgrade*"))


# -- the machine ----------------------------------------------------------------------------------


def test_another_users_store_is_refused(path: Path, database: Database) -> None:
    """The hint is the right command."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    database.close()
    os.chown(path, 65534, 65534)
    with pytest.raises(StoreError) as caught:
        open_writer(path)
    assert caught.value.message == f"the store '{path}' belongs to user 'nobody'"
    assert caught.value.hint == "run it as that user: sudo -u nobody …"
    os.chown(path, 54321, 54321)
    with pytest.raises(StoreError, match="belongs to user '#54321'"):
        open_writer(path)


@pytest.fixture
def open_folder() -> Path:
    """Make a folder that every user may enter."""
    import tempfile

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    return folder


def test_a_folder_that_cannot_be_written(open_folder: Path) -> None:
    """The store cannot be made, and the hint says what to do."""
    try:
        said = as_nobody(REPORT.format(open="open_writer"), open_folder / "runs.db")
        assert said == (
            f"cannot create the store '{open_folder}/runs.db': Permission denied|make its folder"
            " writable for this user, or name another with --store\n"
        )
        assert list(open_folder.iterdir()) == []
    finally:
        shutil.rmtree(open_folder)


def test_a_folder_that_cannot_be_entered(open_folder: Path) -> None:
    """Neither reader nor writer can tell whether there is a store."""
    try:
        open_folder.chmod(0o700)
        for opening in ("open_writer", "open_reader"):
            said = as_nobody(REPORT.format(open=opening), open_folder / "runs.db")
            assert said == (
                f"cannot look at the store '{open_folder}/runs.db': Permission denied|let this"
                " user into its folder, or name another store with --store\n"
            )
    finally:
        shutil.rmtree(open_folder)


def test_a_store_that_another_user_may_not_read(open_folder: Path) -> None:
    """A reader is told what SQLite could not do."""
    try:
        path = open_folder / "runs.db"
        open_writer(path).close()
        said = as_nobody(REPORT.format(open="open_reader"), path)
        assert said.startswith(f"the store '{path}' cannot be written or opened: unable to open")
    finally:
        shutil.rmtree(open_folder)


def test_a_full_disk_loses_nothing(path: Path, database: Database) -> None:
    """The failing commit leaves nothing; what was recorded stays, and there is room again later."""
    a_run(database)
    pages = pragma(database, "page_count")
    database.raw.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError) as caught, database.write() as cursor:
        for number in range(1000):
            row = (f"sha-{number}" * 100, "w")
            cursor.execute("INSERT INTO definition_rows (sha256, workflow) VALUES (?, ?)", row)
    assert caught.value.message == f"the disk of the store '{path}' is full"
    assert caught.value.hint == (
        "make space, then run the same command again: nothing recorded is lost"
    )
    assert not database.raw.in_transaction
    database.raw.execute("PRAGMA max_page_count = 100000")
    assert database.raw.execute("SELECT count(*) FROM definition_rows").fetchone() == (1,)
    a_run(database)
    assert [row["status"] for row in History(database).runs()] == ["ok", "ok"]


FULL = """
import resource, signal, sys
from pathlib import Path
from store.database import open_writer
from engine.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
database = open_writer(Path(sys.argv[1]))
insert = "INSERT INTO definition_rows (sha256, workflow) VALUES (?, ?)"
with database.write() as cursor:
    cursor.execute(insert, ("first", "w"))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with database.write() as cursor:
        for number in range(100):
            cursor.execute(insert, (str(number) * 9000, "w"))
except StoreError as error:
    print(error.message)
    print(database.raw.in_transaction)
"""


def test_a_disk_that_refuses_a_write(path: Path) -> None:
    """The commit before the refused one is there, nothing of that one."""
    message, in_transaction = finished(python(FULL, path)).splitlines()
    assert message.startswith(f"the disk of the store '{path}' ")
    assert in_transaction == "False"
    reader = open_reader(path)
    rows = reader.raw.execute("SELECT sha256 FROM definition_rows").fetchall()
    reader.close()
    assert rows == [("first",)]


def test_a_lock_held_for_too_long(
    path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for, then said; nothing was written, and later it works."""
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 60)
    second = open_writer(path)
    with database.write():
        with pytest.raises(StoreBusy) as caught:
            begun(second)
        assert caught.value.exit_code == 3
        assert caught.value.hint == (
            "look what holds it open (fuser FILE), then run the same command again"
        )
    assert begun(second).run_id == 1
    second.close()


# -- transactions ---------------------------------------------------------------------------------


def test_a_write_is_all_or_nothing(database: Database) -> None:
    """Whatever is raised within, nothing of it stays."""
    insert = "INSERT INTO definition_rows (sha256, workflow) VALUES ('x', 'w')"
    with pytest.raises(KeyboardInterrupt), database.write() as cursor:
        cursor.execute(insert)
        raise KeyboardInterrupt
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
    with pytest.raises(StoreError) as caught, database.write() as cursor:
        sql = "INSERT INTO alert_rows (run_id, channel, status, created_at, tries, error)"
        cursor.execute(sql + " VALUES (?, 'pigeon', 'pending', 0, 0, ?)", (1, "hunter2"))
    assert "hunter2" not in str(caught.value)
    assert "CHECK constraint failed: ck_alert_rows_channel" in caught.value.message
