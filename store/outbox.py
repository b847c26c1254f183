"""Undelivered alerts: claimed before they are sent, so that none is lost and few come twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.model import AlertRow
from store import locks
from store.connection import Database
from store.tables import AlertStatus


class StoredOutbox:
    """Implements `engine.ports.Outbox`."""

    def __init__(
        self,
        database: Database,
        *,
        now_us: Callable[[], int],
        payload: Callable[[int], dict[str, Any]],
    ) -> None:
        """`payload` builds the report of a run, which is what an alert tells."""
        self._database = database
        self._now_us = now_us
        self._payload = payload
        self._owner = locks.this_process("")

    def claim(self, limit: int = 20) -> list[AlertRow]:
        """Mark due alerts as being sent by this process, durably; oldest first."""
        claimed: list[tuple[int, str, int, int, bool]] = []
        with self._database.write() as cursor:
            rows = cursor.execute(
                "SELECT id, run_id, channel, tries, status, owner FROM alert_rows"
                " WHERE status IN ('pending', 'sending') ORDER BY id"
            ).fetchall()
            for alert_id, run_id, channel, tries, status, owner in rows:
                repeat = status == AlertStatus.SENDING
                if repeat and self._is_sent_by_the_living(owner):
                    continue
                if len(claimed) == limit:
                    break
                cursor.execute(
                    "UPDATE alert_rows SET status = 'sending', owner = ? WHERE id = ?",
                    (self._owner.to_text(), alert_id),
                )
                claimed.append((alert_id, channel, run_id, tries, repeat))
        return [
            AlertRow(alert_id, channel, self._payload(run_id), tries, repeat)
            for alert_id, channel, run_id, tries, repeat in claimed
        ]

    def _is_sent_by_the_living(self, owner_text: str | None) -> bool:
        owner = locks.Owner.from_text(owner_text or "")
        return owner is not None and owner != self._owner and locks.process_lives(owner)

    def sent(self, alert_id: int) -> None:
        """Record the delivery."""
        with self._database.write() as cursor:
            cursor.execute(
                "UPDATE alert_rows SET status = 'sent', sent_at = ?, tries = tries + 1,"
                " owner = NULL, error = '' WHERE id = ?",
                (self._now_us(), alert_id),
            )

    def failed(self, alert_id: int, error: str, *, give_up: bool) -> None:
        """Record a failed try; the alert stays due unless given up."""
        status = AlertStatus.GIVEN_UP if give_up else AlertStatus.PENDING
        with self._database.write() as cursor:
            cursor.execute(
                "UPDATE alert_rows SET status = ?, tries = tries + 1, error = ?, owner = NULL"
                " WHERE id = ?",
                (status, error, alert_id),
            )
