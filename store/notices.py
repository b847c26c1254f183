"""Alerts of no incident that wait for a channel: many of them are one, which lists them."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

from engine.alert import AlertKind
from store.incidents import DIGEST_OVER, SHOWN_MAX
from store.queued import Queued, put

# Only those that nobody has claimed: what may have been sent is told as it was.
_WAITING = "status = 'pending' AND kind IN ('late', 'missing', 'paused') AND json_valid(facts)"

_Row = tuple[int, str, str, int, int, str]  # number, kind, workflow, since when, tries, facts


def too_many(cursor: sqlite3.Cursor) -> list[str]:
    """Name the channels that have more of them to send than go one by one."""
    rows = cursor.execute(
        f"SELECT channel FROM alert_rows WHERE {_WAITING} GROUP BY channel"
        f" HAVING count(*) > {DIGEST_OVER} ORDER BY channel"
    )
    return [channel for (channel,) in rows.fetchall()]


def fold(cursor: sqlite3.Cursor, channel: str) -> None:
    """Put one digest in the place of a channel's, if there are too many."""
    rows: list[_Row] = cursor.execute(
        "SELECT id, kind, coalesce(nullif(workflow, ''), (SELECT workflow FROM run_rows WHERE"
        f" id = run_id)), created_at, tries, facts FROM alert_rows WHERE {_WAITING}"
        " AND channel = ? ORDER BY id",
        (channel,),
    ).fetchall()
    if len(rows) <= DIGEST_OVER:
        return
    cursor.executemany("DELETE FROM alert_rows WHERE id = ?", [(row[0],) for row in rows])
    since, tries = max(row[3] for row in rows), min(row[4] for row in rows)
    digest = Queued(AlertKind.DIGEST, _digest(rows), since, rows[0][2], tries=tries)
    put(cursor, digest, [channel])


def _digest(rows: Sequence[_Row]) -> dict[str, Any]:
    """Give what one message tells, with up to which slot of each workflow, and whose pauses."""
    workflows = {row[2] for row in rows}
    known = [(kind, workflow, json.loads(facts)) for _, kind, workflow, _, _, facts in rows]
    told = [(workflow, facts["until"]) for kind, workflow, facts in known if kind == "missing"]
    return {
        "workflow": workflows.pop() if len(workflows) == 1 else "",
        "counts": dict(Counter(kind for kind, *_ in known)),
        "ids": [],
        "shown": [
            {"kind": kind, "headline": facts["headline"]} for kind, _, facts in known[:SHOWN_MAX]
        ],
        "told": dict(sorted(told, key=lambda each: each[1])),
        "paused": sorted({workflow for kind, workflow, _ in known if kind == "paused"}),
    }
