"""Restoring: the old store or the new one, whole; nothing goes on that went on in the copy."""

from __future__ import annotations

import os
import resource
import sqlite3
from pathlib import Path

import pytest
from alembic import command

from engine.errors import AlreadyRunning, StoreError, StoreFull, UsageError
from engine.events import Claim
from store import copies, locks, migrate, restore
from store.connection import connect
from store.database import open_reader, open_writer
from store.history import History
from store.journal import queue_alerts
from store.version import APPLICATION_ID
from tests.store.filled import a_run, begun, did, dies, finished, killed, python, us


def asked(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask a store as it lies there."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def files(path: Path) -> list[str]:
    """Give what lies in the store's folder, the reserve aside."""
    names = sorted(p.name for p in path.parent.iterdir() if p.is_file())
    return [name for name in names if not name.endswith(".reserve")]


@pytest.fixture
def saved(path: Path, tmp_path: Path) -> Path:
    """Give a backup of the store with one run, to which the store has added two."""
    database = open_writer(path)
    a_run(database, user="saved")
    backup = copies.backup(database, tmp_path / "saved.db").path
    a_run(database)
    a_run(database)
    database.close()
    lock = locks.acquire(path, "flow")
    assert lock is not None
    lock.reached(3, 4)
    lock.release()
    return backup


def test_a_backup_comes_back_and_the_old_store_is_kept(path: Path, saved: Path) -> None:
    """The next run has a number that none had before, here or there."""
    done = restore.restore(path, saved, beyond=2)
    kept = path.with_name("runs.db.before-restore.1")
    assert (done.runs, done.kept, done.ended, done.alerts) == (1, kept, (), 0)
    assert asked(path, "SELECT id, user FROM runs") == [(1, "saved")]
    assert asked(kept, "SELECT id FROM runs") == [(1,), (2,), (3,)]
    assert files(path) == ["runs.db", "runs.db.before-restore.1"]
    database = open_writer(path)
    assert a_run(database) == 4
    database.close()
    assert restore.restore(path, saved, beyond=77).kept == kept.with_suffix(".2")
    database = open_writer(path)
    assert a_run(database) == 78
    database.close()


def test_what_was_going_on_in_the_copy_is_ended(path: Path, tmp_path: Path) -> None:
    """Runs are ended, as asked for where somebody had, alerts dropped: it is all long over."""
    database = open_writer(path)
    first = a_run(database, "failed")
    journal = begun(database, "a b>a c>b", workflow="other")
    did(journal, 0)
    journal.commit_tick([Claim(1, 1, 2.0, report=False)])
    with database.write() as cursor:
        queue_alerts(cursor, first, ["slack", "email"], us(3.0))
        cursor.execute("UPDATE alert_rows SET status = 'sending', owner = '{}' WHERE id = 1")
        cursor.execute("INSERT INTO cancel_rows VALUES (?, 1, 'ann')", (journal.run_id,))
    backup = copies.backup(database, tmp_path / "saved.db").path
    database.close()
    done = restore.restore(path, backup)
    assert [(run.run_id, run.workflow) for run in done.ended] == [(2, "other")]
    assert done.alerts == 2
    note = "restored from a copy taken while it ran; the end is the last thing recorded of it"
    assert asked(path, "SELECT status, note FROM runs WHERE id = 2") == [
        (
            "cancelled",
            f"cancelled by ann; {note}",
        )
    ]
    assert asked(path, "SELECT step, status, note FROM step_runs WHERE run_id = 2") == [
        ("a", "ok", ""),
        ("b", "interrupted", "its engine died"),
        ("c", "cancelled", "not started"),
    ]
    assert asked(path, "SELECT outcome, error FROM attempts WHERE run_id = 2 AND step = 'b'") == [
        ("abandoned", "its engine died; may not have started")
    ]
    assert set(asked(path, "SELECT status, error FROM alerts")) == {
        ("given_up", "dropped: the store was restored")
    }
    assert asked(path, "SELECT * FROM cancel_rows") == []
    assert asked(path, "SELECT path FROM place_rows") == [(str(path),)]
    assert copies.check(path, "it does not read back") == 2


def test_heads_of_the_old_store_are_forgotten_and_its_numbers_are_not(
    path: Path, saved: Path
) -> None:
    """A run that only a lock file remembers has had its number too."""
    lock = locks.acquire(path, "flow")
    assert lock is not None
    lock.reached(9, 5)
    lock.release()
    restore.restore(path, saved)
    assert list(locks.heads(path)) == []
    database = open_writer(path)
    assert a_run(database) == 10
    database.close()


def test_the_log_of_a_killed_engine_is_folded_into_what_is_kept(path: Path, saved: Path) -> None:
    """Its last commits are in the kept store, and never meet the new file."""
    program = """
import os, signal, sys
from pathlib import Path
from store.database import open_writer
from store.version import APPLICATION_ID
from tests.store.filled import a_run
a_run(open_writer(Path(sys.argv[1])), user="in the log")
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = python(program, path)
    process.communicate(timeout=30)
    assert Path(f"{path}-wal").stat().st_size > 0
    kept = restore.restore(path, saved).kept
    assert kept is not None
    assert asked(kept, "SELECT user FROM runs WHERE id = 4") == [("in the log",)]
    assert files(path) == ["runs.db", kept.name]
    assert asked(path, "SELECT id FROM runs") == [(1,)]


def test_a_store_goes_on_with_what_is_there(path: Path, saved: Path, tmp_path: Path) -> None:
    """FILE may be the store itself, under whatever name; a moved one belongs where it lies now."""
    moved = tmp_path / "elsewhere"
    path.parent.rename(moved)
    link = tmp_path / "link.db"
    link.symlink_to(moved / "runs.db")
    done = restore.restore(link, moved / "runs.db")
    assert done.runs == 3
    assert asked(link, "SELECT path FROM place_rows") == [(str(moved / "runs.db"),)]
    assert link.is_symlink()
    database = open_writer(link)
    assert a_run(database) == 4
    database.close()
    assert saved.exists()


def test_a_store_comes_to_another_machine(saved: Path, tmp_path: Path) -> None:
    """Where there is none yet, its folder is made and nothing is kept."""
    path = tmp_path / "new" / "home" / "runs.db"
    assert restore.restore(path, saved) == restore.Restored(1, None, (), 0)
    assert open_reader(path).raw.execute("SELECT user FROM runs").fetchall() == [("saved",)]


def test_an_older_store_is_brought_up_to_date(path: Path, tmp_path: Path) -> None:
    """A backup from before an upgrade is of the newest version when it is in place."""
    open_writer(path).close()
    old = tmp_path / "old.db"
    old.touch()
    database = connect(old, writable=True)
    settings = migrate.config()
    with database.engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0001")
    database.raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.raw.execute(
        "INSERT INTO run_rows (workflow, status, params, context_sha256, started_at, root_run,"
        " started_by, note, user, host, owner, workers)"
        " VALUES ('flow', 'running', '{}', '', 1, 1, 'hand', '', 'ann', 'here', '', 4)"
    )
    database.close()
    assert restore.restore(path, old).runs == 1
    reader = open_reader(path)
    assert History(reader).run(1)["status"] == "interrupted"
    reader.close()
    assert asked(old, "SELECT version_num FROM alembic_version") == [("0001",)]


# -- refused --------------------------------------------------------------------------------------


def refused(path: Path, file: Path, error: type[Exception], match: str) -> None:
    """Restoring is refused, and nothing has changed."""
    before = asked(path, "SELECT * FROM run_rows")
    listed = files(path)
    with pytest.raises(error, match=match):
        restore.restore(path, file)
    assert asked(path, "SELECT * FROM run_rows") == before
    assert files(path) == listed


def test_not_while_a_run_is_on(path: Path, saved: Path) -> None:
    """Whatever workflow it is of; and no writer opens the store while it is restored."""
    lock = locks.acquire(path, "other")
    assert lock is not None
    refused(path, saved, AlreadyRunning, "cannot be restored: 'other' is on")
    lock.release()
    lock = locks.acquire(path, locks.RESTORING)
    assert lock is not None
    with pytest.raises(AlreadyRunning, match="is being restored"):
        open_writer(path)
    lock.release()
    open_writer(path).close()


def test_not_while_somebody_has_it_open(
    path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log would be written on under the new store's name."""
    monkeypatch.setattr(restore, "BUSY_TIMEOUT_MS", 50)
    other = open_writer(path)
    a_run(other)
    refused(path, saved, StoreError, "is held open by another process")
    other.close()
    restore.restore(path, saved)


@pytest.mark.parametrize(
    ("sql", "error", "match"),
    [
        ("UPDATE run_rows SET events = 9", StoreError, "9 events, and not all of them are there"),
        ("UPDATE alembic_version SET version_num = '9999'", StoreError, "newer than this program"),
        ("PRAGMA application_id = 1", StoreError, "is not a store of this program"),
    ],
)
def test_a_file_that_is_no_good_is_refused(
    path: Path, saved: Path, sql: str, error: type[Exception], match: str
) -> None:
    """Damaged, newer, another program's: found before anything is touched."""
    connection = sqlite3.connect(saved)
    connection.execute(sql)
    connection.commit()
    connection.close()
    refused(path, saved, error, match)


def test_a_file_that_is_not_there_or_cut_is_refused(path: Path, saved: Path) -> None:
    """As is a folder."""
    refused(path, saved.with_name("none.db"), UsageError, "there is no file")
    refused(path, path.parent, UsageError, "there is no file")
    saved.write_bytes(saved.read_bytes()[: 20 * 4096])
    refused(path, saved, StoreError, "damaged")


def test_the_hint_speaks_of_the_file(path: Path, saved: Path) -> None:
    """What helps a store that is damaged does not help a file that is none."""
    saved.write_bytes(b"no store")
    with pytest.raises(StoreError) as caught:
        restore.restore(path, saved)
    assert caught.value.hint == (
        "name a backup, or a store, of this version or an older one; nothing has changed"
    )


def test_a_full_disk_is_no_fault_of_the_file(
    path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for its index a file cannot even be opened: the hint is to make some."""

    def full(*_: object) -> None:
        raise StoreFull("no room", hint="make space")

    monkeypatch.setattr(restore, "version_of", full)
    with pytest.raises(StoreFull) as caught:
        restore.restore(path, saved)
    assert caught.value.hint == "make space"


def test_a_full_disk_restores_nothing(path: Path, saved: Path) -> None:
    """The new store did not fit beside the old one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        refused(path, saved, StoreError, "cannot be copied to")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- a damaged store, a crash ---------------------------------------------------------------------


def test_a_damaged_store_is_kept_as_it_is(path: Path, saved: Path) -> None:
    """What SQLite cannot read any more is not in the way, and is not thrown away."""
    path.write_bytes(b"no database" * 1000)
    kept = restore.restore(path, saved).kept
    assert kept is not None
    assert kept.read_bytes().startswith(b"no database")
    assert files(path) == ["runs.db", kept.name]
    assert asked(path, "SELECT id FROM runs") == [(1,)]


def test_the_log_of_a_store_that_is_gone_never_meets_the_new_one(path: Path, saved: Path) -> None:
    """SQLite would take it for the new store's own."""
    path.unlink()
    Path(f"{path}-wal").write_bytes(b"a log")
    kept = restore.restore(path, saved).kept
    assert files(path) == ["runs.db", "runs.db.before-restore.1-wal"]
    assert kept == path.with_name("runs.db.before-restore.1-wal")


POINTS: list[tuple[str, object, str, bool]] = [
    ("before the settling", restore, "_end_all", False),
    ("after the settling", restore, "_end_all", True),
    ("after the log was folded in", restore, "_fold", True),
    ("after the second name", os, "link", True),
    ("before the rename", Path, "replace", False),
    ("after the rename", Path, "replace", True),
    ("before the heads", locks, "forget_heads", False),
]


@pytest.mark.parametrize(
    ("point", "where", "name", "after"), POINTS, ids=[point for point, *_ in POINTS]
)
def test_a_crash_leaves_one_of_the_two(
    path: Path, saved: Path, point: str, where: object, name: str, *, after: bool
) -> None:
    """The store is the old one or the new one, whole and fit to go on with, or to restore again."""

    def program() -> None:
        function = getattr(where, name)
        setattr(where, name, lambda *args: dies(function(*args) if after else None))
        restore.restore(path, saved)

    killed(program)
    runs = copies.check(path, "it does not read back")
    assert runs == (1 if point in ("after the rename", "before the heads") else 3)
    open_writer(path).close()
    restore.restore(path, saved)
    database = open_writer(path)
    assert a_run(database) == 4
    database.close()
    left = [name for name in files(path) if "before-restore" not in name]
    assert left == ["runs.db"]
    for kept in path.parent.glob("*before-restore*"):
        assert not kept.samefile(path)
        assert copies.check(kept, "it does not read back") in (1, 3)


def test_two_at_once(path: Path, saved: Path) -> None:
    """One of two restores goes first; the other waits or is refused, and does no harm."""
    program = """
import sys
from pathlib import Path
from engine.errors import AlreadyRunning
from store.restore import restore
try:
    print(restore(Path(sys.argv[1]), Path(sys.argv[2])).runs)
except AlreadyRunning:
    print("refused")
"""
    said = [finished(one).strip() for one in [python(program, path, saved) for _ in range(2)]]
    assert "1" in said
    assert set(said) <= {"1", "refused"}
    assert copies.check(path, "it does not read back") == 1
