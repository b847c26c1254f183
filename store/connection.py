"""A connection to the store: transactions, and SQLite's errors in our words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from engine.errors import StoreBusy, StoreError, StoreFull
from engine.failpoints import failpoint

if TYPE_CHECKING:
    from sqlalchemy import Engine

BUSY_TIMEOUT_MS = 10_000
# How a quota, a limit on the size of files, and a disk without room for the log's index show.
_NO_ROOM = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})


class Database:
    """An open store. `raw` is the pooled DBAPI connection, for statements on the hot path."""

    def __init__(self, path: Path, engine: Engine, *, writable: bool) -> None:
        """Connect; use `open_writer` and `open_reader`."""
        self.path = path
        self.engine = engine
        self.writable = writable
        self.upgraded = ""  # what is said of it, if it was of an older version
        self._fairy = engine.raw_connection()
        raw = self._fairy.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        self.raw: sqlite3.Connection = raw
        self._file: str = os.fspath(path)
        self._place: tuple[int, int] | None = _identity(self._file)

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Cursor]:
        """One `BEGIN IMMEDIATE … COMMIT`; rolled back as a whole if anything in it raises.

        Raises `StoreBusy` if the write lock could not be had in 10 s, else `StoreError`.
        """
        cursor = self.raw.cursor()
        begun = False
        try:
            cursor.execute("BEGIN IMMEDIATE")
            begun = True
            yield cursor
            cursor.execute("COMMIT")
            self._check_place()
        except BaseException as error:
            if begun and self.raw.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    cursor.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise translated(error, self.path) from error
            raise
        finally:
            cursor.close()

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Cursor]:
        """One consistent view: every statement within sees the same state."""
        cursor = self.raw.cursor()
        begun = False  # what another has begun on this connection is not ours to end
        try:
            cursor.execute("BEGIN")
            begun = True
            yield cursor
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        finally:
            with contextlib.suppress(sqlite3.Error):
                if begun and self.raw.in_transaction:
                    cursor.execute("ROLLBACK")
            cursor.close()

    def _check_place(self) -> None:
        """A file that was removed or replaced takes commits like any other, into nothing."""
        if _identity(self._file) != self._place:
            raise StoreError(
                f"the store '{self.path}' was removed or replaced while it was open",
                hint="bring it back; what was recorded since may be lost",
            )

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file, as far as readers allow; waits for none."""
        failpoint("before-checkpoint")
        with contextlib.suppress(sqlite3.Error):
            self.raw.execute("PRAGMA busy_timeout = 0").fetchall()
            try:
                self.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self.raw.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}").fetchall()

    def close(self) -> None:
        """Close the connection; never raises."""
        with contextlib.suppress(Exception):
            self._fairy.close()
            self.engine.dispose()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - after each commit: a third of `Path.stat`
    except OSError:
        return None
    return found.st_dev, found.st_ino


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """Say in our words what SQLite found."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    if code in _NO_ROOM:
        return StoreFull(
            f"the disk of the store '{path}' took no more: {error}",
            hint="make space, or raise the limit on it, then run the same command again: nothing"
            " recorded is lost",
        )
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            wait_s = BUSY_TIMEOUT_MS // 1000
            return StoreBusy(
                f"the store '{path}' was locked by another process for over {wait_s} s",
                hint="look what holds it open (fuser FILE), then run the same command again",
            )
        case sqlite3.SQLITE_FULL:
            return StoreFull(
                f"the disk of the store '{path}' is full",
                hint="make space, then run the same command again: nothing recorded is lost",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreError(
                f"the store '{path}' is damaged or no store: {error}",
                hint="`db verify` says what is wrong; `db restore FILE` brings a backup back",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreError(
                f"the store '{path}' cannot be written or opened: {error}",
                hint="make file and folder writable for this user, or name another with --store",
            )
        case sqlite3.SQLITE_IOERR:
            return StoreError(
                f"the disk of the store '{path}' failed: {error}",
                hint="check the disk and its free space, then run the same command again",
            )
        case _:
            return StoreError(f"the store '{path}' refused a statement: {error}")


def open_file(path: Path, *, writable: bool, busy_ms: int = BUSY_TIMEOUT_MS) -> sqlite3.Connection:
    """Open an existing file by SQLite alone, for a look before `connect`."""
    mode = "rw" if writable else "ro"
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    return _opened(uri, writable=writable, busy_ms=busy_ms)


def open_memory() -> sqlite3.Connection:
    """Open an empty database in memory, which ends with its connection."""
    return _opened("file::memory:", writable=True)


def _opened(uri: str, *, writable: bool, busy_ms: int = BUSY_TIMEOUT_MS) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri,
        uri=True,
        isolation_level=None,  # transactions are ours alone (the driver's own begin is deferred)
        check_same_thread=False,
        timeout=busy_ms / 1000,
        cached_statements=256,
    )
    try:
        for pragma in _pragmas(writable=writable):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: Path, *, writable: bool, busy_ms: int = BUSY_TIMEOUT_MS) -> Database:
    """Connect to an existing file. Raises `StoreError` where SQLite cannot open it.

    `busy_ms` is how long each statement waits for what another process holds locked.
    """
    return wrapped(
        path, lambda: open_file(path, writable=writable, busy_ms=busy_ms), writable=writable
    )


def wrapped(path: Path, opened: Callable[[], sqlite3.Connection], *, writable: bool) -> Database:
    """Make a store of the connection that `opened` gives."""
    from sqlalchemy import URL, create_engine, event
    from sqlalchemy.pool import StaticPool

    engine = create_engine(
        URL.create("sqlite+pysqlite"),  # as text it is parsed by a large expression, 0.3 ms
        creator=opened,
        poolclass=StaticPool,
        hide_parameters=True,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: object) -> None:
        statement = "BEGIN IMMEDIATE" if writable else "BEGIN"
        connection.exec_driver_sql(statement)  # type: ignore[attr-defined]

    try:
        return Database(path, engine, writable=writable)
    except Exception as error:
        engine.dispose()
        cause = getattr(error, "orig", error)
        if isinstance(cause, sqlite3.Error):
            raise translated(cause, path) from error
        raise


def _pragmas(*, writable: bool) -> list[str]:
    common = ["trusted_schema = OFF", "cell_size_check = ON"]
    if writable:
        return [*common, "foreign_keys = ON", "synchronous = FULL"]
    return [*common, "query_only = ON"]


def make_durable(database: Database) -> None:
    """Switch to the write-ahead log; only here, once the file is known to be ours to change."""
    try:
        mode = database.raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    except sqlite3.Error as error:
        raise translated(error, database.path) from error
    if mode != "wal":
        raise StoreError(
            f"the store '{database.path}' cannot keep a write-ahead log here",
            hint="keep the store on a local disk, or name another with --store",
        )
