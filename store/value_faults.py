"""Stored values as a decision about reusing them needs them: whole, damaged, or let go."""

from __future__ import annotations

import sqlite3
from hashlib import sha256

from store.connection import Database

PRUNED = "its values were pruned"


class ValueFaults:
    """What is wrong with the values that steps left; each run's are read through once."""

    def __init__(self, database: Database) -> None:
        """Look at `database`, when asked."""
        self._database = database
        self._read: dict[int, tuple[str, dict[str, str]]] = {}

    def of_step(self, run_id: int, step: str) -> str:
        """Say why a step's values in a run cannot be used, empty if they can.

        `step` is empty for the run's initial context.
        """
        if run_id not in self._read:
            with self._database.read() as cursor:
                self._read[run_id] = _faults(cursor, run_id)
        whole_run, damaged = self._read[run_id]
        return whole_run or damaged.get(step, "")


def _faults(cursor: sqlite3.Cursor, run_id: int) -> tuple[str, dict[str, str]]:
    """Give what concerns the whole run, and its damaged values by step."""
    row = cursor.execute("SELECT pruned_at FROM run_rows WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        return f"its values are gone with run {run_id}", {}
    if row[0] is not None:
        return PRUNED, {}
    damaged: dict[str, str] = {}
    rows = cursor.execute(
        "SELECT coalesce(d.name, ''), o.key, o.sha256, o.data FROM output_rows o"
        " JOIN run_rows r ON r.id = o.run_id LEFT JOIN definition_steps d"
        " ON d.definition_id = r.definition_id AND d.position = o.position WHERE o.run_id = ?",
        (run_id,),
    )
    for step, key, digest, data in rows:
        if not isinstance(data, bytes) or sha256(data).hexdigest() != digest:
            damaged.setdefault(step, f"its stored value '{key}' is damaged")
    return "", damaged
