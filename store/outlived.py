"""Old rows that go with no run: incidents that are over, alerts of no run, ended pauses."""

from __future__ import annotations

import sqlite3

from store.connection import Database

_OLDEST = """SELECT id, opened_at, coalesce(closed_at, last_at), closed_at IS NULL AND
  EXISTS (SELECT 1 FROM run_rows WHERE id = i.last_run) OR
  EXISTS (SELECT 1 FROM alert_rows WHERE incident_id = i.id)
FROM incident_rows i ORDER BY id"""

# The newest alert of each kind tells what was told, and when; the newest pause that has ended,
# which failures in a row count. A digest does so of each workflow that it lists.
_ALERTS = """FROM alert_rows AS a WHERE run_id IS NULL AND status IN ('sent', 'given_up')
  AND created_at < :before
  AND id < (SELECT max(id) FROM alert_rows WHERE run_id IS NULL AND workflow = a.workflow
              AND kind = a.kind AND created_at <= :now)
  AND NOT EXISTS (
    SELECT 1 FROM json_each(iif(json_valid(a.facts), a.facts, '{}'), '$.told') AS t
    WHERE a.kind = 'digest' AND NOT EXISTS (
      SELECT 1 FROM alert_rows AS b
      WHERE run_id IS NULL AND id > a.id AND created_at <= :now
        AND (kind = 'missing' AND workflow = t.key
             OR kind = 'digest' AND json_valid(facts)
                AND json_extract(facts, '$.told."' || t.key || '"') IS NOT NULL)))"""
# A slot that is still to be decided may have come due in a pause; one to come, which a clock that
# was ahead has left, tells nothing of that.
_PAUSES = """FROM pause_rows AS p WHERE ended_at < :before
  AND ended_at < (SELECT max(ended_at) FROM pause_rows WHERE workflow = p.workflow)
  AND (ended_at < (SELECT max(slot) FROM slot_rows WHERE workflow = p.workflow AND slot <= :now)
       OR NOT EXISTS (SELECT 1 FROM schedule_rows WHERE workflow = p.workflow))"""

ROWS_MAX = 1_000  # in one transaction


def let_go(database: Database, before_us: int, now_us: int) -> bool:
    """Let go of such rows, of all workflows, that are of before a moment: of 1,000 of each at most.

    Of an open incident that is the moment of its last failure, and only once that run has gone.
    Gives whether there may be more.
    """
    which = {"before": before_us, "now": now_us}
    with database.read() as cursor:
        incidents = _incidents(cursor, before_us)
        others = [rows for rows in (_ALERTS, _PAUSES) if _any(cursor, rows, which)]
    if not incidents and not others:
        return False
    most = len(incidents)
    with database.write() as cursor:
        sql = "DELETE FROM incident_rows WHERE id = ? AND coalesce(closed_at, last_at) < ?"
        cursor.executemany(sql, [(incident, before_us) for incident in incidents])
        for rows in others:
            chosen = f"SELECT id {rows} LIMIT {ROWS_MAX}"
            table = rows.split()[1]
            sql = f"DELETE FROM {table} WHERE id IN ({chosen})"
            most = max(most, cursor.execute(sql, which).rowcount)
    return most == ROWS_MAX


def _any(cursor: sqlite3.Cursor, rows: str, which: dict[str, int]) -> bool:
    return cursor.execute(f"SELECT 1 {rows} LIMIT 1", which).fetchone() is not None


def _incidents(cursor: sqlite3.Cursor, before_us: int) -> list[int]:
    """Name the incidents that go; those opened later than the moment are not looked at."""
    found: list[int] = []
    for incident, opened_at, ended_at, is_needed in cursor.execute(_OLDEST):
        if opened_at >= before_us or len(found) == ROWS_MAX:
            break
        if ended_at < before_us and not is_needed:
            found.append(incident)
    return found
