"""Which files are stores of ours, and of which version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from engine.errors import StoreError
from store.connection import translated

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")  # the migrations, oldest first
APPLICATION_ID = 0x4B41484E  # "KAHN", in the file's header


def version_of(path: Path, raw: sqlite3.Connection) -> str | None:
    """Give the schema's version if it is older than ours ('' for none), None if it is ours.

    Raises `StoreError` for a file that is no store of ours, or newer than this program.
    """
    try:
        found = raw.execute("PRAGMA application_id").fetchone()[0]
        if found != APPLICATION_ID:
            raise StoreError(
                f"'{path}' is not a store of this program",
                hint="name another file with --store; this one was not touched",
            )
        exists = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
        row = None
        if raw.execute(exists).fetchone():
            row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    version = row[0] if row else ""
    if version == REVISIONS[-1]:
        return None
    if version and version not in REVISIONS:
        raise StoreError(
            f"the store '{path}' is of version {version}, newer than this program",
            hint="upgrade this program, or name another store with --store",
        )
    return str(version)
