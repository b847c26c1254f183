"""What a run looks like through time, beyond how its steps ended: for its page."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

VALUES_MAX = 100
HEAD_BYTES = 8_192  # of a value: more than is shown, so that a secret is found whole

_ATTEMPTS = """
SELECT position, number, outcome, started_at, finished_at, retry_at FROM attempt_rows
WHERE run_id = ?1{} ORDER BY position, number"""
_SOME = " AND position IN (SELECT value FROM json_each(?2))"
_VALUES = f"""
SELECT o.position, d.name, o.key, o.codec, length(o.data), substr(o.data, 1, {HEAD_BYTES})
FROM output_rows o JOIN run_rows r ON r.id = o.run_id
LEFT JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = o.position
WHERE o.run_id = ? ORDER BY o.position, o.key LIMIT {VALUES_MAX}"""


class Tried(NamedTuple):
    """An attempt; one that has not ended has no outcome. Times in microseconds since 1970 UTC."""

    position: int
    number: int
    outcome: str | None
    started_at: int | None
    finished_at: int | None
    retry_at: int | None


class Head(NamedTuple):
    """How a stored value begins, as it is encoded."""

    step: str
    key: str
    codec: str
    size_bytes: int
    data: bytes


class Timeline(NamedTuple):
    """One consistent view of a run."""

    workers: int
    attempts: list[Tried]
    upstreams: list[list[int]]
    values: list[Head]
    values_in_all: int


def timeline(
    cursor: sqlite3.Cursor, run_id: int, positions: Sequence[int] | None = None
) -> Timeline:
    """Give all of a run's timeline; with `positions`, only the attempts of those steps.

    Then the graph, which is too big to be drawn, is left out.
    """
    run = cursor.execute(
        "SELECT workers, definition_id,"
        " CASE status WHEN 'running' THEN live ELSE '[]' END FROM run_rows WHERE id = ?",
        (run_id,),
    ).fetchone()
    workers, definition, live = run
    upstreams = _upstreams(cursor, definition) if positions is None else []
    count = cursor.execute("SELECT count(*) FROM output_rows WHERE run_id = ?", (run_id,))
    values_in_all = int(count.fetchone()[0])
    return Timeline(
        workers,
        _attempts(cursor, run_id, json.loads(live), positions),
        upstreams,
        [Head(name or "", *rest) for _, name, *rest in cursor.execute(_VALUES, (run_id,))],
        values_in_all,
    )


def _attempts(
    cursor: sqlite3.Cursor,
    run_id: int,
    live: list[tuple[int, int, int, int | None]],
    positions: Sequence[int] | None,
) -> list[Tried]:
    if positions is None:
        cursor.execute(_ATTEMPTS.format(""), (run_id,))
    else:
        cursor.execute(_ATTEMPTS.format(_SOME), (run_id, json.dumps(positions)))
    found = [Tried(*row) for row in cursor]
    wanted = None if positions is None else set(positions)
    found += [
        Tried(position, number, None, started_at, None, None)
        for position, number, _, started_at in live
        if wanted is None or position in wanted
    ]
    return sorted(found)


def _upstreams(cursor: sqlite3.Cursor, definition: int | None) -> list[list[int]]:
    cursor.execute(
        "SELECT upstreams FROM definition_steps WHERE definition_id = ? ORDER BY position",
        (definition,),
    )
    found: list[list[int]] = json.loads(f"[{','.join([text for (text,) in cursor])}]")
    return found
