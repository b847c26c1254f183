"""Pauses of schedules: who made them, until when and why; kept when they are over."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from engine.alert import AlertKind
from engine.records import record
from store.connection import Database
from store.queued import Queued, put

_COLUMNS = "workflow, paused_at, paused_by, until, reason, ended_at"
_IS_ON = "ended_at IS NULL AND coalesce(until, ?1 + 1) > ?1"


@record
class Pause:
    """One time that a workflow's schedule was paused; in microseconds since 1970 UTC."""

    workflow: str
    paused_at: int
    paused_by: str
    until: int | None
    reason: str
    ended_at: int | None

    @property
    def span(self) -> tuple[int, int | None]:
        """Since when, and until when if that was said."""
        return self.paused_at, self.until

    @property
    def end(self) -> int | None:
        """From when on it holds no more, as far as that is known."""
        return min((end for end in (self.until, self.ended_at) if end is not None), default=None)

    def holds(self, at_us: int) -> bool:
        """Whether a moment falls into it."""
        return self.paused_at <= at_us and (self.end is None or at_us < self.end)


def pause(database: Database, new: Pause) -> None:
    """Pause a schedule; this takes the place of the pause that it is in, if it is."""
    with database.write() as cursor:
        insert(cursor, new)


def insert(cursor: sqlite3.Cursor, new: Pause) -> None:
    """As `pause`, within the caller's transaction."""
    _end(cursor, new.workflow, new.paused_at, new.paused_by)
    sql = "INSERT INTO pause_rows (workflow, paused_at, paused_by, until, reason) VALUES"
    row = (new.workflow, new.paused_at, new.paused_by, new.until, new.reason)
    cursor.execute(f"{sql} (?, ?, ?, ?, ?)", row)


def unpause(database: Database, workflow: str, *, at_us: int, by: str) -> Pause | None:
    """End the pause that a schedule is in; gives that, if it was in one."""
    with database.write() as cursor:
        was = current(cursor, workflow, at_us)
        _end(cursor, workflow, at_us, by)
    return was


def _end(cursor: sqlite3.Cursor, workflow: str, at_us: int, by: str) -> None:
    """End the open pause, or one whose date has passed as of that, which who made it has said."""
    cursor.execute(
        """UPDATE pause_rows SET ended_at = max(min(?2, coalesce(until, ?2)), paused_at),
                  ended_by = CASE WHEN until <= ?2 THEN paused_by ELSE ?3 END
           WHERE workflow = ?1 AND ended_at IS NULL""",
        (workflow, at_us, by),
    )


def current(cursor: sqlite3.Cursor, workflow: str, now_us: int) -> Pause | None:
    """Give the pause that a schedule is in, if it is; a clock set back ends none."""
    sql = f"SELECT {_COLUMNS} FROM pause_rows WHERE {_IS_ON} AND workflow = ?2"
    row = cursor.execute(sql, (now_us, workflow)).fetchone()
    return None if row is None else Pause(*row)


def since(cursor: sqlite3.Cursor, workflow: str, at_us: int) -> list[Pause]:
    """Give the pauses that were not over at a moment, oldest first."""
    rows = cursor.execute(
        f"""SELECT {_COLUMNS} FROM pause_rows
            WHERE workflow = ? AND coalesce(ended_at, until, ?) >= ? ORDER BY paused_at""",
        (workflow, at_us, at_us),
    )
    return [Pause(*row) for row in rows]


def all_current(cursor: sqlite3.Cursor, now_us: int) -> dict[str, Pause]:
    """Give the pauses that schedules are in, by workflow."""
    sql = f"SELECT {_COLUMNS} FROM pause_rows WHERE {_IS_ON}"
    return {row[0]: Pause(*row) for row in cursor.execute(sql, (now_us,))}


_FAILURES = """
SELECT id FROM run_rows WHERE workflow = ?1 AND status = 'failed' AND started_by = 'timer'
  AND id > coalesce((SELECT max(id) FROM run_rows WHERE workflow = ?1 AND status = 'ok'
                       AND only_steps = '' AND backfill IS NULL), 0)
  AND started_at > coalesce((SELECT max(ended_at) FROM pause_rows WHERE workflow = ?1), -1)
ORDER BY id DESC LIMIT ?2"""


def pause_if_failing(
    database: Database, new: Pause, most: int, facts: Mapping[str, Any], channels: Iterable[str]
) -> bool:
    """Pause a schedule whose timer's last runs failed, so many in a row; tell `facts` of it.

    A run that went well, whoever started it, and a pause that has ended begin the count anew.
    """
    with database.read() as cursor:
        failed = cursor.execute(_FAILURES, (new.workflow, most)).fetchall()
        if len(failed) < most or current(cursor, new.workflow, new.paused_at):
            return False
    with database.write() as cursor:
        if current(cursor, new.workflow, new.paused_at):
            return False
        insert(cursor, new)
        alert = Queued(AlertKind.PAUSED, facts, new.paused_at, new.workflow, failed[0][0])
        put(cursor, alert, channels)
    return True


# By an alert of its own, or in a list; what a clock that was ahead has told does not count.
_TOLD = """SELECT max(created_at) FROM alert_rows WHERE created_at <= ?2 AND
 (kind = 'paused' AND workflow = ?1 OR kind = 'digest' AND json_valid(facts)
  AND EXISTS (SELECT 1 FROM json_each(facts, '$.paused') WHERE value = ?1))"""


def remind(
    database: Database,
    pause: Pause,
    facts: Mapping[str, str],
    channels: Iterable[str],
    when: tuple[int, int],
) -> bool:
    """Tell of a pause again, if nothing was said of it for so long; `when` is now, and how long."""
    now_us, after_us = when
    with database.write() as cursor:
        told_at = cursor.execute(_TOLD, (pause.workflow, now_us)).fetchone()[0] or 0
        known_at = max(told_at, pause.paused_at if pause.paused_at <= now_us else 0)
        if now_us - known_at < after_us:
            return False
        put(cursor, Queued(AlertKind.PAUSED, facts, now_us, pause.workflow), channels)
    return True
