"""Everything that can be wrong with a store, its version and its machine: said, and not touched."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command

from engine.errors import AlreadyRunning, StoreBusy, StoreError
from store import connection, locks, migrate
from store.connection import Database
from store.database import open_reader, open_writer
from store.history import History
from store.reconcile import reconcile
from store.verify import verify
from store.version import APPLICATION_ID, REVISIONS
from tests.store.filled import a_run, begun, finished, python


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
        assert caught.value.hint.endswith("`db restore FILE` brings a backup back")
    assert path.read_bytes() == b"garbage" * 1000


def test_a_truncated_store_is_refused(path: Path, database: Database) -> None:
    """Half a file is found at the first look."""
    a_run(database)
    database.close()
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // 8)
    with pytest.raises(StoreError, match="is damaged or no store: database disk image is malform"):
        History(open_writer(path)).runs()


def root_page(path: Path, name: str) -> int:
    """Give where a table or index begins in a store's file."""
    raw = sqlite3.connect(path)
    (page,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    raw.close()
    return (int(page) - 1) * 4096


@pytest.mark.parametrize("where", ["header", "schema", "index", "table"])
def test_flipped_bytes_are_found_before_anything_is_written(
    path: Path, database: Database, where: str
) -> None:
    """At the first look at what is damaged: the file stays as it is, and the way back is told."""
    a_run(database)
    database.close()
    at = {
        "header": 20,
        "schema": 100,
        "index": root_page(path, "ix_run_rows_params"),
        "table": root_page(path, "run_rows"),
    }[where]
    whole = bytearray(path.read_bytes())
    whole[at : at + 16] = bytes(byte ^ 0xFF for byte in whole[at : at + 16])
    path.write_bytes(whole)
    with pytest.raises(StoreError) as caught:
        History(open_writer(path)).newest("flow", params="{}", context_sha256="")
    assert caught.value.message.startswith(f"the store '{path}' is damaged or no store: ")
    assert caught.value.hint == (
        "`db verify` says what is wrong; `db restore FILE` brings a backup back"
    )
    assert path.read_bytes() == whole


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
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    connection = sqlite3.connect(copy)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    assert tables == [("alembic_version",)]


BEFORE_LIVE = """
INSERT INTO definition_rows VALUES (1, 'x', 'flow');
INSERT INTO definition_steps VALUES (1, 0, 'a', '', '{}', '[]'), (1, 1, 'b', '', '{}', '[0]'),
  (1, 2, 'c', '', '{}', '[0]'), (1, 3, 'd', '', '{}', '[0]');
INSERT INTO run_rows (workflow, status, params, context_sha256, definition_id, started_at,
  root_run, started_by, note, user, host, owner, workers, events)
  VALUES ('flow', 'running', '{}', '', 1, 1000000, 1, 'hand', '', 'ann', 'here', '', 4, 8);
INSERT INTO attempt_rows VALUES (1, 0, 1, 2000000, 3000000, 'ok', NULL, NULL, 1, 2),
  (1, 1, 1, 3000000, 4000000, 'failed', 5000000, 'boom', 4, 6),
  (1, 1, 2, 5000000, NULL, NULL, NULL, NULL, 7, NULL),
  (1, 2, 1, NULL, NULL, NULL, NULL, NULL, 5, NULL);
INSERT INTO step_rows VALUES (1, 0, 'ok', 3000000, '', NULL, 3), (1, 3, 'skipped', 1, '', NULL, 8);
"""


def test_attempts_that_were_live_stay_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store from when each had a row tells the same after its upgrade, and can be reconciled."""
    path.parent.mkdir()
    monkeypatch.setenv("ENGINE_STORE", f"sqlite:///{path}")
    command.upgrade(migrate.config(), "0003")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(BEFORE_LIVE)
        views = ("attempts", "step_runs", "events", "run_summary")
        told = {v: sorted(connection.execute(f"SELECT * FROM {v}"), key=repr) for v in views}
    database = open_writer(path)
    now = {v: sorted(database.raw.execute(f"SELECT * FROM {v}"), key=repr) for v in views}
    assert now == told
    assert [finding.text for finding in verify(database) if finding.fault] == []
    reconcile(database, mine=None, channels=lambda _: (), now_us=0, publish=lambda _: None)
    assert [(step["step"], step["status"]) for step in History(database).steps(1)] == [
        ("a", "ok"),
        ("b", "interrupted"),
        ("c", "interrupted"),
        ("d", "skipped"),
    ]
    assert [finding.text for finding in verify(database) if finding.fault] == []
    database.close()


def test_an_older_copy_is_kept(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A second upgrade takes a second copy; one sentence says so, and none of alembic's own."""
    old_store(path)
    old = path.with_name("runs.db.before-upgrade-from-none.1")
    old.write_text("keep")
    with caplog.at_level(logging.INFO):
        open_writer(path).close()
    assert old.read_text() == "keep"
    copy = path.with_name("runs.db.before-upgrade-from-none.2")
    assert copy.exists()
    assert [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.INFO] == [
        f"the store is upgraded from version none to 0007; as it was, it is kept as '{copy}'"
    ]


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
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    open_writer(Path(sys.argv[1]))
except StoreError as error:
    print(error.message.partition(":")[0])
"""
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE much AS SELECT zeroblob(300000) AS x")
    raw.commit()
    raw.close()
    said = finished(python(program, path))
    copy = path.with_name("runs.db.before-upgrade-from-none.1")
    assert said == f"cannot copy the store to '{copy}' before its upgrade\n"
    assert not list(path.parent.glob("*before-upgrade*"))
    raw = sqlite3.connect(path)
    tables = [row[0] for row in raw.execute("SELECT name FROM sqlite_master")]
    raw.close()
    assert tables == ["alembic_version", "much"]


# -- the machine ----------------------------------------------------------------------------------


def test_another_users_store_is_refused(path: Path, database: Database) -> None:
    """The hint is the right command; it is the store that is named, not what lies beside it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    database.close()
    locks.folder(path).mkdir(exist_ok=True)
    for each in (path, locks.folder(path)):
        os.chown(each, 65534, 65534)
    with pytest.raises(StoreError) as caught:
        open_writer(path)
    assert caught.value.message == f"the store '{path}' belongs to user 'nobody'"
    assert caught.value.hint == "run it as that user: sudo -u nobody …"
    os.chown(path, 54321, 54321)
    with pytest.raises(StoreError, match="belongs to user '#54321'"):
        open_writer(path)


def test_an_older_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made; both versions are named."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    with pytest.raises(StoreError) as caught:
        open_writer(path)
    assert caught.value.message == "this Python is linked to SQLite 3.34.1; 3.35.0 is needed"
    assert caught.value.exit_code == 3
    assert not path.parent.exists()


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal", ".locks"])
def test_what_another_user_put_beside_it_is_refused(path: Path, ending: str) -> None:
    """As in a folder like `/tmp`, before the store was made: the log would be theirs to write."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path.parent.mkdir()
    planted = path.with_name(f"runs.db{ending}")
    planted.mkdir() if ending == ".locks" else planted.touch(0o666)
    os.chown(planted, 65534, 65534)
    with pytest.raises(StoreError) as caught:
        open_writer(path)
    assert caught.value.message == f"the store '{planted}' belongs to user 'nobody'"
    assert [each.name for each in path.parent.iterdir()] == [planted.name]


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("linked", [True, False])
def test_a_folder_that_all_may_write(path: Path, there: bool, linked: bool) -> None:
    """Any user could put another store in its place; not so in one like `/tmp`."""
    folder = path.parent
    if there or linked:
        open_writer(path).close()
    folder.mkdir(exist_ok=True)
    named = path
    if linked:
        folder = path.parent.parent / ("links" if there else path.parent.name)
        folder.mkdir(exist_ok=True)
        named = path.parent.parent / "links" / "link.db"
        named.parent.mkdir(exist_ok=True)
        named.symlink_to(path)
    folder.chmod(0o777)
    before = sorted(each.name for each in folder.iterdir())
    with pytest.raises(StoreError) as caught:
        open_writer(named)
    assert caught.value.message == f"every user may write into the folder of the store '{folder}'"
    assert caught.value.hint == f"chmod o-w '{folder}', or name another store with --store"
    assert sorted(each.name for each in folder.iterdir()) == before
    folder.chmod(0o1777)
    open_writer(named).close()


def test_a_link_of_another_user_is_refused(path: Path, database: Database) -> None:
    """It may lead anywhere, and elsewhere the next time."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a link away")
    link = path.parent / "link.db"
    link.symlink_to(path)
    open_writer(link).close()
    os.lchown(link, 65534, 65534)
    with pytest.raises(StoreError, match=r"link\.db' is a link that another user made"):
        open_writer(link)
    assert database.writable


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Make a folder that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_a_folder_that_cannot_be_written(open_folder: Path) -> None:
    """The store cannot be made, and the hint says what to do."""
    said = as_nobody(REPORT.format(open="open_writer"), open_folder / "runs.db")
    assert said == (
        f"cannot create the store '{open_folder}/runs.db': Permission denied|make its folder"
        " writable for this user, or name another with --store\n"
    )
    assert list(open_folder.iterdir()) == []


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_store_that_may_only_be_read(open_folder: Path, what: str) -> None:
    """SQLite needs to write to the file and beside it: refused before anything is begun."""
    home = open_folder / "home"
    path = home / "runs.db"
    open_writer(path).close()
    if os.geteuid() == 0:
        for each in (home, *home.iterdir()):
            os.chown(each, 65534, 65534)
    (path if what == "file" else home).chmod(0o500)
    said = as_nobody(REPORT.format(open="open_writer"), path)
    assert said == (
        f"the store '{path}' cannot be written: its {what} is read-only here|make file and folder"
        " writable for this user, or name another with --store\n"
    )


