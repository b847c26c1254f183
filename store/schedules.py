"""What is read of schedules, for people: pauses, and time zones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.connection import Database
    from store.pauses import Pause

_ZONE = """
SELECT coalesce(
  (SELECT zone FROM schedule_rows WHERE workflow = ?1),
  (SELECT zone FROM run_rows WHERE workflow = ?1 ORDER BY id DESC LIMIT 1), '')"""


_FOLLOWS = """
SELECT 1 FROM run_rows AS this JOIN run_rows AS r ON r.workflow = this.workflow
WHERE this.id = ? AND +r.id < this.id AND r.slot <> this.slot AND r.status IN ('ok', 'failed')
  AND r.pruned_at IS NULL AND r.finished_at > this.started_at - 300000000"""


class ScheduleReads:
    """The part of `store.history.History` that tells of schedules."""

    _database: Database

    def pauses(self, now_us: int) -> dict[str, Pause]:
        """The pauses that schedules are in, by workflow."""
        from store import pauses

        with self._database.read() as cursor:
            return pauses.all_current(cursor, now_us)

    def passed_over(self, workflow: str, most: int) -> list[tuple[int, str]]:
        """The newest slots that have no run, and why; newest first, in microseconds."""
        sql = """SELECT slot, reason FROM slot_rows WHERE workflow = ? AND run_id IS NULL
                 ORDER BY slot DESC LIMIT ?"""
        with self._database.read() as cursor:
            return cursor.execute(sql, (workflow, most)).fetchall()

    def noted(self) -> dict[str, tuple[str, str, dict[str, Any]]]:
        """The schedules as they were noted last, by workflow: calendar, zone, facts."""
        with self._database.read() as cursor:
            cursor.execute("SELECT workflow, calendar, zone, facts FROM schedule_rows")
            return {
                name: (calendar, zone, json.loads(facts))
                for name, calendar, zone, facts in cursor.fetchall()
            }

    def limits(self, run_id: int) -> str | None:
        """After how long a run and its steps are late, as it was recorded."""
        with self._database.read() as cursor:
            cursor.execute("SELECT limits FROM run_rows WHERE id = ?", (run_id,))
            return str(text) if (text := cursor.fetchone()[0]) is not None else None

    def catches_up(self, run_id: int) -> bool:
        """Whether a run of another slot ended in the five minutes before a run began."""
        with self._database.read() as cursor:
            return cursor.execute(_FOLLOWS, (run_id,)).fetchone() is not None

    def noted_after(self, workflow: str, slot: int) -> bool:
        """Whether a slot was due before its schedule was first noted, which is just before it."""
        sql = "SELECT noted_at >= ? - 1 FROM schedule_rows WHERE workflow = ?"
        with self._database.read() as cursor:
            row = cursor.execute(sql, (slot, workflow)).fetchone()
            return row is not None and bool(row[0])

    def zone_name(self, workflow: str) -> str:
        """The zone of a workflow's times that are no run's; empty for the machine's.

        It is that which its schedule named last, and without a schedule its newest run's.
        """
        with self._database.read() as cursor:
            cursor.execute(_ZONE, (workflow,))
            return str(cursor.fetchone()[0])
