"""Commits that are gone: found by the heads in the lock files, and never written over."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.errors import StoreError
from store import locks, losses
from store.connection import Database
from store.database import open_reader, open_writer
from store.restore import restore
from tests.store.filled import CLOCK, begun, did, end
from tests.store.filled import new_run as a_new_run

from store.journal import Journal, begin_run  # isort: skip


@contextmanager
def engine(database: Database, name: str = "flow") -> Iterator[Journal]:
    """Give the journal of a run of steps a and b, which writes its head as an engine does."""
    lock = locks.acquire(database.path, name)
    assert lock is not None
    lock.begin(locks.this_process(lock.name))
    run_id = begin_run(database, a_new_run("a b", workflow=name.partition("@")[0]))
    yield Journal(
        database, run_id, stamp=CLOCK.stamp, channels=lambda _: (), committed=lock.reached
    )
    lock.release()


def lost(path: Path) -> list[str]:
    """Say what a reader finds lost."""
    reader = open_reader(path)
    found = [str(loss) for loss in losses.of_store(reader)]
    reader.close()
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Read all that lies in a folder, but for what SQLite keeps for its readers."""
    files = (each for each in folder.rglob("*") if each.is_file())
    return {each.name: each.read_bytes() for each in files if not each.name.endswith("-shm")}


def refused(path: Path) -> StoreError:
    """Give the error of a writer; nothing is changed by it."""
    before = contents(path.parent)
    with pytest.raises(StoreError) as caught:
        open_writer(path)
    after = contents(path.parent)
    assert {**after, "runs.db-wal": b""} == {**before, "runs.db-wal": b""}
    assert after.get("runs.db-wal", b"") == before.get("runs.db-wal", b"")
    return caught.value


def test_a_whole_store_has_lost_nothing(path: Path, database: Database) -> None:
    """Before, in and after a run."""
    assert lost(path) == []
    with engine(database) as journal:
        did(journal, 0)
        assert lost(path) == []
        end(journal)
    database.close()
    assert lost(path) == []
    open_writer(path).close()


@pytest.fixture
def crashed(path: Path, database: Database) -> Path:
    """Give a store whose engine was lost after step a: its last commits are in the log alone.

    A reader that is open keeps the log from being folded in, as a kill does.
    """
    with engine(database) as journal:
        did(journal, 0)
        end(journal)
        database.checkpoint()
        with engine(database, "other") as second:
            did(second, 0)
            kept = path.parent.parent / "kept"
            shutil.copytree(path.parent, kept)
    database.close()
    shutil.rmtree(path.parent)
    kept.rename(path.parent)
    return path


def test_a_removed_log_is_found(crashed: Path) -> None:
    """What SQLite takes for a shorter history is a loss, named run by run; nothing is written."""
    assert lost(crashed) == []
    crashed.with_name("runs.db-wal").unlink()
    crashed.with_name("runs.db-shm").unlink()
    error = refused(crashed)
    assert error.message == (
        f"the store '{crashed}' has lost what was recorded in it:"
        " run 2 of 'other' had 3 events and is gone"
    )
    assert error.hint == (
        "bring back its '-wal' file, or a backup by `db restore FILE`;"
        f" `db restore {crashed} --store sqlite:///{crashed}` goes on with what is there"
    )
    assert error.exit_code == 3


def test_a_log_that_is_brought_back_heals_it(crashed: Path) -> None:
    """As nothing was written meanwhile, all of it is there again."""
    log = crashed.with_name("runs.db-wal")
    data = log.read_bytes()
    log.unlink()
    refused(crashed)
    log.write_bytes(data)
    crashed.with_name("runs.db-shm").unlink(missing_ok=True)
    open_writer(crashed).close()
    assert lost(crashed) == []


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_log_is_found(crashed: Path, how: str) -> None:
    """SQLite leaves off at the first frame that is wrong, without a word."""
    log = crashed.with_name("runs.db-wal")
    data = bytearray(log.read_bytes())
    if how == "cut":
        log.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 0xFF
        log.write_bytes(data)
    crashed.with_name("runs.db-shm").unlink()
    assert refused(crashed).message.endswith(
        ("run 2 of 'other' had 3 events, the store has 1", "is gone", "the store has 2")
    )
    assert len(lost(crashed)) == 1


def test_an_older_copy_in_its_place_is_found(path: Path, database: Database) -> None:
    """A backup that is copied over the store has not what was recorded since."""
    with engine(database) as journal:
        did(journal, 0)
        database.raw.execute("VACUUM INTO ?", (str(path.with_name("backup")),))
        did(journal, 1)
        end(journal)
    database.close()
    path.with_name("backup").replace(path)
    assert refused(path).message.endswith("run 1 of 'flow' had 7 events, the store has 3")


def test_a_head_read_while_it_is_written_is_no_loss(
    path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first look finds must be there at the second."""
    with engine(database) as journal:
        did(journal, 0)
        torn = iter([(("flow.lock", locks.Head(1, 1 << 40)),)])
        real = losses.heads
        monkeypatch.setattr(losses, "heads", lambda path: next(torn, None) or real(path))
        assert lost(path) == []
        assert next(torn, None) is None


def test_parameters_are_no_part_of_the_name(path: Path, database: Database) -> None:
    """A lock that goes by parameters is one of its workflow."""
    with engine(database, "flow@0123456789abcdef") as journal:
        did(journal, 0)
    database.raw.execute("UPDATE run_rows SET events = 1")
    assert lost(path) == ["run 1 of 'flow' had 3 events, the store has 1"]


def test_a_pruned_run_is_no_loss(path: Path, database: Database) -> None:
    """Its number was given once, and is not used again."""
    with engine(database) as journal:
        end(journal)
    begun(database)
    database.raw.execute("DELETE FROM run_rows WHERE id = 1")
    assert lost(path) == []


def test_who_removes_a_store_starts_afresh(path: Path, database: Database) -> None:
    """Then nothing of it is missed; but its numbers, which logs may bear, are not given again."""
    with engine(database) as journal:
        end(journal)
    database.close()
    path.unlink()
    database = open_writer(path)
    assert lost(path) == []
    assert list(locks.heads(path)) == []
    assert begun(database).run_id == 2
    database.close()
    path.unlink()
    database = open_writer(path, beyond=lambda: 41)
    assert begun(database).run_id == 42
    database.close()


def test_a_log_without_its_store_is_no_fresh_start(crashed: Path) -> None:
    """SQLite would write its pages into whatever store is made there."""
    crashed.unlink()
    error = refused(crashed)
    assert error.message == (
        f"the store '{crashed}' is gone, but its write-ahead log 'runs.db-wal' is there"
    )
    assert not crashed.exists()


def test_locks_from_before_heads_remember_nothing(path: Path, database: Database) -> None:
    """Where the head is, they have the spaces after the owner's name."""
    database.close()
    locks.folder(path).mkdir()
    (locks.folder(path) / "flow.lock").write_bytes(b"{}".ljust(511) + b"\n")
    open_writer(path).close()
    assert lost(path) == []


def test_going_on_with_what_is_there(crashed: Path) -> None:
    """Once it is restored from itself, the store is the truth again, where it lies."""
    crashed.with_name("runs.db-wal").unlink()
    assert lost(crashed)
    restore(crashed, crashed)
    assert lost(crashed) == []
    open_writer(crashed).close()
