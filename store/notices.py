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

# Only those that nobody has claimed: what may have been sent is told as it was. A digest tells of
# many, and folds, too: of a long outage there is one in the end.
_WAITING = """status = 'pending' AND iif(json_valid(facts), kind IN ('late', 'missing', 'paused')
 OR kind = 'digest' AND json_array_length(facts, '$.ids') = 0, 0)"""
_TOLD = """sum(CASE kind WHEN 'digest' THEN
 (SELECT sum(value) FROM json_each(facts, '$.counts')) ELSE 1 END)"""

_Row = tuple[int, str, str, int, int, str]  # number, kind, workflow, since when, tries, facts


def too_many(cursor: sqlite3.Cursor) -> list[str]:
    """Name the channels that have several to send which tell of more than go one by one."""
    rows = cursor.execute(
        f"SELECT channel FROM alert_rows WHERE {_WAITING} GROUP BY channel"
        f" HAVING count(*) > 1 AND {_TOLD} > {DIGEST_OVER} ORDER BY channel"
    )
    return [channel for (channel,) in rows.fetchall()]


def fold(cursor: sqlite3.Cursor, channel: str) -> None:
    """Put one digest in the place of a channel's, if there are too many."""
    if channel not in too_many(cursor):
        return
    rows: list[_Row] = cursor.execute(
        "SELECT id, kind, coalesce(nullif(workflow, ''), (SELECT workflow FROM run_rows WHERE"
        f" id = run_id)), created_at, tries, facts FROM alert_rows WHERE {_WAITING}"
        " AND channel = ? ORDER BY id",
        (channel,),
    ).fetchall()
    cursor.executemany("DELETE FROM alert_rows WHERE id = ?", [(row[0],) for row in rows])
    since, tries = max(row[3] for row in rows), min(row[4] for row in rows)
    digest = Queued(AlertKind.DIGEST, _digest(rows), since, rows[0][2], tries=tries)
    put(cursor, digest, [channel])


def _digest(rows: Sequence[_Row]) -> dict[str, Any]:
    """Give what one message tells, with up to which slot of each workflow, and whose pauses."""
    workflows, paused = set[str](), set[str]()
    counts: Counter[str] = Counter()
    shown: list[dict[str, Any]] = []
    told: list[tuple[str, int]] = []
    for _, kind, workflow, _, _, text in rows:
        facts = json.loads(text)
        if kind == AlertKind.DIGEST:
            workflows.add(facts.get("workflow", ""))
            counts.update(facts.get("counts", {}))
            shown += facts.get("shown", ())
            told += facts.get("told", {}).items()
            paused.update(facts.get("paused", ()))
            continue
        workflows.add(workflow)
        counts.update([kind])
        shown.append({"kind": kind, "headline": facts["headline"]})
        if kind == AlertKind.MISSING:
            told.append((workflow, facts["until"]))
        elif kind == AlertKind.PAUSED:
            paused.add(workflow)
    return {
        "workflow": workflows.pop() if len(workflows) == 1 else "",
        "counts": dict(counts),
        "ids": [],
        "shown": shown[:SHOWN_MAX],
        "told": dict(sorted(told, key=lambda each: each[1])),
        "paused": sorted(paused),
    }
