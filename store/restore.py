"""Putting another store in place: a backup, one from another machine, or what is left of this one.

The new store is made and settled beside the old one and renamed over it. So a crash leaves either
of the two, whole; and the old one's write-ahead log never meets the new file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from engine.errors import AlreadyRunning, StoreError, UsageError
from engine.records import record
from store import copies, locks, place
from store.connection import BUSY_TIMEOUT_MS, Database, connect, translated
from store.database import check_owner
from store.reconcile import Found, interrupt, open_runs
from store.version import version_of

DROPPED = "dropped: the store was restored"

_GIVEN = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'run_rows'"


@record
class Restored:
    """What was done: runs there now, where the old store is kept, runs ended, alerts dropped.

    `damaged` says which values were damaged in the file that was put in place.
    """

    runs: int
    kept: Path | None
    ended: tuple[Found, ...]
    alerts: int
    damaged: tuple[str, ...] = ()


@record
class _Job:
    """Where to, where from, and the highest number that any run has had here."""

    real: Path
    file: Path
    given: int

    @property
    def is_own(self) -> bool:
        """Whether the store goes on with what it holds itself."""
        return self.real.exists() and self.real.samefile(self.file)


def restore(path: Path, file: Path, *, beyond: int = 0) -> Restored:
    """Put the store in `file` in place of the one at `path`, which is kept beside it.

    No run gets a number that was given here before: neither by the old store, nor up to `beyond`.
    Raises `UsageError` (no such file), `StoreError` (damaged, newer, foreign, disk full, held open)
    or `AlreadyRunning` (a run is on); nothing has changed then.
    """
    real = Path(os.path.realpath(path))
    if not file.is_file():
        raise UsageError(f"there is no file '{file}'", hint="name a store or a backup of one")
    if real.exists():
        check_owner(real, real.stat().st_uid)
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _nobody_runs(real), copies.beside(real) as new:
            given = max(beyond, _given(real), *(head.run_id for _, head in locks.heads(real)), 0)
            return _replace(_Job(real, file, given), new)
    except OSError as error:
        raise StoreError(
            f"the store '{path}' cannot be restored: {error.strerror}",
            hint="make space, and file and folder writable for this user",
        ) from None


def _replace(job: _Job, new: Path) -> Restored:
    source = _source(job.file)
    try:
        copies.check(job.file, f"'{job.file}' is damaged")
        copies.vacuum_into(source, new)
    finally:
        source.close()
    ended, alerts = _settle(new, job)
    runs = copies.check(new, "the new store does not read back")
    damaged = copies.damaged_values(new)
    copies.sync(new)
    kept = _set_aside(job.real)
    new.replace(job.real)
    copies.sync_folder(job.real.parent)
    locks.forget_heads(job.real)
    return Restored(runs, kept, ended, alerts, damaged)


def _source(file: Path) -> Database:
    """Open what is to be put in place; refuses what is not a store of ours, or newer."""
    try:
        source = connect(file, writable=False)
        try:
            version_of(source.path, source.raw)
        except BaseException:
            source.close()
            raise
    except StoreError as error:
        if type(error) is not StoreError:  # busy, or no room: no fault of the file
            raise
        hint = "name a backup, or a store, of this version or an older one; nothing has changed"
        raise StoreError(error.message, hint=hint) from error
    return source


@contextlib.contextmanager
def _nobody_runs(real: Path) -> Iterator[None]:
    """Hold every lock there is, and the one that keeps writers away."""
    held: list[locks.RunLock] = []
    try:
        names = [locks.RESTORING, *(p.name for p in sorted(locks.folder(real).glob("*.lock")))]
        for name in dict.fromkeys(name.removesuffix(".lock") for name in names):
            lock = locks.acquire(real, name)
            if lock is None:
                raise AlreadyRunning(
                    f"the store '{real}' cannot be restored: '{name}' is on",
                    hint="wait until it has ended, then run the same command again",
                )
            held.append(lock)
        yield
    finally:
        for lock in held:
            lock.release()


def _given(real: Path) -> int:
    """Highest number that the old store has given to a run, if it can still say."""
    if not real.exists():
        return 0
    with contextlib.suppress(StoreError, sqlite3.Error):
        database = connect(real, writable=False)
        try:
            return int(database.raw.execute(_GIVEN).fetchone()[0])
        finally:
            database.close()
    return 0


# -- the new store --------------------------------------------------------------------------------


def _settle(new: Path, job: _Job) -> tuple[tuple[Found, ...], int]:
    """Bring the copy up to date and end all that was going on in it; gives runs and alerts."""
    database = connect(new, writable=True)
    try:
        if version_of(database.path, database.raw) is not None:
            from store.migrate import migrate

            migrate(database)
        return _end_all(database, job)
    finally:
        database.close()


def _end_all(database: Database, job: _Job) -> tuple[tuple[Found, ...], int]:
    note = "its engine had died" if job.is_own else "restored from a copy taken while it ran"
    found = tuple(open_runs(database))
    with database.write() as cursor:
        for run in found:
            interrupt(cursor, run, {}, f"{note}; the end is the last thing recorded of it")
        cursor.execute(
            "UPDATE alert_rows SET status = 'given_up', owner = NULL, error = ?"
            " WHERE status IN ('pending', 'sending')",
            (DROPPED,),
        )
        alerts = cursor.rowcount
        cursor.execute("DELETE FROM cancel_rows")
        place.record(cursor, place.here(job.real))
        _number_beyond(cursor, job.given)
    return found, alerts


def _number_beyond(cursor: sqlite3.Cursor, given: int) -> None:
    """Logs, reports and idempotency keys of the runs that are lost bear their numbers still."""
    own = cursor.execute(_GIVEN).fetchone()[0]
    cursor.execute("DELETE FROM sqlite_sequence WHERE name = 'run_rows'")
    row = (max(own, given),)
    cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('run_rows', ?)", row)


# -- the old store --------------------------------------------------------------------------------


def _set_aside(real: Path) -> Path | None:
    """Keep the old store under a second name, with its log folded in; gives that name.

    What SQLite cannot read keeps its log under that name too; of a log alone, that is given.
    """
    found = real.exists()
    if found:
        for left in real.parent.iterdir():
            if left.name.startswith(f"{real.name}.before-restore.") and left.samefile(real):
                left.unlink()  # a second name from a restore that was cut short
        _fold(real)
    kept = _free_name(real)
    if found:
        os.link(real, kept)
    there = [kept] if found else []
    for ending in ("-wal", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            there.append(Path(f"{real}{ending}").rename(f"{kept}{ending}"))
    Path(f"{real}-shm").unlink(missing_ok=True)
    copies.sync_folder(real.parent)
    return there[0] if there else None


def _free_name(real: Path) -> Path:
    number = 1
    while os.path.lexists(kept := real.with_name(f"{real.name}.before-restore.{number}")):
        number += 1
    return kept


def _fold(real: Path) -> None:
    """Let SQLite fold the log into the file and take it away, which it does for the last user only.

    Raises `StoreError` if somebody else has the store open.
    """
    try:
        wait_s = BUSY_TIMEOUT_MS / 1000
        with contextlib.closing(sqlite3.connect(real, isolation_level=None, timeout=wait_s)) as old:
            old.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise StoreError(
                f"the store '{real}' is held open by another process",
                hint="look which (fuser FILE), end it, then run the same command again",
            ) from None
        if not copies.is_damage(error):
            raise translated(error, real) from None
