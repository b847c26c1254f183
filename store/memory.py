"""A store in memory, for a run that is to leave nothing behind."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path

from store.connection import Database, open_memory, wrapped


@cache
def _empty() -> bytes:
    """Give an empty store of the newest version, as SQLite keeps it in memory."""
    from store.tables import schema

    with contextlib.closing(open_memory()) as connection:
        connection.execute("BEGIN")
        for statement in schema():
            connection.execute(statement)
        connection.execute("COMMIT")
        return connection.serialize()


def memory_store(name: Path) -> Database:
    """Give an empty store in memory that is called `name`, where there is no file."""
    database = wrapped(name, open_memory, writable=True)
    database.raw.deserialize(_empty())
    return database
