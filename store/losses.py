"""Commits that were durable and are gone: told by the heads in the lock files.

SQLite takes a write-ahead log that was cut, damaged or removed for a shorter history, and an older
copy of the file for the file. The heads, which lie elsewhere, remember how far each run had come.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from engine.errors import StoreError
from store import locks
from store.connection import Database, translated
from store.place import restoring

SHOWN_MAX = 3


class Loss(NamedTuple):
    """A run of which fewer events are there than were committed; none at all if `found` is None."""

    workflow: str
    run_id: int
    committed: int
    found: int | None

    def __str__(self) -> str:
        """Say it."""
        run = f"run {self.run_id} of '{self.workflow}'"
        if self.found is None:
            return f"{run} had {self.committed} events and is gone"
        return f"{run} had {self.committed} events, the store has {self.found}"


Heads = tuple[tuple[str, locks.Head], ...]


def heads(path: Path) -> Heads:
    """How far the runs of a store had come: to be read before the store, as they come after it."""
    return tuple(locks.heads(path))


def find(cursor: sqlite3.Cursor, known: Heads) -> list[Loss]:
    """Compare the store's state with heads read before it.

    A run that was pruned is no loss: its number is one that the store has given. Of a store from
    before events were counted, only missing runs can be told.
    """
    columns = {row[1] for row in cursor.execute("PRAGMA table_info(run_rows)").fetchall()}
    given = 0
    if columns:
        sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'run_rows'"
        given = cursor.execute(sql).fetchone()[0]
    found = []
    for name, head in known:
        workflow = name.removesuffix(".lock").partition("@")[0]
        if head.run_id > given:
            found.append(Loss(workflow, head.run_id, head.events, None))
        elif "events" in columns:
            sql = "SELECT events FROM run_rows WHERE id = ?"
            row = cursor.execute(sql, (head.run_id,)).fetchone()
            if row is not None and row[0] < head.events:
                found.append(Loss(workflow, head.run_id, head.events, row[0]))
    return sorted(found, key=lambda loss: loss.run_id)


def lost_from(connection: sqlite3.Connection, path: Path) -> list[Loss]:
    """Give what the store at `path` has lost.

    A loss is looked at twice: the first head may have been read in the midst of its being written.
    """
    found: list[Loss] = []
    for _ in range(2):
        known = heads(path)
        cursor = connection.execute("BEGIN")
        try:
            found = find(cursor, known)
        finally:
            cursor.execute("ROLLBACK")
        if not found:
            break
    return found


def of_store(database: Database) -> list[Loss]:
    """Give what an open store has lost."""
    try:
        return lost_from(database.raw, database.path)
    except sqlite3.Error as error:
        raise translated(error, database.path) from error


def told(losses: Iterable[Loss]) -> str:
    """Say what was lost, in one sentence; of many, the first."""
    texts = [str(loss) for loss in losses]
    more = len(texts) - SHOWN_MAX
    return "; ".join(texts[:SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")


def refusal(path: Path, losses: Iterable[Loss]) -> StoreError:
    """Make the refusal to write to a store that has lost commits."""
    return StoreError(
        f"the store '{path}' has lost what was recorded in it: {told(losses)}",
        hint="bring back its '-wal' file, or a backup by `db restore FILE`;"
        f" `{restoring(path)}` goes on with what is there",
    )
