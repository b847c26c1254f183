"""How workflows and steps have fared from run to run, for whoever looks at many runs at once.

No question here grows with the store: each has a bound on the rows that it looks at.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from engine.model import AttemptOutcome
from store import locks
from store.connection import Database
from store.reconcile import ASKED_BY, Found
from store.step_runs import as_left, status_as_left, status_of, step_runs

DAY_RUNS_MAX = 20_000  # runs that are counted by day: 1 µs each
STEP_RUNS_MAX = 2_000  # runs in which a step is looked for: it may be a new one
_RUNNING = "running"

# One step from each name to the next, where `DISTINCT` would read all of the index.
_WORKFLOWS = """
WITH RECURSIVE names(name) AS (
  SELECT min(workflow) FROM run_rows
  UNION ALL
  SELECT (SELECT min(workflow) FROM run_rows WHERE workflow > name) FROM names
  WHERE name IS NOT NULL)
SELECT name FROM names WHERE name IS NOT NULL LIMIT ?"""
_RUNS = f"""
SELECT r.id, r.workflow, r.status, r.started_at, (r.finished_at - r.started_at) / 1e6, r.steps,
       r.ok, r.cached, r.failed, r.skipped, r.retries, substr(r.note, 1, 1000),
       CASE WHEN length(r.params) <= 4000 THEN r.params ELSE '{{{{}}}}' END, r.started_by,
       r.only_steps, r.zone, r.owner, {ASKED_BY}
FROM run_rows r WHERE {{}} ORDER BY r.id DESC
LIMIT ? + (SELECT count(*) FROM run_rows WHERE status = 'running')"""
_DAYS = """
SELECT date(started_at / 1000000, 'unixepoch', 'localtime') AS day, status, count(*)
FROM (SELECT started_at, status FROM run_rows{} ORDER BY id DESC LIMIT ?)
WHERE started_at >= ? GROUP BY day, status"""
_STEP = """
SELECT r.id, r.position, r.live, r.owner, r.zone, r.started_at, s.status, substr(s.note, 1, 1000),
       a.number, a.outcome, a.started_at, a.finished_at, substr(a.error, 1, 1000),
       iif(a.number IS NULL, c.retry_at, a.retry_at)
FROM (SELECT w.id, w.owner, w.zone, w.started_at, d.position,
             CASE w.status WHEN 'running' THEN w.live END AS live
      FROM (SELECT id, status, started_at, definition_id, owner, zone, live FROM run_rows
            WHERE workflow = ?1 ORDER BY id DESC LIMIT ?4) w
      JOIN definition_steps d ON d.definition_id = w.definition_id AND d.name = ?2
      ORDER BY w.id DESC LIMIT ?3) r
LEFT JOIN step_rows s ON s.run_id = r.id AND s.position = r.position
LEFT JOIN attempt_rows a ON a.run_id = r.id AND a.position = r.position
LEFT JOIN carried_rows c ON c.run_id = r.id AND c.position = r.position
ORDER BY r.id DESC, a.number"""

_PLACE = """
SELECT d.position, r.status = 'running', r.owner FROM run_rows r JOIN definition_steps d
ON d.definition_id = r.definition_id AND d.name = ? WHERE r.id = ?"""


class RunRow(NamedTuple):
    """A run in a list of runs; `started_us` counts from 1970, two texts are JSON."""

    run_id: int
    workflow: str
    status: str
    started_us: int
    duration_s: float | None
    steps: int
    ok: int
    cached: int
    failed: int
    skipped: int
    retries: int
    note: str
    params: str
    started_by: str
    only_steps: str
    zone: str | None = None


class Wanted(NamedTuple):
    """Which runs are wanted: all that is given holds; `before` is a run's number."""

    workflow: str | None = None
    status: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    before: int | None = None


class StepPast(NamedTuple):
    """What a step came to in one run: its status, the last attempt, how many there were."""

    run_id: int
    status: str
    started_us: int
    duration_s: float | None
    attempts: int
    note: str
    error: str
    zone: str | None = None


class State(NamedTuple):
    """How far a run is: what has to be told anew if any of it is another.

    When it began tells it from another of its number, in a store that was put in this one's place.
    """

    status: str
    events: int
    steps: int
    live: str
    begun: int
    pruned: int | None


