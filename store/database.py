"""Opening the store: one writing connection or read-only ones, and everything checked first."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from engine.errors import AlreadyRunning, StoreError, UsageError
from store import locks, losses, mounts, place, reserve
from store.connection import BUSY_TIMEOUT_MS, Database, connect, make_durable, open_file, translated
from store.version import REVISIONS, version_of

SQLITE_MIN = (3, 35, 0)

logger = logging.getLogger("engine.store")

_OPTIONS = re.compile(r"\?\w+=[^/]*\Z")


def path_of(url: str) -> Path:
    """Give the file behind a store URL (`sqlite:///relative` or `sqlite:////absolute`).

    All after `sqlite:///` is the path, as it stands. Raises `UsageError` for any other database,
    and for options, which would be taken for a part of the name.
    """
    prefix = "sqlite:///"
    path = url.removeprefix(prefix)
    if not url.startswith(prefix) or path in ("", ":memory:") or "\0" in path:
        scheme = url.partition(":")[0]
        raise UsageError(
            f"the store must be a SQLite file, not '{scheme}:…'",
            hint="name it as sqlite:///PATH, for example --store sqlite:///var/runs.db",
        )
    if _OPTIONS.search(path):
        raise UsageError(
            f"the store's URL takes no options: '{path.rpartition('?')[2]}'",
            hint="leave out what follows the '?'",
        )
    return Path(path).absolute()


def open_writer(path: Path, *, beyond: Callable[[], int] = lambda: 0) -> Database:
    """Open the store for writing; creates a missing one, upgrades an older one after a copy.

    In one made now no run gets a number up to what `beyond` gives: logs are there that bear it.

    Raises `StoreError` (damaged, newer, foreign, a copy, with losses, unwritable, where others may
    replace it) or `AlreadyRunning` (an upgrade is due while a run is on); nothing is written then.
    """
    _check_machine()
    _check_disk(path)
    found = _look_at(path)
    _check_place(path)
    _check_companions(path)
    if found is None:
        _create(path, beyond)
        found = _look_at(path)
    if found is None:
        raise StoreError(
            f"the store '{path}' is a link that leads nowhere",
            hint="mount what it leads to, or name another store with --store",
        )
    check_owner(path, found.st_uid)
    _check_writable(path)
    version = _examine(path)
    database = connect(path, writable=True)
    try:
        _check_restoring(database)
        make_durable(database)
        if version is not None:
            _upgrade(database, version)
        _settle_in(database)
    except BaseException:
        database.close()
        raise
    return database


def _examine(path: Path) -> str | None:
    """Look before writing, as closing a writing connection changes files; gives `version_of`."""
    # A transaction that was cut off in an old journal is rolled back by a writer only.
    half_done = _beside(path, "-journal").exists()
    try:
        with contextlib.closing(open_file(path, writable=half_done)) as raw:
            version = version_of(path, raw)
            place.check(raw.cursor(), path)
            lost = losses.lost_from(raw, path)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    if lost:
        raise losses.refusal(path, lost)
    return version


def _settle_in(database: Database) -> None:
    """Record where the store belongs, if it is the first time; keep a reserve beside it."""
    with database.read() as cursor:
        known = place.recorded(cursor) is not None
    if not known:
        with database.write() as cursor:
            place.record(cursor, place.here(database.path))
    reserve.keep(database.path)


def open_reader(path: Path, *, busy_ms: int = BUSY_TIMEOUT_MS) -> Database:
    """Open an existing store `mode=ro`: never creates, upgrades, repairs or checkpoints.

    Raises `StoreError` if it is missing, damaged, or of another version.
    """
    must_exist(path)
    database = connect(path, writable=False, busy_ms=busy_ms)
    try:
        version = version_of(path, database.raw)
    except BaseException:
        database.close()
        raise
    if version is not None:
        database.close()
        raise StoreError(
            f"the store '{path}' is of the older version {version or 'none'}",
            hint="the next run upgrades it, after taking a copy",
        )
    return database


def _check_restoring(database: Database) -> None:
    """Look after a read: its lock on the file makes a restore that begins now wait for our end."""
    with database.read() as cursor:
        cursor.execute("PRAGMA schema_version").fetchone()
    if locks.held(database.path, f"{locks.RESTORING}.lock"):
        raise AlreadyRunning(
            f"the store '{database.path}' is being restored",
            hint="run the same command again when that has ended",
        )


def is_there(path: Path) -> bool:
    """Whether there is a store. Raises `StoreError` if only its log is left: it is no new start."""
    if _look_at(path) is not None:
        return True
    left = _beside(path, "-wal")
    if left.exists() and left.stat().st_size:
        raise StoreError(
            f"the store '{path}' is gone, but its write-ahead log '{left.name}' is there",
            hint="bring the store back beside it; to start afresh, move the log away too",
        )
    return False


def must_exist(path: Path) -> None:
    """Raise `StoreError` if there is no store there."""
    if not is_there(path):
        raise StoreError(
            f"there is no store at '{path}' yet", hint="it is made by the first run; see `list`"
        )


def _check_machine() -> None:
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        needed = ".".join(map(str, SQLITE_MIN))
        raise StoreError(
            f"this Python is linked to SQLite {sqlite3.sqlite_version}; {needed} is needed"
        )


def _check_disk(path: Path) -> None:
    """Refuse a network file system: a second machine would see neither lock nor log."""
    kind = mounts.file_system(path)
    if kind not in mounts.NETWORK:
        return
    told = f"the store '{path}' is on a network file system ({kind})"
    if os.environ.get("ENGINE_NETWORK_STORE") == "allow":
        logger.warning("%s, where neither locks nor commits are sure", told)
        return
    raise StoreError(
        told,
        hint="keep it on a local disk, see --store; ENGINE_NETWORK_STORE=allow takes the risk",
    )


def _look_at(path: Path) -> os.stat_result | None:
    """Give what is known of the store's file, None if there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(
            f"cannot look at the store '{path}': {error.strerror}",
            hint="let this user into its folder, or name another store with --store",
        ) from None
    if stat.S_ISDIR(found.st_mode):
        raise StoreError(f"the store '{path}' is a folder", hint="name a file with --store")
    return found


