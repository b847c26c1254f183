"""An earlier run as a decision about continuing it needs it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from typing import Any

from engine.errors import UsageError
from engine.model import StepStatus
from engine.records import record


@record
class PastStep:
    """A step of an earlier run, as a decision about resuming needs it."""

    position: int
    name: str
    status: StepStatus
    note: str
    fingerprint: str
    parts: dict[str, str]
    upstreams: tuple[int, ...]
    source_run: int | None
    used: int
    retry_at: int | None
    key_run: int
    lost: int
    files: tuple[tuple[str, str], ...] = ()
    own_skip: bool = False
    marked: bool = False


@record
class PastRun:
    """An earlier run and its steps, by position."""

    run_id: int
    workflow: str
    status: str
    params: str
    context_sha256: str
    started_at: int
    root_run: int
    root_started_at: int
    only_steps: str = ""
    steps: tuple[PastStep, ...] = field(default=())

    def as_of_dead(self, status: str, statuses: Sequence[str]) -> PastRun:
        """Give a run whose engine is dead as the next writing command will record it."""
        steps = tuple(
            replace(step, status=StepStatus(as_left))
            for step, as_left in zip(self.steps, statuses, strict=True)
        )
        return replace(self, status=status, steps=steps)


def read_past(cursor: sqlite3.Cursor, run_id: int) -> tuple[PastRun, str]:
    """Give a run as recorded, and its owner. Raises `UsageError` if there is none."""
    row = cursor.execute(
        """SELECT r.id, r.workflow, r.status, r.params, r.context_sha256, r.started_at,
                  r.root_run, coalesce(root.started_at, r.started_at),
                  r.only_steps, r.owner
           FROM run_rows r LEFT JOIN run_rows root ON root.id = r.root_run
           WHERE r.id = ?""",
        (run_id,),
    ).fetchone()
    if row is None:
        raise UsageError(f"there is no run {run_id}", hint="see `history` for the runs")
    past = PastRun(*row[:-1])
    steps = tuple(_past_steps(cursor, run_id, past.root_run))
    return replace(past, steps=steps), row[-1]


_PAST_STEPS = """
SELECT d.position, d.name, coalesce(s.status, o.outcome, 'waiting'), coalesce(s.note, ''),
       d.fingerprint, d.parts, d.upstreams,
       CASE coalesce(s.status, o.outcome) WHEN 'ok' THEN r.id ELSE s.source_run END,
       s.status = 'skipped' AND (s.source_run IS NOT NULL OR EXISTS (
         SELECT 1 FROM attempt_rows a WHERE a.run_id = r.id AND a.position = d.position)),
       EXISTS (SELECT 1 FROM marked_rows m JOIN run_rows q ON q.id = m.run_id
               JOIN definition_steps e ON e.definition_id = q.definition_id
                 AND e.position = m.position
               WHERE e.name = d.name
                 AND m.run_id = CASE coalesce(s.status, o.outcome)
                                WHEN 'ok' THEN r.id ELSE s.source_run END),
       coalesce(c.used, 0), c.retry_at, coalesce(c.key_run, 0), coalesce(c.lost, 0)
FROM run_rows r
JOIN definition_steps d ON d.definition_id = r.definition_id
LEFT JOIN step_rows s ON s.run_id = r.id AND s.position = d.position
LEFT JOIN attempt_rows o ON o.run_id = r.id AND o.position = d.position AND o.outcome = 'ok'
LEFT JOIN carried_rows c ON c.run_id = r.id AND c.position = d.position
WHERE r.id = ? ORDER BY d.position"""


def _past_steps(cursor: sqlite3.Cursor, run_id: int, root_run: int) -> Iterable[PastStep]:
    attempts: dict[int, list[tuple[str | None, int | None, int | None]]] = {}
    unsettled = """
SELECT a.position, a.outcome, a.started_at, a.retry_at FROM attempt_rows a
WHERE a.run_id = ?1 AND NOT EXISTS (SELECT 1 FROM step_rows s WHERE s.run_id = a.run_id
  AND s.position = a.position AND s.status IN ('ok', 'skipped', 'failed'))
  AND NOT EXISTS (SELECT 1 FROM attempt_rows o WHERE o.run_id = a.run_id
    AND o.position = a.position AND o.outcome = 'ok')
ORDER BY a.position, a.number"""
    for position, *rest in cursor.execute(unsettled, (run_id,)).fetchall():
        attempts.setdefault(position, []).append(tuple(rest))
    for row in cursor.execute(_PAST_STEPS, (run_id,)).fetchall():
        position, name, status, note, fingerprint, parts, upstreams, source, *told = row
        own, marked, *carried = told
        used, retry_at, lost = _carried(attempts.get(position, []), carried)
        yield PastStep(
            position=position,
            name=name,
            status=StepStatus(status),
            note=note,
            fingerprint=fingerprint,
            parts=json.loads(parts),
            upstreams=tuple(json.loads(upstreams)),
            source_run=source,
            used=used,
            retry_at=retry_at,
            key_run=carried[2] or root_run,
            lost=lost,
            files=_files(cursor, source, name) if source is not None else (),
            own_skip=bool(own),
            marked=bool(marked),
        )


def _carried(
    attempts: list[tuple[str | None, int | None, int | None]], carried: Sequence[Any]
) -> tuple[int, int | None, int]:
    """(used, retry_at, lost) that a next run of the chain takes over of an unsettled step."""
    used, retry_at, _, lost = carried
    for outcome, started_at, due in attempts:
        if outcome in ("failed", "timed_out"):
            used, retry_at, lost = used + 1, due, 0
        elif outcome in ("abandoned", "interrupted"):
            surely = outcome == "abandoned" and started_at is not None
            lost, retry_at = lost + 1 if surely else 0, None
    return used, retry_at, lost


def _files(cursor: sqlite3.Cursor, run_id: int, name: str) -> tuple[tuple[str, str], ...]:
    rows = cursor.execute(
        """SELECT f.target, f.sha256 FROM file_rows f JOIN run_rows r ON r.id = f.run_id
           JOIN definition_steps d ON d.definition_id = r.definition_id
             AND d.position = f.position
           WHERE f.run_id = ? AND d.name = ? ORDER BY f.target""",
        (run_id, name),
    )
    return tuple(rows.fetchall())