def test_a_folder_that_cannot_be_entered(open_folder: Path) -> None:
    """Neither reader nor writer can tell whether there is a store."""
    open_folder.chmod(0o700)
    for opening in ("open_writer", "open_reader"):
        said = as_nobody(REPORT.format(open=opening), open_folder / "runs.db")
        assert said == (
            f"cannot look at the store '{open_folder}/runs.db': Permission denied|let this"
            " user into its folder, or name another store with --store\n"
        )


def test_a_store_that_another_user_may_not_read(open_folder: Path) -> None:
    """A reader is told what SQLite could not do."""
    path = open_folder / "runs.db"
    open_writer(path).close()
    said = as_nobody(REPORT.format(open="open_reader"), path)
    assert said.startswith(f"the store '{path}' cannot be written or opened: unable to open")


def test_a_full_disk_loses_nothing(path: Path, database: Database) -> None:
    """The failing commit leaves nothing; what was recorded stays, and there is room again later."""
    a_run(database)
    pages = database.raw.execute("PRAGMA page_count").fetchone()[0]
    database.raw.execute(f"PRAGMA max_page_count = {pages}")
    rows = [(f"sha-{number}" * 100, "w") for number in range(1000)]
    insert = "INSERT INTO definition_rows (sha256, workflow) VALUES (?, ?)"
    with pytest.raises(StoreError) as caught, database.write() as cursor:
        cursor.executemany(insert, rows)
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