def _beside(path: Path, ending: str) -> Path:
    """Name a file of SQLite's own: it lies beside the store itself, whatever links lead there."""
    return Path(os.path.realpath(path) + ending)


def _check_place(path: Path) -> None:
    """Refuse a store that any user could replace: by its folder, or as a link in a shared one.

    Where the sticky bit is set, as in `/tmp`, only its owner can replace a file.
    """
    if path.is_symlink():
        if path.lstat().st_uid not in {os.geteuid(), 0}:
            raise StoreError(
                f"the store '{path}' is a link that another user made",
                hint="name the file itself with --store",
            )
        _check_folder(path.parent)
    _check_folder(Path(os.path.realpath(path)).parent)


def _check_folder(folder: Path) -> None:
    try:
        mode = folder.stat().st_mode
    except OSError:
        return  # it is made, private, or the making says what is wrong
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise StoreError(
            f"every user may write into the folder of the store '{folder}'",
            hint=f"chmod o-w '{folder}', or name another store with --store",
        )


def check_owner(path: Path, owner: int) -> None:
    """Raise `StoreError` where the store's file is another user's."""
    if owner == os.geteuid():
        return
    import pwd

    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise StoreError(
        f"the store '{path}' belongs to user '{name}'",
        hint=f"run it as that user: sudo -u {name} …",
    )


def _check_writable(path: Path) -> None:
    """Refuse what SQLite would find out at its first write only, or call unable to open."""
    real = Path(os.path.realpath(path))
    for what, target in (("file", real), ("folder", real.parent)):
        if not os.access(target, os.W_OK):
            raise StoreError(
                f"the store '{path}' cannot be written: its {what} is read-only here",
                hint="make file and folder writable for this user, or name another with --store",
            )


def _check_companions(path: Path) -> None:
    """Refuse what is another user's, the store or what lies beside it: a log writes into it."""
    own = os.path.realpath(path)
    for ending in ("", "-wal", "-shm", "-journal", ".locks"):
        with contextlib.suppress(FileNotFoundError):
            check_owner(Path(own + ending), os.lstat(own + ending).st_uid)


def _create(path: Path, beyond: Callable[[], int]) -> None:
    """Make a whole store beside its place, then link it there: nobody sees half of one.

    Who takes a store away starts afresh, so nothing of the old one counts as lost.
    """
    is_there(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{path.name[:60]}.", suffix=".new", dir=path.parent)
        os.close(fd)
    except OSError as error:
        raise _cannot_create(path, error) from None
    temporary = Path(name)
    try:
        given = max(beyond(), *(head.run_id for _, head in locks.heads(path)), 0)
        _write_schema(temporary, place.here(path), given)
        if not path.exists():
            locks.forget_heads(path)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    except OSError as error:
        raise _cannot_create(path, error) from None
    finally:
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(name + ending).unlink(missing_ok=True)


def _cannot_create(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot create the store '{path}': {error.strerror}",
        hint="make its folder writable for this user, or name another with --store",
    )


def _write_schema(path: Path, belongs: place.Place, given: int) -> None:
    """Fill an empty file with the newest schema; it is safe on the disk at the return.

    What breaks off is thrown away, so nothing is logged, and one sync at the end is enough: 12 ms
    in place of 50.
    """
    from store.tables import schema

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF").fetchall()
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")
        for statement in schema():
            connection.execute(statement)
        place.record(connection.cursor(), belongs)
        if given:
            row = (given,)
            connection.execute("INSERT INTO sqlite_sequence VALUES ('run_rows', ?)", row)
        connection.execute("COMMIT")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()  # writes and syncs the file


def _upgrade(database: Database, version: str) -> None:
    """Bring an older store up to date: copy first, never under a live run, all or nothing."""
    busy = next(locks.held_names(database.path), None)
    if busy is not None:
        raise AlreadyRunning(
            f"the store '{database.path}' must be upgraded, but a run holds '{busy}'",
            hint="wait until it has ended, then run the same command again",
        )
    from store.migrate import upgrade

    copy = upgrade(database, version)
    versions = f"from version {version or 'none'} to {REVISIONS[-1]}"
    database.upgraded = f"the store is upgraded {versions}; as it was, it is kept as '{copy}'"
    logger.info("%s", database.upgraded)
    database.checkpoint()
