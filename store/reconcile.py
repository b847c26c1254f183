"""Runs whose engine died: told by their free lock, ended here.

They are `interrupted`, or `cancelled` where somebody had asked for their end: then it was final.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import groupby

from engine.alert import Telling
from engine.errors import StoreError
from engine.model import AttemptOutcome, RunStatus
from engine.produced import OutputFile
from engine.records import record
from store import locks, prepared
from store.connection import Database
from store.journal import SILENT, queue_alerts, settle

# Who wants the end of a run `r`: of a backfill's run, who wants the end of the backfill too.
ASKED_BY = """coalesce((SELECT asked_by FROM cancel_rows WHERE run_id = r.id),
 (SELECT asked_by FROM cancel_rows WHERE run_id = r.backfill)) AS asked_by"""
_MAY_NOT_HAVE_STARTED = "; may not have started"
ENGINE_DIED = "its engine died"
ENGINE_STOPPED = "its engine stopped"  # it says itself why

_INTERRUPT_STEPS = """
INSERT INTO step_rows (run_id, position, status, ended_at, note, seq)
SELECT r.id, d.position,
       CASE WHEN EXISTS (SELECT 1 FROM attempt_rows a
                         WHERE a.run_id = r.id AND a.position = d.position)
              OR EXISTS (SELECT 1 FROM carried_rows c WHERE c.run_id = r.id
                         AND c.position = d.position AND c.retry_at IS NOT NULL)
            THEN 'interrupted' ELSE 'cancelled' END,
       NULL,
       CASE WHEN EXISTS (SELECT 1 FROM attempt_rows a WHERE a.run_id = r.id
                         AND a.position = d.position AND a.outcome IN ('abandoned', 'interrupted'))
            THEN ?1
            WHEN EXISTS (SELECT 1 FROM attempt_rows a
                         WHERE a.run_id = r.id AND a.position = d.position)
              OR EXISTS (SELECT 1 FROM carried_rows c WHERE c.run_id = r.id
                         AND c.position = d.position AND c.retry_at IS NOT NULL)
            THEN ?1 || ' before the retry' ELSE 'not started' END,
       ?2 + row_number() OVER (ORDER BY d.position)
FROM run_rows r JOIN definition_steps d ON d.definition_id = r.definition_id
WHERE r.id = ?3 AND NOT EXISTS (SELECT 1 FROM step_rows s
                               WHERE s.run_id = r.id AND s.position = d.position)
  AND NOT EXISTS (SELECT 1 FROM attempt_rows a WHERE a.run_id = r.id
                  AND a.position = d.position AND a.outcome = 'ok')"""

_LAST_SIGN = """
SELECT max(r.started_at,
           coalesce((SELECT max(max(coalesce(a.started_at, 0), coalesce(a.finished_at, 0)))
                     FROM attempt_rows a WHERE a.run_id = r.id), 0),
           coalesce((SELECT max(s.ended_at) FROM step_rows s WHERE s.run_id = r.id), 0))
