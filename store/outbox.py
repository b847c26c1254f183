"""Undelivered alerts: claimed before they are sent, so that none is lost and few come twice."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from engine.alert import AlertKind, AlertRow, AlertStatus, Due, Failure
from store import incidents, locks, notices, threads
from store.connection import Database

TELLING_US = 1_000_000  # of the few seconds that a delivery may take


_Row = tuple[int, str, int, bool, int, Due]  # number, channel, tries, repeat, since when


class StoredOutbox:
    """Implements `engine.ports.Outbox`."""

    def __init__(
        self,
        database: Database,
        *,
        now_us: Callable[[], int],
        payload: Callable[[Due], dict[str, Any]],
    ) -> None:
        """`payload` builds what an alert tells: as a rule, the report of its run."""
        self._database = database
        self._now_us = now_us
        self._payload = payload
        self._owner = locks.this_process("")

    def claim(self, limit: int = 20) -> list[AlertRow]:
        """Mark due alerts as being sent by this process, durably; oldest first.

        Only as many as can be told in a second: what is claimed is to be sent at once. The channels
        take turns, up to `limit` of each: one whose alerts stay keeps no other's from being sent.
        """
        self._fold()
        now_us = self._now_us()
        ends_us = now_us + TELLING_US
        claimed: list[AlertRow] = []
        told: dict[tuple[object, ...], dict[str, Any]] = {}
        for alert_id, channel, tries, repeat, at_us, due in _in_turn(self._due(), limit):
            about = incidents_of(due.facts)
            key = (due.run_id, due.kind, due.workflow, json.dumps(due.facts))
            if key not in told:
                if told and self._now_us() > ends_us:
                    break
                told[key] = self._payload(due)
            row = AlertRow(alert_id, channel, told[key], tries, repeat, due.kind, about)
            claimed.append(replace(row, age_s=max(now_us - at_us, 0) / 1e6))
        with self._database.write() as cursor:
            return [self._threaded(cursor, row) for row in claimed if self._mark(cursor, row)]

    def _fold(self) -> None:
        with self._database.read() as cursor:
            if not incidents.too_many(cursor) and not notices.too_many(cursor):
                return
        # Where one is damaged in its form, all go one by one.
        with suppress(KeyError, TypeError, ValueError), self._database.write() as cursor:
            for channel in incidents.too_many(cursor):
                incidents.fold(cursor, channel)
            for channel in notices.too_many(cursor):
                notices.fold(cursor, channel)

    def _due(self) -> list[_Row]:
        with self._database.read() as cursor:
            rows = cursor.execute(
                "SELECT id, channel, tries, status, created_at, owner, run_id, kind, workflow,"
                " facts FROM alert_rows WHERE status IN ('pending', 'sending') ORDER BY id"
            ).fetchall()
        return [
            (alert_id, channel, tries, status == AlertStatus.SENDING, at_us, _told(*about))
            for alert_id, channel, tries, status, at_us, owner, *about in rows
            if status == AlertStatus.PENDING or not self._is_sent_by_the_living(owner)
        ]

    def _threaded(self, cursor: sqlite3.Cursor, row: AlertRow) -> AlertRow:
        thread = threads.common(cursor, row.incidents, row.channel)
        if thread is not None or len(row.incidents) < 2:
            return replace(row, thread=thread)
        apart = threads.apart(cursor, row.incidents, row.channel)
        return replace(row, apart=apart or None)

    def _mark(self, cursor: sqlite3.Cursor, row: AlertRow) -> bool:
        """Claim a row, if nobody else has meanwhile."""
        found = cursor.execute("SELECT status, owner FROM alert_rows WHERE id = ?", (row.id,))
        status, owner = found.fetchone() or ("", None)  # another may have folded it into a digest
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

    def sent(self, alert_id: int, thread: Mapping[str, Any] | None = None) -> None:
        """Record the delivery, and where the first message on its incidents is now."""
        with self._database.write() as cursor:
            cursor.execute(
                "UPDATE alert_rows SET status = 'sent', sent_at = ?, tries = tries + 1,"
                " owner = NULL, error = '' WHERE id = ?",
                (self._now_us(), alert_id),
            )
            if thread is None:
                return
            sql = "SELECT channel, facts FROM alert_rows WHERE id = ?"
            channel, facts = cursor.execute(sql, (alert_id,)).fetchone()
            told = incidents_of(_read(facts))
            threads.keep(cursor, told, channel, dict(thread))

    def failed(self, alert_id: int, failure: Failure) -> None:
        """Record a failed try, or that none was made; the alert stays due unless given up.

        When it was given up is kept in the place of when it was sent.
        One that may have arrived stays as one that nobody sends any more: so it is a repeat.
        """
        due = AlertStatus.SENDING if failure.unknown else AlertStatus.PENDING
        status = AlertStatus.GIVEN_UP if failure.give_up else due
        given_up_at = self._now_us() if failure.give_up else None
        with self._database.write() as cursor:
            cursor.execute(
                "UPDATE alert_rows SET status = ?, tries = tries + ?, error = ?, owner = NULL,"
                " sent_at = ? WHERE id = ?",
                (status, int(failure.tried), failure.error, given_up_at, alert_id),
            )


def incidents_of(facts: Mapping[str, Any]) -> tuple[int, ...]:
    """Name the incidents that an alert with such facts tells of."""
    one, ids = facts.get("incident"), facts.get("ids")
    named = [one] if one is not None else ids if isinstance(ids, list) else []
    return tuple(number for number in named if isinstance(number, int))


def _told(run_id: int | None, kind: str, workflow: str, facts: str) -> Due:
    return Due(run_id, AlertKind(kind), workflow, _read(facts))


def _read(facts: str) -> dict[str, Any]:
    try:
        known = json.loads(facts)
    except ValueError:
        known = None
    return known if isinstance(known, dict) else {}


def _in_turn(due: Iterable[_Row], limit: int) -> list[_Row]:
    """Give the oldest of each channel, then the second of each, up to `limit` of each."""
    counts: Counter[str] = Counter()
    ranked: list[tuple[int, _Row]] = []
    for row in due:
        counts[row[1]] += 1
        ranked.append((counts[row[1]], row))
    first = [(rank, row) for rank, row in ranked if rank <= limit]
    return [row for _, row in sorted(first, key=lambda each: each[0])]
