"""What is read of schedules, for people: pauses, and time zones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.connection import Database
    from store.pauses import Pause


class ScheduleReads:
    """The part of `store.history.History` that tells of schedules."""

    _database: Database

    def pauses(self, now_us: int) -> dict[str, Pause]:
        """The pauses that schedules are in, by workflow."""
        from store import pauses

        return pauses.all_current(self._database, now_us)

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

    def zones(self) -> dict[str, str]:
        """The time zones that schedules name, by workflow, as they were noted last."""
        with self._database.read() as cursor:
            cursor.execute("SELECT workflow, zone FROM schedule_rows WHERE zone <> ''")
            return dict(cursor.fetchall())