FROM run_rows r WHERE r.id = ?"""


@record
class Found:
    """A run found dead: its number, workflow and owner, and who had asked for its end, if any.

    `backfill` is the run of the backfill that it is a part of.
    """

    run_id: int
    workflow: str
    owner: str
    asked_by: str | None = None
    backfill: int | None = None

    @property
    def status(self) -> RunStatus:
        """How it is recorded, now that nobody runs it."""
        return RunStatus.INTERRUPTED if self.asked_by is None else RunStatus.CANCELLED

    @property
    def is_part(self) -> bool:
        """Whether a backfill, which has an alert and an outcome of its own, tells of it."""
        return self.backfill not in (None, self.run_id)

    def told(self, note: str) -> str:
        """Give the note on it: who had asked for its end, before what came over it."""
        return note if self.asked_by is None else f"cancelled by {self.asked_by}; {note}"


@record
class Said:
    """What is said beside the record: `telling` where alerts about incidents go.

    `why` replaces the note on the run under the caller's lock, which has failed in this process.
    """

    why: str = ""
    telling: Telling = SILENT


NOTHING_SAID = Said()


def open_runs(database: Database) -> list[Found]:
    """Runs recorded as running, oldest first."""
    with database.read() as cursor:
        rows = cursor.execute(
            f"SELECT r.id, r.workflow, r.owner, {ASKED_BY}, r.backfill FROM run_rows r"
            " WHERE r.status = 'running' ORDER BY r.id"
        )
        return [Found(*row) for row in rows]


def live_attempts(database: Database, run_id: int) -> dict[str, str]:
    """Attempts of a run without an outcome, as its step processes name them, and their steps."""
    with database.read() as cursor:
        rows = cursor.execute(
            """SELECT l.position, l.number, d.name FROM live_rows l
               CROSS JOIN run_rows r ON r.id = l.run_id
               CROSS JOIN definition_steps d ON d.definition_id = r.definition_id
                                            AND d.position = l.position
               WHERE l.run_id = ?""",
            (run_id,),
        )
        return {f"{run_id}/{step}/{number}": name for step, number, name in rows}


def reconcile(
    database: Database,
    *,
    mine: locks.RunLock | None,
    channels: Callable[[Found], Iterable[str]],
    now_us: int,
    publish: Callable[[Iterable[OutputFile]], None],
    said: Said = NOTHING_SAID,
) -> list[Found]:
    """End every run whose engine is dead, queue its alerts, finish its pending renames.

    `mine` is a lock the caller holds already. Gives the runs ended, oldest first.
    """
    why, telling = said.why, said.telling
    ended = []
    for found in open_runs(database):
        tells = (channels, telling)
        owner = locks.Owner.from_text(found.owner)
        name = owner.lock if owner else f"{found.workflow}.lock"
        if mine is not None and name == mine.name:
            ours = owner == locks.this_process(name)
            if (ours or not why) and _end(database, found, mine, tells, (now_us, why)):
                ended.append(found)
            continue
        if locks.alive(database.path, found.run_id, found.owner):
            continue
        lock = locks.acquire(database.path, name.removesuffix(".lock"))
        if lock is None:
            continue
        try:
            if _end(database, found, lock, tells, (now_us, "")):
                ended.append(found)
        finally:
            lock.release()
    _finish_renames(database, publish)
    return ended


def _end(
    database: Database,
    found: Found,
    lock: locks.RunLock,
    tells: tuple[Callable[[Found], Iterable[str]], Telling],
    said: tuple[int, str],
) -> bool:
    """Record the end; false if it was ended by itself, or by another, since it was found."""
    owner = locks.Owner.from_text(found.owner)
    if not locks.left_behind(lock, found.run_id, owner):
        return False
    now_us, why = said
    channels, telling = tells
    told = tuple(channels(found))
    begun = {(m.step, m.number): m.at_us for m in lock.marks() if m.run_id == found.run_id}
    who = f" (process {owner.pid})" if owner else ""
    note = why or f"its engine died{who}; the end is the last thing it recorded"
    with database.write() as cursor:
        died = ENGINE_STOPPED if why else ENGINE_DIED
        total = interrupt(cursor, found, begun, note, died=died)
        if total is None:
            return False
        settle(cursor, found.run_id, now_us, telling, crashed=found.asked_by is None)
        queue_alerts(cursor, found.run_id, told, now_us)
    lock.reached(found.run_id, total)
    return True


def interrupt(
    cursor: sqlite3.Cursor,
    found: Found,
    begun: Mapping[tuple[int, int], int],
    note: str,
    *,
    died: str = ENGINE_DIED,
) -> int | None:
    """End a run that nobody runs any more; gives its count of events, None if it had ended.

    `begun` says when attempts, by step and number, had surely started; `note` is the run's, `died`
    that of what it was doing.
    """
    run_id = found.run_id
    state = "SELECT status, events FROM run_rows WHERE id = ?"
    status, events = cursor.execute(state, (run_id,)).fetchone()
    if status != RunStatus.RUNNING:
        return None
    live = cursor.execute(
        "SELECT position, number, claimed_seq FROM live_rows WHERE run_id = ? ORDER BY claimed_seq",
        (run_id,),
    ).fetchall()
    outcome = AttemptOutcome.ABANDONED if died == ENGINE_DIED else AttemptOutcome.INTERRUPTED
    for seq, (step, number, claimed) in enumerate(live, events + 1):
        at_us = begun.get((step, number))
        told = died + _MAY_NOT_HAVE_STARTED if at_us is None else died
        row = (run_id, step, number, at_us, None, outcome, None, told, claimed, seq)
        cursor.execute(prepared.END_ATTEMPT, row)
    cursor.execute(_INTERRUPT_STEPS, (died, events + len(live), run_id))
    total = int(events + len(live) + cursor.rowcount + 1)
    last_us = cursor.execute(_LAST_SIGN, (run_id,)).fetchone()[0]
    cursor.execute(prepared.END_RUN, (found.status, last_us, found.told(note), total, run_id))
    return total


def _finish_renames(database: Database, publish: Callable[[Iterable[OutputFile]], None]) -> None:
    """Carry out the renames that a success promised and a crash prevented.

    One that cannot be made any more is let go: a resume finds the file altered and redoes the step.
    """
    with database.read() as cursor:
        rows = _pending_files(cursor)
    for (run_id, step), files in groupby(rows, key=lambda row: row[:2]):
        with suppress(StoreError):
            publish([file for _, _, file in files])
        with database.write() as cursor:
            cursor.execute(prepared.PUBLISHED, (run_id, step))


def _pending_files(cursor: sqlite3.Cursor) -> list[tuple[int, int, OutputFile]]:
    rows = cursor.execute(
        """SELECT f.run_id, f.position, f.temporary, f.target, f.sha256, f.size
           FROM file_rows f JOIN run_rows r ON r.id = f.run_id
           WHERE f.published = 0 AND r.status <> 'running'
           ORDER BY f.run_id, f.position, f.target"""
    )
    return [(run_id, step, OutputFile(*rest)) for run_id, step, *rest in rows.fetchall()]
