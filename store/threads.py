"""Where the first messages on incidents are, by channel: what follows belongs there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

APART_MAX = 15  # first messages that are brought up to date along with a list

# JSON that is damaged says nothing; it keeps nothing else from being told.
_THREAD = "CASE WHEN json_valid(thread) THEN json_extract(thread, '$.' || ?1) END"
_THREADS = f"""SELECT DISTINCT {_THREAD} FROM incident_rows
 WHERE id IN (SELECT value FROM json_each(?2))"""
_APART = f"""SELECT id, {_THREAD} AS there FROM incident_rows
 WHERE id IN (SELECT value FROM json_each(?2)) AND closed_at IS NOT NULL
  AND CASE WHEN json_valid(there) THEN json_extract(there, '$.many') IS NULL END
 ORDER BY id LIMIT {APART_MAX}"""
_LISTS = f"""SELECT min(id), {_THREAD} AS there FROM incident_rows
 WHERE id IN (SELECT value FROM json_each(?2))
  AND CASE WHEN json_valid(there) THEN json_extract(there, '$.many') IS NOT NULL END
 GROUP BY there"""
_SHARE = f"""SELECT count(*), count(*) - count(closed_at) FROM incident_rows
 WHERE {_THREAD} = ?2"""
_KEEP = """UPDATE incident_rows SET
 thread = json_set(iif(json_valid(thread), thread, '{}'), '$.' || ?1, json(?2)) WHERE id = ?3"""


def keep(
    cursor: sqlite3.Cursor, incidents: Sequence[int], channel: str, thread: dict[str, Any]
) -> None:
    """Record where the first message on some incidents is.

    Of many, those that have another first message each keep it: what follows belongs there.
    """
    sql = _KEEP
    if len(incidents) > 1 and common(cursor, incidents, channel) is None:
        sql += f" AND {_THREAD} IS NULL"
    text = json.dumps(thread)
    cursor.executemany(sql, [(channel, text, incident) for incident in incidents])


def common(cursor: sqlite3.Cursor, incidents: Sequence[int], channel: str) -> dict[str, Any] | None:
    """Give where the first message on incidents is, if they have one in common.

    If that told of more of them, `many` is how many did and `open` how many still go on.
    """
    numbers = json.dumps(list(incidents))
    rows = cursor.execute(_THREADS, (channel, numbers)).fetchall()
    found = _place(rows[0][0]) if len(rows) == 1 else None
    if found is None:
        return None
    if "many" in found:
        found["many"], found["open"] = cursor.execute(_SHARE, (channel, rows[0][0])).fetchone()
    return found


def apart(
    cursor: sqlite3.Cursor, incidents: Sequence[int], channel: str
) -> dict[int, dict[str, Any]]:
    """Give where the first messages are of incidents, of many, that are over and have one each.

    Also those that told of many, all of which are over by now: by the first, with how many.
    """
    numbers = json.dumps(list(incidents))
    rows: list[tuple[int, object]] = []
    for incident, there in cursor.execute(_LISTS, (channel, numbers)).fetchall():
        count, still_open = cursor.execute(_SHARE, (channel, there)).fetchone()
        if not still_open:
            rows.append((incident, json.dumps(json.loads(there) | {"many": count, "open": 0})))
    rows += cursor.execute(_APART, (channel, numbers)).fetchall()
    places = [(incident, _place(there)) for incident, there in rows[:APART_MAX]]
    return {incident: place for incident, place in places if place is not None}


def _place(text: object) -> dict[str, Any] | None:
    """Read where a message is; None if that cannot be read."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
