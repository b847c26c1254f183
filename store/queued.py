"""Alerts put into the outbox: a row for each channel that is to tell of one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from engine.alert import AlertKind, AlertStatus
from engine.records import record

_PUT = """INSERT INTO alert_rows
 (channel, status, created_at, tries, error, kind, run_id, incident_id, workflow, facts)
 VALUES (?, ?, ?, ?, '', ?, ?, ?, ?, ?)"""


@record
class Queued:
    """An alert that is about to wait: `facts` is what it tells of a run, incident or workflow.

    `tries` were made of those whose place it takes.
    """

    kind: AlertKind
    facts: Mapping[str, Any]
    at_us: int
    workflow: str = ""
    run_id: int | None = None
    incident_id: int | None = None
    tries: int = 0


def put(cursor: sqlite3.Cursor, new: Queued, channels: Iterable[str]) -> None:
    """Queue an alert for each channel, within the caller's transaction."""
    text = json.dumps(new.facts, ensure_ascii=False, separators=(",", ":"))
    about = (new.kind, new.run_id, new.incident_id, new.workflow, text)
    row = (AlertStatus.PENDING, new.at_us, new.tries, *about)
    cursor.executemany(_PUT, [(channel, *row) for channel in channels])
