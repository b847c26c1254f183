"""How workflows stand, as figures for a monitor: no question here reads the rows of old runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from pathlib import Path

from engine.model import RunStatus
from engine.records import record
from engine.slots import PAUSED_BY_ITSELF
from store import locks, pauses
from store.connection import Database
from store.reconcile import ASKED_BY, Found
from store.step_runs import StepRun, as_left, step_runs
from store.usual import ALONE

WORKFLOWS_MAX = 1_000
STEPS_MAX = 200  # of one workflow; of a run with more, those that failed
STEPS_IN_ALL = 5_000

ENDED = (RunStatus.OK, RunStatus.FAILED, RunStatus.INTERRUPTED, RunStatus.CANCELLED)
"""How a run ends that began: one that was skipped says nothing of its workflow."""

# All from one index, but for the row of the run that is found: a hundred thousand runs in 10 ms.
_COUNTS = "SELECT workflow, status, count(*) FROM run_rows GROUP BY workflow, status"
_COLUMNS = "id, status, started_at, finished_at, failed, retries, steps"
_NEWEST = f"""
SELECT {_COLUMNS} FROM run_rows INDEXED BY ix_run_rows_age
WHERE workflow = ? AND status = ? AND pruned_at IS {{}} AND only_steps = '' AND {ALONE}
ORDER BY finished_at DESC, id DESC LIMIT 1"""
_ON = f"""
SELECT r.id, r.workflow, r.owner, r.started_at, r.failed, r.retries, r.steps,
       r.only_steps = '' AND (r.backfill IS NULL OR r.backfill = r.id), {ASKED_BY}
FROM run_rows r WHERE r.status = 'running' ORDER BY r.id"""
_FAILED_STEPS = """
SELECT position FROM step_rows WHERE run_id = ? AND status = 'failed' ORDER BY position LIMIT ?"""
_INCIDENTS = """
SELECT workflow, count(*) FROM incident_rows WHERE closed_at IS NULL GROUP BY workflow"""
_ALERTS = """
SELECT channel, count(*) FROM alert_rows WHERE status IN ('pending', 'sending') GROUP BY channel"""


@record
class LastRun:
    """The last whole run of a workflow that has ended; times in microseconds since 1970 UTC.

    Of one whose engine died nobody knows when it ended. `left_out` counts the steps not told.
    """

    run_id: int
    status: str
    started_at: int
    finished_at: int | None
    failed: int
    retries: int
    count: int
    steps: Sequence[StepRun] = ()
    left_out: int = 0


@record
class WorkflowState:
    """How a workflow stands: `runs` counts those that have ended, by status, `running` the rest.

    `paused` says by whom its schedule is: `itself` or a `person`; empty if it is not.
    """

    name: str
    last: LastRun | None
    last_success_at: int | None
    runs: Mapping[str, int]
    running: int
    incidents: int
    paused: str = ""


@record
class StoreState:
    """How all workflows stand, in the order of their names; `alerts` are undelivered ones."""

    workflows: Sequence[WorkflowState]
    alerts: Mapping[str, int]
    size_bytes: int
    workflows_left_out: int = 0


@record
class _Running:
    """What is recorded as running: how much of it is on, and runs whose engines died."""

    on: dict[str, int] = field(default_factory=dict)
    dead: dict[str, list[LastRun]] = field(default_factory=dict)
    last_dead: dict[str, LastRun] = field(default_factory=dict)


def read_state(database: Database, now_us: int) -> StoreState:
    """Give how all workflows stand, in one consistent view; what died is told as interrupted."""
    with database.read() as cursor:
        counts: dict[str, dict[str, int]] = {}
        for workflow, status, count in cursor.execute(_COUNTS):
            counts.setdefault(workflow, {})[status] = count
        running = _running(cursor, database.path)
        incidents = dict(cursor.execute(_INCIDENTS).fetchall())
        paused = {
            name: "itself" if pause.paused_by == PAUSED_BY_ITSELF else "person"
            for name, pause in pauses.all_current(cursor, now_us).items()
        }
        room = STEPS_IN_ALL
        states = []
        for name in sorted(counts)[:WORKFLOWS_MAX]:
            state = _state(cursor, name, counts[name], running)
            if state.last is not None:
                last = _with_steps(cursor, state.last, room)
                room -= len(last.steps)
                state = replace(state, last=last)
            known = {"incidents": incidents.get(name, 0), "paused": paused.get(name, "")}
            states.append(replace(state, **known))
        alerts = dict(cursor.execute(_ALERTS).fetchall())
    return StoreState(states, alerts, _size(database.path), len(counts) - len(states))


def _running(cursor: sqlite3.Cursor, path: Path) -> _Running:
    found = _Running()
    for (
        run_id,
        workflow,
        owner,
        started_at,
        failed,
        retries,
        steps,
        is_whole,
        asked_by,
    ) in cursor.execute(_ON).fetchall():
        if locks.alive(path, run_id, owner):
            found.on[workflow] = found.on.get(workflow, 0) + 1
            continue
        status = str(Found(run_id, workflow, owner, asked_by).status)
        dead = LastRun(run_id, status, started_at, None, failed, retries, steps)
        found.dead.setdefault(workflow, []).append(dead)
        if is_whole:
            found.last_dead[workflow] = dead
    return found


def _state(
    cursor: sqlite3.Cursor, name: str, counted: Mapping[str, int], running: _Running
) -> WorkflowState:
    newest = [_newest(cursor, name, status) for status in ENDED if counted.get(status)]
    ended = [run for run in newest if run is not None]
    success = next((run.finished_at for run in ended if run.status == RunStatus.OK), None)
    if name in running.last_dead:
        ended.append(running.last_dead[name])
    runs = {str(status): counted.get(status, 0) for status in (*ENDED, RunStatus.SKIPPED)}
    for dead in running.dead.get(name, ()):
        runs[dead.status] += 1
    last = max(ended, key=lambda run: run.run_id, default=None)
    return WorkflowState(name, last, success, runs, running.on.get(name, 0), 0)


def _newest(cursor: sqlite3.Cursor, workflow: str, status: str) -> LastRun | None:
    """Give the last run that ended so; bare rows of pruned runs count where there is no other."""
    for pruned in ("NULL", "NOT NULL"):
        row = cursor.execute(_NEWEST.format(pruned), (workflow, status)).fetchone()
        if row is not None:
            return LastRun(*row)
    return None


def _with_steps(cursor: sqlite3.Cursor, run: LastRun, room: int) -> LastRun:
    """Add the steps of a run: all of a small one, of a bigger one those that failed."""
    most = min(STEPS_MAX, room)
    positions = None
    if run.count > most:
        positions = [at for (at,) in cursor.execute(_FAILED_STEPS, (run.run_id, most)).fetchall()]
    steps: Iterable[StepRun] = step_runs(cursor, run.run_id, positions)
    if run.finished_at is None:
        steps = map(as_left, steps)
    told = list(steps)
    return replace(run, steps=told, left_out=max(run.count - len(told), 0))


def _size(path: Path) -> int:
    """Give the bytes of the store's file and of its write-ahead log."""
    size = 0
    for each in (path, path.with_name(f"{path.name}-wal")):
        with suppress(FileNotFoundError):
            size += each.stat().st_size
    return size
