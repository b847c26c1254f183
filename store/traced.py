"""What a run's trace is made of: the run, its attempts, and the runs that it has work from."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

_RUN = """
SELECT id, workflow, host, started_at, finished_at, status, note, started_by, params, slot,
       steps, ok, failed, skipped, cached, attempts, retries, resumed_from, backfill
FROM run_rows WHERE id = ?"""
# Where not all are wanted, those that did not go well come first. CROSS JOIN: see `store.views`.
_ATTEMPTS = """
SELECT d.name, a.number, a.outcome, a.started_at, a.finished_at, coalesce(a.error, '')
FROM run_rows r CROSS JOIN attempt_rows a ON a.run_id = r.id AND a.started_at IS NOT NULL
CROSS JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = a.position
WHERE r.id = ? ORDER BY a.outcome = 'ok', a.position, a.number LIMIT ?"""
_SOURCES = """
SELECT r.id, r.workflow, r.host, r.started_at, count(*)
FROM step_rows s JOIN run_rows r ON r.id = s.source_run WHERE s.run_id = ? GROUP BY r.id"""
_OTHER = "SELECT id, workflow, host, started_at FROM run_rows WHERE id = ?"


class RunName(NamedTuple):
    """What tells a run from all others, of other stores too; none of it ever changes."""

    run_id: int
    workflow: str
    host: str
    started_at: int


class TracedRun(NamedTuple):
    """A run's row; times in microseconds since 1970 UTC."""

    run_id: int
    workflow: str
    host: str
    started_at: int
    finished_at: int | None
    status: str
    note: str
    started_by: str
    params: str
    slot: int | None
    steps: int
    ok: int
    failed: int
    skipped: int
    cached: int
    attempts: int
    retries: int
    resumed_from: int | None
    backfill: int | None

    @property
    def name(self) -> RunName:
        """What tells it from all others."""
        return RunName(self.run_id, self.workflow, self.host, self.started_at)


class TracedAttempt(NamedTuple):
    """An attempt that had begun."""

    step: str
    number: int
    outcome: str
    started_at: int
    finished_at: int | None
    error: str


class Linked(NamedTuple):
    """Another run that has to do with it: why, and of how many steps it has the work."""

    run: RunName
    why: str
    steps: int


class Trace(NamedTuple):
    """One consistent view of a run that has ended."""

    run: TracedRun
    attempts: Sequence[TracedAttempt]
    links: Sequence[Linked]


def read_trace(cursor: sqlite3.Cursor, run_id: int, most: int) -> Trace:
    """Give a run with at most so many of its attempts."""
    run = TracedRun(*cursor.execute(_RUN, (run_id,)).fetchone())
    attempts = [TracedAttempt(*row) for row in cursor.execute(_ATTEMPTS, (run_id, most))]
    links = [
        Linked(RunName(*row[:4]), "reuses", row[4])
        for row in cursor.execute(_SOURCES, (run_id,)).fetchall()
    ]
    for other, why in ((run.resumed_from, "continues"), (run.backfill, "is part of")):
        if other not in (None, run_id):
            rows = cursor.execute(_OTHER, (other,)).fetchall()  # none where it was pruned
            links += [Linked(RunName(*row), why, 0) for row in rows]
    return Trace(run, attempts, links)
