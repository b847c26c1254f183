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


class ScheduleReads:
    """The part of `store.history.History` that tells of schedules."""

    _database: Database

    def pauses(self, now_us: int) -> dict[str, Pause]:
        """The pauses that schedules are in, by workflow."""
        from store import pauses

        return pauses.all_current(self._database, now_us)

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

    def zone_name(self, workflow: str) -> str:
        """The zone of a workflow's times that are no run's; empty for the machine's.

        It is that which its schedule named last, and without a schedule its newest run's.
        """
        with self._database.read() as cursor:
            cursor.execute(_ZONE, (workflow,))
            return str(cursor.fetchone()[0])