class Trends:
    """Reads one store; every method is one consistent view."""

    def __init__(self, database: Database) -> None:
        """Read through `database`."""
        self._database = database

    def workflows(self, most: int) -> list[str]:
        """Names of the workflows that have a run, in order."""
        with self._database.read() as cursor:
            return [name for (name,) in cursor.execute(_WORKFLOWS, (most,))]

    def runs(self, wanted: Wanted, most: int) -> list[RunRow]:
        """Runs, newest first, as they truly are: one that nobody runs any more is interrupted."""
        where, values = _conditions(wanted)
        with self._database.read() as cursor:
            found = cursor.execute(_RUNS.format(where), (*values, most)).fetchall()
        rows = [self._told(*row) for row in found]
        return [row for row in rows if wanted.status in (None, row.status)][:most]

    def _told(self, *row: Any) -> RunRow:
        *columns, owner, asked_by = row
        told = RunRow(*columns)
        if told.status != _RUNNING or locks.alive(self._database.path, told.run_id, owner):
            return told
        status = Found(told.run_id, told.workflow, owner, asked_by).status
        return told._replace(status=str(status))

    def days(self, workflow: str | None, since_us: int) -> dict[str, dict[str, int]]:
        """Count the last runs that began since then, by their day here and by status."""
        where, values = ("", ()) if workflow is None else (" WHERE workflow = ?", (workflow,))
        found: dict[str, dict[str, int]] = {}
        with self._database.read() as cursor:
            cursor.execute(_DAYS.format(where), (*values, DAY_RUNS_MAX, since_us))
            for day, status, count in cursor:
                found.setdefault(day, {})[status] = count
        return found

    def step(self, workflow: str, step: str, most: int) -> list[StepPast]:
        """What a step came to in the last runs that had it, newest first."""
        with self._database.read() as cursor:
            cursor.execute(_STEP, (workflow, step, most, STEP_RUNS_MAX))
            found = list(_steps(cursor))
        return [
            step._replace(status=status_as_left(step.status))
            if owner is not None and not locks.alive(self._database.path, step.run_id, owner)
            else step
            for step, owner in found
        ]

    def step_in(self, run_id: int, step: str) -> tuple[str, int] | None:
        """How a step of a run stands, and how many attempts it has had; None if there is none."""
        with self._database.read() as cursor:
            place = cursor.execute(_PLACE, (step, run_id)).fetchone()
            if place is None:
                return None
            position, is_on, owner = place
            found = next(iter(step_runs(cursor, run_id, [position])))
        if is_on and not locks.alive(self._database.path, run_id, owner):
            found = as_left(found)
        return found.status, found.attempts

    def state(self, run_id: int) -> State | None:
        """How far a run is, as it is recorded; None if there is none."""
        with self._database.read() as cursor:
            found = cursor.execute(
                "SELECT status, events, steps, live, started_at, pruned_at FROM run_rows"
                " WHERE id = ?",
                (run_id,),
            ).fetchone()
        return None if found is None else State(*found)


def _conditions(wanted: Wanted) -> tuple[str, list[object]]:
    """Give a WHERE and its values; who is dead is recorded as running still."""
    conditions: dict[str, object] = {
        "r.workflow = ?": wanted.workflow,
        "r.started_at >= ?": wanted.since_us,
        "r.started_at < ?": wanted.until_us,
        "r.id < ?": wanted.before,
    }
    if wanted.status in ("interrupted", "cancelled"):
        conditions["r.status IN (?, 'running')"] = wanted.status
    else:
        conditions["r.status = ?"] = wanted.status
    given = {text: value for text, value in conditions.items() if value is not None}
    return " AND ".join(given) or "1", list(given.values())


def _steps(cursor: sqlite3.Cursor) -> Iterator[tuple[StepPast, str | None]]:
    """Make one of the rows of each run, which come together, in the order of its attempts.

    Beside it is the run's owner, where the run is on.
    """
    held: list[tuple[Any, ...]] = []
    for row in cursor:
        if held and held[0][0] != row[0]:
            yield _step(held), _owner(held)
            held = []
        held.append(row)
    if held:
        yield _step(held), _owner(held)


def _owner(rows: list[tuple[Any, ...]]) -> str | None:
    live, owner = rows[0][2:4]
    return None if live is None else str(owner)


def _step(rows: list[tuple[Any, ...]]) -> StepPast:
    run_id, position, live, _, zone, began, settled, note = rows[0][:8]
    number, outcome, tried, ended, error, retry_at = rows[-1][8:]
    is_live = live is not None and any(each[0] == position for each in json.loads(live))
    if settled is None:
        settled = status_of(None, retry_at, is_live=is_live, is_ok=outcome == AttemptOutcome.OK)
    return StepPast(
        run_id,
        str(settled),
        began if tried is None else tried,
        None if tried is None or ended is None else (ended - tried) / 1e6,
        (0 if number is None else len(rows)) + is_live,
        note or "",
        error or "",
        zone,
    )
