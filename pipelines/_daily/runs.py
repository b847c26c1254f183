"""The last day in our own store, read through its public views, never written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine import Skip
from pipelines._daily.shapes import Failure, SlowStep, StoreDay, WorkflowDay
from pipelines._machine.records import open_read_only, rows, stamp, store_path

if TYPE_CHECKING:
    from sqlalchemy import Connection

SLOWEST = 6
FAILURES_MAX = 12
ERROR_MAX = 240
TYPICAL_OF = 30  # the median is taken of this many earlier successes


def measure(store_url: str, since: datetime, until: datetime, *, but: int) -> StoreDay:
    """Read the runs begun between the two moments, all but the run `but`."""
    path = store_path(store_url)
    if path is None or not path.exists():
        raise Skip("no store of ours to read")
    engine = open_read_only(path)
    try:
        with engine.connect() as connection:
            return _read(connection, stamp(since), stamp(until), but)
    finally:
        engine.dispose()


_RUNS = """
SELECT id, workflow, status, started_at, finished_at FROM runs
WHERE started_at >= :since AND started_at < :until AND id <> :but
ORDER BY workflow, id
"""
_FAILED_STEPS = """
SELECT s.run_id, r.workflow, s.step, s.note,
       (SELECT a.error FROM attempts a WHERE a.run_id = s.run_id AND a.step = s.step
        ORDER BY a.number DESC LIMIT 1) AS error
FROM step_runs s JOIN runs r ON r.id = s.run_id
WHERE s.status = 'failed' AND r.started_at >= :since AND r.started_at < :until AND r.id <> :but
ORDER BY s.run_id DESC, s.finished_at LIMIT :most
"""
_RETRIES = """
SELECT count(*) AS retries FROM attempts a JOIN runs r ON r.id = a.run_id
WHERE a.number > 1 AND r.started_at >= :since AND r.started_at < :until AND r.id <> :but
"""
_SLOWEST = """
SELECT s.run_id, r.workflow, s.step, s.duration_s FROM step_runs s JOIN runs r ON r.id = s.run_id
WHERE s.status IN ('ok', 'failed') AND s.duration_s IS NOT NULL
  AND r.started_at >= :since AND r.started_at < :until AND r.id <> :but
ORDER BY s.duration_s DESC, s.run_id, s.step LIMIT :most
"""
_EARLIER = """
SELECT s.duration_s FROM step_runs s JOIN runs r ON r.id = s.run_id
WHERE r.workflow = :workflow AND s.step = :step AND s.status = 'ok' AND s.attempts > 0
  AND s.run_id < :run
ORDER BY s.run_id DESC LIMIT :most
"""


def _read(connection: Connection, since: str, until: str, but: int) -> StoreDay:
    window = {"since": since, "until": until, "but": but}
    runs = rows(connection, _RUNS, **window)
    failed = rows(connection, _FAILED_STEPS, **window, most=FAILURES_MAX)
    slowest = rows(connection, _SLOWEST, **window, most=SLOWEST)
    return StoreDay(
        since=since,
        runs=len(runs),
        retries=rows(connection, _RETRIES, **window)[0]["retries"],
        workflows=by_workflow(runs),
        failures=[
            Failure(
                run=row["run_id"],
                workflow=row["workflow"],
                step=row["step"],
                error=last_line(row["error"] or row["note"] or ""),
            )
            for row in failed
        ],
        slowest=[_slow(connection, row) for row in slowest],
    )


def by_workflow(runs: list[dict[str, Any]]) -> list[WorkflowDay]:
    """Count the runs of each workflow; the ones whose last run did not end well come first."""
    days: dict[str, WorkflowDay] = {}
    for run in runs:
        day = days.setdefault(
            run["workflow"],
            WorkflowDay(
                workflow=run["workflow"], runs=0, ok=0, failed=0, last_status="", seconds=0.0
            ),
        )
        day["runs"] += 1
        day["ok"] += run["status"] == "ok"
        day["failed"] += run["status"] == "failed"
        if run["status"] != "skipped":  # began nothing: says nothing about the workflow
            day["last_status"] = run["status"]
        day["seconds"] = round(day["seconds"] + _seconds(run["started_at"], run["finished_at"]), 3)
    return sorted(days.values(), key=lambda day: (day["last_status"] == "ok", day["workflow"]))


def last_line(error: str) -> str:
    """Give the last line that says something: in a traceback, the error itself."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return lines[-1][:ERROR_MAX] if lines else ""


def _slow(connection: Connection, row: Mapping[str, Any]) -> SlowStep:
    earlier = rows(
        connection,
        _EARLIER,
        workflow=row["workflow"],
        step=row["step"],
        run=row["run_id"],
        most=TYPICAL_OF,
    )
    from statistics import median

    known = [one["duration_s"] for one in earlier if one["duration_s"] is not None]
    return SlowStep(
        run=row["run_id"],
        workflow=row["workflow"],
        step=row["step"],
        duration_s=round(row["duration_s"], 3),
        typical_s=round(median(known), 3) if known else None,
    )


def _seconds(start: str | None, end: str | None) -> float:
    if not start or not end:
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
