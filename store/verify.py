"""Everything that can be checked about a store without changing it: each finding one sentence."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from shlex import quote

from engine.errors import StoreError
from engine.records import record
from store import locks, losses, mounts, place, readback
from store.connection import Database
from store.tables import schema

WAL_RESET_FIXED = (3, 51, 3)


@record
class Finding:
    """What was found: a fault, which makes the check fail, or a note, which does not."""

    text: str
    fault: bool = True


Check = Callable[[sqlite3.Cursor, Path], Iterator[Finding]]


def verify(database: Database) -> Iterator[Finding]:
    """Check an open store, its surroundings and all that it holds."""
    yield from _surroundings(database.path)
    with database.read() as cursor:
        for what, check in _CHECKS.items():
            yield from _tried(what, check(cursor, database.path))
    for loss in losses.of_store(database):
        yield Finding(f"commits are lost: {loss}")


def _tried(what: str, check: Iterator[Finding]) -> Iterator[Finding]:
    """Go on with the next check where a damaged page ends this one."""
    try:
        yield from check
    except sqlite3.Error as error:
        yield Finding(f"the check of its {what} could not go on: {error}")


# -- what it holds --------------------------------------------------------------------------------


def _read_back(check: Callable[[sqlite3.Cursor], Iterator[str]]) -> Check:
    def found(cursor: sqlite3.Cursor, _path: Path) -> Iterator[Finding]:
        return (Finding(text) for text in check(cursor))

    return found


def _schema(cursor: sqlite3.Cursor, _path: Path) -> Iterator[Finding]:
    ours = _objects(cursor)
    with closing(sqlite3.connect(":memory:")) as fresh:
        for statement in schema():
            fresh.execute(statement)
        wanted = _objects(fresh.cursor())
    for kind, name in sorted(wanted.keys() - ours.keys()):
        yield Finding(f"the {kind} '{name}' is missing")
    for kind, name in sorted(wanted.keys() & ours.keys()):
        if wanted[kind, name] != ours[kind, name]:
            yield Finding(f"the {kind} '{name}' is not as this version makes it")
    for kind, name in sorted(ours.keys() - wanted.keys()):
        yield Finding(f"the {kind} '{name}' is none of ours", fault=False)


def _objects(cursor: sqlite3.Cursor) -> dict[tuple[str, str], str]:
    """Give every object's definition, without what only layout differs in."""
    rows = cursor.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    layout = re.compile(r"\s+")
    return {(kind, name): layout.sub("", sql) for kind, name, sql in rows.fetchall()}


# -- what waits to be done ------------------------------------------------------------------------


def _pending(cursor: sqlite3.Cursor, path: Path) -> Iterator[Finding]:
    sql = "SELECT id, workflow, owner FROM run_rows WHERE status = 'running' ORDER BY id"
    for run, workflow, owner in cursor.execute(sql).fetchall():
        if not locks.alive(path, run, owner):
            text = f"run {run} of '{workflow}' has no engine; the next run records that"
            yield Finding(text, fault=False)
    rows = cursor.execute(
        "SELECT f.run_id, r.workflow, f.target FROM file_rows f JOIN run_rows r ON r.id = f.run_id"
        " WHERE f.published = 0 AND r.status <> 'running' ORDER BY f.run_id, f.target"
    )
    for run, workflow, target in rows.fetchall():
        text = f"the file '{target}' of run {run} of '{workflow}' is not in its place yet"
        yield Finding(f"{text}; the next run sees to it", fault=False)


# -- where it lies --------------------------------------------------------------------------------


def _places(cursor: sqlite3.Cursor, path: Path) -> Iterator[Finding]:
    try:
        place.check(cursor, path)
    except StoreError as error:
        yield Finding(error.message, fault=False)


def _surroundings(path: Path) -> Iterator[Finding]:
    real = Path(os.path.realpath(path))
    beside = [real.with_name(real.name + ending) for ending in ("", "-wal", "-shm")]
    for place_, forbidden, mode in (
        *((file, 0o077, "600") for file in beside),
        (real.parent, 0o022, "700"),
        (locks.folder(path), 0o077, "700"),
    ):
        try:
            found = stat.S_IMODE(place_.stat().st_mode)
        except OSError:
            continue
        if found & forbidden:
            text = f"others may use '{place_}' (mode {found:o}): chmod {mode} {quote(str(place_))}"
            yield Finding(text, fault=False)
    kind = mounts.file_system(path)
    if kind in mounts.NETWORK:
        yield Finding(f"the store is on a network file system ({kind})", fault=False)
    if sqlite3.sqlite_version_info < WAL_RESET_FIXED:
        fixed = ".".join(map(str, WAL_RESET_FIXED))
        yield Finding(
            f"SQLite {sqlite3.sqlite_version} is older than {fixed}, which mends a rare fault: two"
            " engines that write at the same instant could damage the store",
            fault=False,
        )


_CHECKS: dict[str, Check] = {
    "place": _places,
    **{what: _read_back(check) for what, check in readback.CHECKS.items()},
    "schema": _schema,
    "pending work": _pending,
}
