"""What a run may not begin beside, or go on from: asked within the transaction that begins it."""

from __future__ import annotations

import sqlite3

from engine.errors import AlreadyRunning, SupersededError
from engine.model import StepStatus
from store.new_run import NewRun


def check(cursor: sqlite3.Cursor, run: NewRun) -> None:
    """Raise `AlreadyRunning` or `SupersededError` if what was decided on no longer holds."""
    _check_alone(cursor, run)
    _check_sources(cursor, run)


def _check_alone(cursor: sqlite3.Cursor, run: NewRun) -> None:
    """Refuse to begin beside a run that overlaps, or after one that was not known of.

    Runs under other locks (those of a backfill, or of another `overlap`) are kept apart by this.
    """
    if run.after is None:
        return
    found = cursor.execute(
        """SELECT id FROM run_rows WHERE workflow = ?1 AND status = 'running'
             AND (params = ?2 OR NOT ?4 AND (backfill IS NULL OR backfill = id))
           UNION ALL
           SELECT id FROM run_rows INDEXED BY ix_run_rows_workflow
           WHERE workflow = ?1 AND id > ?3 AND params = ?2 AND definition_id IS NOT NULL
           LIMIT 1""",
        (run.workflow, run.params, run.after, run.beside),
    ).fetchone()
    if found is not None:
        raise AlreadyRunning(
            f"run {found[0]} of '{run.workflow}' has just begun or ended",
            hint="try again in a moment",
        )


def _check_sources(cursor: sqlite3.Cursor, run: NewRun) -> None:
    """Refuse to take over from a run that was let go of since this one was decided on."""
    cached = {step.source_run for step in run.taken_over if step.status is StepStatus.CACHED}
    cached |= {some.source_run for some in run.reused}
    rows = [(source, 1) for source in sorted(filter(None, cached))]
    rows += [(run.resumed_from, 0)] if run.resumed_from is not None else []
    for source, with_values in rows:
        sql = "SELECT 1 FROM run_rows WHERE id = ? AND NOT (? AND pruned_at IS NOT NULL)"
        if cursor.execute(sql, (source, with_values)).fetchone() is None:
            raise SupersededError(
                f"run {source}, which this one was to go on from, has just been pruned",
                hint="run the same command again",
            )
