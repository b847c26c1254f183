"""What went well before a run: the last success, and how long runs and a step took then."""

from __future__ import annotations

import sqlite3

from engine.records import record
from engine.usual import MEDIAN_OF, Spread, spread
from store.usual import RUNS_MAX, WENT_WELL, usual_run


@record
class Successes:
    """The last whole run that went well and when it ended; what runs and a step took then."""

    run_id: int | None = None
    finished: str | None = None
    run: Spread | None = None
    step: Spread | None = None


def successes(cursor: sqlite3.Cursor, workflow: str, before: int, step: str | None) -> Successes:
    """Look at the runs of a workflow before run `before`, no more than it takes."""
    last = cursor.execute(
        f"""SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', finished_at / 1000000, 'unixepoch')
            FROM run_rows WHERE workflow = ? AND id < ? AND {WENT_WELL}
            ORDER BY id DESC LIMIT 1""",
        (workflow, before),
    ).fetchone()
    run_id, finished = last or (None, None)
    of_step = None if step is None else spread(_step(cursor, workflow, before, step))
    return Successes(run_id, finished, usual_run(cursor, workflow, before), of_step)


def _step(cursor: sqlite3.Cursor, workflow: str, before: int, step: str) -> list[float]:
    """Give the seconds of a step's last successful attempts."""
    cursor.execute(
        """SELECT (a.finished_at - a.started_at) / 1e6 FROM
           (SELECT id, definition_id FROM run_rows
            WHERE workflow = ? AND id < ? AND definition_id IS NOT NULL
            ORDER BY id DESC LIMIT ?) r
           CROSS JOIN definition_steps d ON d.definition_id = r.definition_id AND d.name = ?
           CROSS JOIN attempt_rows a ON a.run_id = r.id AND a.position = d.position
           WHERE a.outcome = 'ok' AND a.started_at IS NOT NULL ORDER BY r.id DESC LIMIT ?""",
        (workflow, before, RUNS_MAX, step, MEDIAN_OF),
    )
    return [seconds for (seconds,) in cursor]
