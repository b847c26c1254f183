"""Undelivered alerts: claimed before they are sent, so that none is lost and few come twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from engine.alert import AlertRow, AlertStatus
from store import locks
from store.connection import Database

TELLING_US = 1_000_000  # of the few seconds that a delivery may take


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
        """Mark due alerts as being sent by this process, durably; oldest first.

        Only as many as can be told in a second: what is claimed is to be sent at once.
        """
        told: dict[int, dict[str, Any]] = {}
        ends_us = self._now_us() + TELLING_US
        claimed = []
        for alert_id, run_id, channel, tries, repeat in self._due()[:limit]:
            if run_id not in told:
                if told and self._now_us() > ends_us:
                    break
                told[run_id] = self._payload(run_id)
            claimed.append(AlertRow(alert_id, channel, told[run_id], tries, repeat))
        with self._database.write() as cursor:
            return [row for row in claimed if self._mark(cursor, row)]

    def _due(self) -> list[tuple[int, int, str, int, bool]]:
        with self._database.read() as cursor:
            rows = cursor.execute(
                "SELECT id, run_id, channel, tries, status, owner FROM alert_rows"
                " WHERE status IN ('pending', 'sending') ORDER BY id"
            ).fetchall()
        return [
            (alert_id, run_id, channel, tries, status == AlertStatus.SENDING)
            for alert_id, run_id, channel, tries, status, owner in rows
            if status == AlertStatus.PENDING or not self._is_sent_by_the_living(owner)
        ]

    def _mark(self, cursor: sqlite3.Cursor, row: AlertRow) -> bool:
        """Claim a row, if nobody else has meanwhile."""
        status, owner = cursor.execute(
            "SELECT status, owner FROM alert_rows WHERE id = ?", (row.id,)
        ).fetchone()
        still = AlertStatus.SENDING if row.repeat else AlertStatus.PENDING
        if status != still or (row.repeat and self._is_sent_by_the_living(owner)):
            return False
        cursor.execute(
            "UPDATE alert_rows SET status = 'sending', owner = ? WHERE id = ?",
            (self._owner.to_text(), row.id),
        )
        return True

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

    def failed(self, alert_id: int, error: str, *, give_up: bool, tried: bool = True) -> None:
        """Record a failed try, or that none was made; the alert stays due unless given up."""
        status = AlertStatus.GIVEN_UP if give_up else AlertStatus.PENDING
        with self._database.write() as cursor:
            cursor.execute(
                "UPDATE alert_rows SET status = ?, tries = tries + ?, error = ?, owner = NULL"
                " WHERE id = ?",
                (status, int(tried), error, alert_id),
            )
