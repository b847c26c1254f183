"""Requests to end a run: made by another process, looked for by the engine that runs it."""

from __future__ import annotations

import sqlite3

from store.connection import Database, translated

_ASK = """
INSERT INTO cancel_rows (run_id, asked_at, asked_by)
SELECT id, ?, ? FROM run_rows WHERE id = ? AND status = 'running'
ON CONFLICT (run_id) DO NOTHING"""


def ask(database: Database, run_id: int, *, at_us: int, by: str) -> None:
    """Record that `by` wants a run to end; does nothing for one that has ended."""
    with database.write() as cursor:
        cursor.execute(_ASK, (at_us, by, run_id))


class Watch:
    """Looks whether a run is to end; next to free while no other process has written."""

    def __init__(self, database: Database, run_id: int) -> None:
        """Look through the connection of the run's engine."""
        self._database, self._run_id = database, run_id
        self._version: int | None = None

    def look(self) -> str | None:
        """Tell who has asked for the run's end, if somebody has."""
        raw = self._database.raw
        try:
            version = raw.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return None
            sql = "SELECT asked_by FROM cancel_rows WHERE run_id = ?"
            row = raw.execute(sql, (self._run_id,)).fetchone()
        except sqlite3.Error as error:
            raise translated(error, self._database.path) from error
        self._version = version
        return None if row is None else str(row[0])
