"""The steps of a big run that are worth a look, and how its steps stand: not all of them read."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from engine.model import StepStatus
from store.new_run import TALLIED
from store.step_runs import StepRun, status_as_left, step_runs

_TRIES = 4  # attempts that are looked at for each step that is wanted: a step may have many

# What failed first comes first.
_SETTLED = """
SELECT position FROM step_rows WHERE run_id = ?1 AND status IN ('failed', 'interrupted')
ORDER BY status, ended_at IS NULL, ended_at, position LIMIT ?2"""
# What never ran comes as declared: no more rows are looked at than that takes.
_LEFT_OUT = """
SELECT position FROM step_rows WHERE run_id = ?1 AND status = ?2 ORDER BY position LIMIT ?3"""
# One look at each attempt, 0.1 µs: those that were not ok, then those that took longest.
_TRIED = """
SELECT position FROM attempt_rows WHERE run_id = ?1
ORDER BY outcome = 'ok', finished_at - started_at DESC, position LIMIT ?2"""
_OPEN = """
NOT EXISTS (SELECT 1 FROM step_rows s WHERE s.run_id = ?1 AND s.position = w.position)
AND w.position NOT IN (SELECT position FROM live_rows WHERE run_id = ?1)"""
_WAITS = f"""
SELECT position FROM attempt_rows w WHERE run_id = ?1 AND retry_at IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM attempt_rows n
    WHERE n.run_id = ?1 AND n.position = w.position AND n.number > w.number) AND {_OPEN}
UNION ALL
SELECT position FROM carried_rows w WHERE run_id = ?1 AND retry_at IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM attempt_rows n
    WHERE n.run_id = ?1 AND n.position = w.position) AND {_OPEN}"""
# What a run's row does not count; by sums, as to group half a million rows takes twice as long.
_ENDED_EARLY = """
SELECT total(status = 'cancelled'), total(status = 'interrupted') FROM step_rows WHERE run_id = ?"""


class Page(NamedTuple):
    """`counts` tells of all steps of the run, by status; `steps` are in declaration order.

    They are more than were wanted: which of them are worth most is for the reader to say.
    """

    steps: list[StepRun]
    counts: dict[str, int]


def page(cursor: sqlite3.Cursor, run_id: int, most: int, *, is_dead: bool) -> Page:
    """Give what is not ok, not at once, or took longest, `most` of each if there are so many."""
    run = cursor.execute(
        f"SELECT status = 'running', live, steps, {', '.join(TALLIED)} FROM run_rows WHERE id = ?",
        (run_id,),
    ).fetchone()
    is_on, live = run[0], [position for position, *_ in json.loads(run[1])]
    waits = _positions(cursor.execute(_WAITS, (run_id,))) if is_on else []
    counts = _counts(cursor, run_id, run[2:])
    if is_on:
        for status, count in (("running", len(live)), ("backing_off", len(waits))):
            counts[status], counts["waiting"] = count, counts["waiting"] - count
    wanted = {*live[:most], *waits[:most]}
    wanted.update(_positions(cursor.execute(_SETTLED, (run_id, most))))
    for status in ("cancelled", "skipped"):
        if counts[status]:
            wanted.update(_positions(cursor.execute(_LEFT_OUT, (run_id, status, most))))
    wanted.update(_positions(cursor.execute(_TRIED, (run_id, most * _TRIES))))
    steps = list(step_runs(cursor, run_id, sorted(wanted)))
    if is_dead:
        left: Counter[str] = Counter()
        for status, count in counts.items():
            left[status_as_left(status)] += count
        counts = left
    return Page(steps, {str(word): counts[word] for word in StepStatus if counts[word]})


def _counts(cursor: sqlite3.Cursor, run_id: int, counted: tuple[int, ...]) -> Counter[str]:
    """Count steps by status, by what the run's row has counted; those that are open as waiting."""
    total, *ended = counted
    counts = Counter(dict(zip(TALLIED, ended, strict=True)))
    if total > counts.total():
        cancelled, interrupted = cursor.execute(_ENDED_EARLY, (run_id,)).fetchone()
        counts.update({"cancelled": int(cancelled), "interrupted": int(interrupted)})
    counts["waiting"] = total - counts.total()
    return counts


def _positions(rows: Iterable[tuple[int]]) -> list[int]:
    return [position for (position,) in rows]
