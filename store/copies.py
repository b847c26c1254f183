"""Copies of a store made by SQLite: beside their place first, whole and checked, then in place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from engine.errors import StoreError, UsageError
from engine.records import record
from store import readback
from store.connection import Database, connect, translated

_ENDING = ".kahnban-copy"
_SIDECARS = ("-wal", "-shm", "-journal")
_FAULTS_TOLD = 3
_UNREAD = "the copy does not read back; the store may be damaged"


@record
class Backup:
    """A copy of the store that was read back; `damaged` names values that the store has so too."""

    path: Path
    size_bytes: int
    runs: int
    damaged: tuple[str, ...] = ()


def backup(database: Database, target: Path) -> Backup:
    """Copy an open store to `target`, while runs go on, and read the copy back.

    Raises `UsageError` if something is there already, `StoreError` if the copy cannot be made or
    does not read back; nothing is left at `target` then.
    """
    if os.path.lexists(target):
        raise UsageError(f"'{target}' is there already", hint="name a file that is not there yet")
    if not target.parent.is_dir():
        raise UsageError(
            f"there is no folder '{target.parent}'", hint=f"make it: mkdir -p '{target.parent}'"
        )
    try:
        with beside(target) as copy:
            vacuum_into(database, copy)
            runs = check(copy, _UNREAD)
            damaged = _copied_damage(database, copy)
            size = copy.stat().st_size
            os.link(copy, target)
            sync_folder(target.parent)
    except FileExistsError:
        raise UsageError(f"'{target}' was made meanwhile", hint="name another file") from None
    except OSError as error:
        raise StoreError(
            f"the backup '{target}' cannot be made: {error.strerror}",
            hint="name a file on a disk with room, in a folder that this user may write to",
        ) from None
    return Backup(target, size, runs, damaged)


def _copied_damage(database: Database, copy: Path) -> tuple[str, ...]:
    """Give the damaged values of a copy. Raises `StoreError` if one is whole in the store."""
    found = damaged_values(copy)
    if found:
        with database.read() as cursor:
            known = set(readback.value_faults(cursor))
        new = [text for text in found if text not in known]
        if new:
            raise _unread(_UNREAD, new)
    return found


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Give an empty private file beside `target`, gone at the end unless it was moved.

    What a killed process left is taken away first: the file's lock tells the dead from the living.
    """
    prefix = f".{target.name[:60]}."
    for left in target.parent.glob(f"*{_ENDING}"):
        _sweep(left)
    fd, name = tempfile.mkstemp(prefix=prefix, suffix=_ENDING, dir=target.parent)
    copy = Path(name)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield copy
    finally:
        for ending in ("", *_SIDECARS):
            Path(name + ending).unlink(missing_ok=True)
        os.close(fd)


def _sweep(left: Path) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(left, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for ending in ("", *_SIDECARS):
                Path(f"{left}{ending}").unlink(missing_ok=True)
        finally:
            os.close(fd)


def vacuum_into(database: Database, copy: Path) -> None:
    """Copy what an open store shows into an empty file: one file, compact, durable.

    Raises `StoreError`.
    """
    raw = database.raw
    try:
        raw.execute("PRAGMA query_only = OFF")  # else no other file may be written either
        raw.execute("VACUUM INTO CAST(? AS TEXT)", (os.fsencode(copy),))
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            raise StoreError(
                f"the store '{database.path}' cannot be copied to '{copy.parent}': {error}",
                hint="make space on that disk",
            ) from None
        raise translated(error, database.path) from error
    finally:
        if not database.writable:
            raw.execute("PRAGMA query_only = ON")
    sync(copy)


def check(path: Path, told: str) -> int:
    """Read a store's file, all but what is in its values; gives how many runs it holds.

    Raises `StoreError`, which begins with `told` and names what was found.
    """
    database = connect(path, writable=False)
    try:
        with database.read() as cursor:
            found = _faults(cursor)
            if not found:
                return int(cursor.execute("SELECT count(*) FROM run_rows").fetchone()[0])
    finally:
        database.close()
    raise _unread(told, found)


def damaged_values(path: Path) -> tuple[str, ...]:
    """Say which values of a store's file are not what was stored.

    They are no reason to do without a store or a copy of it: a run that goes on makes them again.
    """
    database = connect(path, writable=False)
    try:
        with database.read() as cursor:
            return tuple(readback.value_faults(cursor))
    finally:
        database.close()


def _unread(told: str, found: list[str]) -> StoreError:
    shown = "; ".join(found[:_FAULTS_TOLD])
    return StoreError(f"{told}: {shown}", hint="`db verify` says all of it; try another backup")


def _faults(cursor: sqlite3.Cursor) -> list[str]:
    found: list[str] = []
    try:
        found += islice(readback.faults(cursor), _FAULTS_TOLD)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        found.append(f"SQLite: {error}")
    return found


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite found that a file is damaged, or no database at all."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def sync(path: Path) -> None:
    """Make a file's bytes durable; of a store, only while no connection of ours is open."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
