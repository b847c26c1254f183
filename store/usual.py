"""How long steps usually take: the one fact behind expected durations and the order of a run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from itertools import groupby

from engine.usual import MEDIAN_OF, Spread, Usual, median, spread

RUNS_MAX = 50  # how far back they are looked for
# How many attempts are read, give or take a run: they cost 0.5 µs each.
ROWS_ENOUGH = 2_000
ROWS_MAX = 250_000

_Column = list[int | None]
"""What the steps of a run took, in microseconds, by position."""

_DONE = "FROM attempt_rows WHERE run_id = ? AND outcome = 'ok' AND started_at IS NOT NULL"
# As one row, which is twice as fast to read as one for each attempt.
_COLUMN = f"""SELECT json_group_array(took) FROM (
    SELECT finished_at - started_at AS took {_DONE} ORDER BY position)"""

WHOLE = "definition_id IS NOT NULL AND only_steps = ''"  # began a step, and was a whole run
ALONE = "(backfill IS NULL OR backfill = id)"  # a backfill's runs are told of with it
WENT_WELL = f"status = 'ok' AND {WHOLE} AND {ALONE}"
# Of whole runs that did all their steps: what goes on from another takes less.
_RUNS = f"""SELECT (finished_at - started_at) / 1e6 FROM (
    SELECT * FROM run_rows WHERE workflow = ? AND id < ? ORDER BY id DESC LIMIT ?)
WHERE status = 'ok' AND {WHOLE} AND resumed_from IS NULL AND cached = 0
ORDER BY id DESC LIMIT ?"""


def usual_durations(
    cursor: sqlite3.Cursor, workflow: str, before: int | None = None
) -> dict[str, Usual]:
    """Give, by step, the median of its last successful attempts, of runs before run `before`."""
    last = last_durations(cursor, workflow, before)
    return {name: (median(found) / 1e6, len(found)) for name, found in last.items()}


def usual_run(cursor: sqlite3.Cursor, workflow: str, before: int) -> Spread | None:
    """Give what a workflow's last whole runs took that went well, of those before run `before`."""
    cursor.execute(_RUNS, (workflow, before, RUNS_MAX * MEDIAN_OF, MEDIAN_OF))
    return spread(took for (took,) in cursor)


def usual_spreads(cursor: sqlite3.Cursor, workflow: str, before: int) -> dict[str, Spread]:
    """Give, by step, what its last successful attempts took, of runs before run `before`."""
    last = last_durations(cursor, workflow, before)
    spreads = {name: spread(took / 1e6 for took in found) for name, found in last.items()}
    return {name: one for name, one in spreads.items() if one is not None}


def last_durations(
    cursor: sqlite3.Cursor, workflow: str, before: int | None
) -> dict[str, Sequence[int]]:
    """Give, by step, what its last successful attempts took, in microseconds, the newest first.

    Runs are read from the newest back, and no more of them than it takes: what no such run has done
    is not known.
    """
    cursor.execute(
        "SELECT definition_id, id FROM run_rows WHERE workflow = ?1 AND definition_id IS NOT NULL"
        " AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
        (workflow, before, RUNS_MAX),
    )
    taken: dict[str, Sequence[int]] = {}  # the newest first
    rows = 0
    for definition, runs in groupby(cursor.fetchall(), key=lambda run: run[0]):
        names = _names(cursor, definition)
        columns = []
        for _, run_id in runs:
            if rows < min(ROWS_MAX, max(ROWS_ENOUGH, MEDIAN_OF * len(names))):
                count, column = _column(cursor, run_id, len(names))
                rows += count
                columns += [column] if count else []
        for name, found in zip(names, zip(*columns, strict=True), strict=bool(columns)):
            known = found if None not in found else [took for took in found if took is not None]
            taken[name] = [*taken[name], *known] if name in taken else known
    return {name: found[:MEDIAN_OF] for name, found in taken.items() if found}


def _names(cursor: sqlite3.Cursor, definition: int) -> list[str]:
    cursor.execute(
        "SELECT json_group_array(name) FROM"
        " (SELECT name FROM definition_steps WHERE definition_id = ? ORDER BY position)",
        (definition,),
    )
    names: list[str] = json.loads(cursor.fetchone()[0])
    return names


def _column(cursor: sqlite3.Cursor, run_id: int, steps: int) -> tuple[int, _Column]:
    """Give what the steps of a run took, and of how many that is known."""
    cursor.execute(_COLUMN, (run_id,))
    found: _Column = json.loads(cursor.fetchone()[0])
    if len(found) in (0, steps):
        return len(found), found
    cursor.execute(f"SELECT position {_DONE} ORDER BY position", (run_id,))
    column: _Column = [None] * steps
    for (position,), took in zip(cursor, found, strict=True):
        column[position] = took
    return len(found), column
