"""An earlier run as a decision about continuing it needs it."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from engine.errors import UsageError
from engine.model import StepStatus
from engine.past import PastStep
from engine.records import record
from store.new_run import NewSteps
from store.step_runs import status_as_left, step_runs

Positions = tuple[int, ...] | None  # of some steps; None for all
_Tries = list[tuple[str, int | None, int | None]]


@record
class PastRun:
    """An earlier run.

    Its steps are read when they are asked for: whether a run is gone on with is often seen without.
    `read_steps` gives all of them, by position, or those at some positions; `read_done` is as
    `store.alike.done_alike`.
    """

    run_id: int
    workflow: str
    status: str
    params: str
    context_sha256: str
    started_at: int
    root_run: int
    root_started_at: int
    only_steps: str
    read_steps: Callable[[Positions], tuple[PastStep, ...]] = lambda _: ()
    read_done: Callable[[NewSteps], list[int]] = lambda _: []

    @property
    def steps(self) -> tuple[PastStep, ...]:
        """Its steps, by position."""
        return self.read_steps(None)


def read_past(cursor: sqlite3.Cursor, run_id: int) -> tuple[PastRun, str]:
    """Give a run, without steps, and its owner. Raises `UsageError` if there is none."""
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
    return PastRun(*row[:-1]), row[-1]


def past_steps(
    cursor: sqlite3.Cursor, past: PastRun, positions: Positions = None, *, is_dead: bool
) -> tuple[PastStep, ...]:
    """Give steps of a run; of a dead one as the next writing command will record them."""
    steps = _past_steps(cursor, past, positions)
    if not is_dead:
        return tuple(steps)
    return tuple(step._replace(status=_STATUS[status_as_left(step.status)]) for step in steps)


def _past_steps(cursor: sqlite3.Cursor, past: PastRun, positions: Positions) -> Iterator[PastStep]:
    """Give the steps, by position: their rows in a few queries, however many there are."""
    run_id = past.run_id
    told = list(step_runs(cursor, run_id, positions))
    sources = {step.source_run for step in told if step.source_run is not None} | {run_id}
    marked = {source: marked_done(cursor, source) for source in sources}
    files = {source: files_left(cursor, source) for source in sources}
    carried, tries = _carried_rows(cursor, run_id), _tries(cursor, run_id)
    for step, defined in zip(told, _definition(cursor, run_id, positions), strict=True):
        status = _STATUS[step.status]
        source = run_id if status is StepStatus.OK else step.source_run
        used, retry_at, key_run, lost = carried.get(step.position, (0, None, 0, 0))
        if status not in _SETTLED:
            used, retry_at, lost = _carried(tries.get(step.position, []), used, retry_at, lost)
        yield PastStep(
            status,
            step.step,
            step.note,
            *defined,
            source,
            used,
            retry_at,
            key_run or past.root_run,
            lost,
            files[source].get(step.step, ()) if source is not None else (),
            status is StepStatus.SKIPPED and (step.source_run is not None or step.attempts > 0),
            source is not None and step.step in marked[source],
        )


_STATUS = {str(status): status for status in StepStatus}
_SETTLED = (StepStatus.OK, StepStatus.SKIPPED, StepStatus.FAILED)
_OF_RUN = "run_rows r JOIN definition_steps d ON d.definition_id = r.definition_id"


def _definition(
    cursor: sqlite3.Cursor, run_id: int, positions: Positions
) -> Iterable[tuple[str, dict[str, str], tuple[str, ...]]]:
    """Give fingerprint, parts and upstreams of steps; equal parts are one object."""
    if positions is None:
        rows = _defined(cursor, run_id, "d.fingerprint, d.parts, d.upstreams")
        names = dict(_defined(cursor, run_id, "d.position, d.name"))
    else:
        rows = _some_defined(cursor, run_id, positions)
        above = {up for row in rows for up in json.loads(row[2])}
        names = dict(_defined(cursor, run_id, "d.position, d.name", _SOME, json.dumps([*above])))
    upstreams = json.loads(f"[{','.join([row[2] for row in rows])}]")  # a quarter of one by one
    prints: dict[str, str] = {}
    parts: dict[str, dict[str, str]] = {}
    made: tuple[str, dict[str, str]] = ("", {})
    for (fingerprint, text, _), ups in zip(rows, upstreams, strict=True):
        if text:  # without, it was made as the one before it
            if text not in parts:
                parts[text] = json.loads(text)
            made = prints.setdefault(fingerprint, fingerprint), parts[text]
        yield *made, tuple([names[up] for up in ups])


def _some_defined(
    cursor: sqlite3.Cursor, run_id: int, positions: tuple[int, ...]
) -> list[tuple[str, str, str]]:
    """Give fingerprint, parts and upstreams of some steps, as recorded.

    One that has no parts there is made as the one before it.
    """
    own = _defined(
        *(cursor, run_id, "d.position, d.fingerprint, d.parts"),
        *(" AND d.parts <> '' AND d.position <= ?", max(positions, default=-1)),
    )
    starts = [position for position, *_ in own]
    rows = _defined(cursor, run_id, "d.position, d.upstreams", _SOME, json.dumps(positions))
    return [(*own[bisect(starts, position) - 1][1:], ups) for position, ups in rows]


_SOME = " AND d.position IN (SELECT value FROM json_each(?))"


def _defined(
    cursor: sqlite3.Cursor, run_id: int, columns: str, where: str = "", *given: object
) -> list[tuple[Any, ...]]:
    """Give columns of the definition of a run, by position."""
    sql = f"SELECT {columns} FROM {_OF_RUN} WHERE r.id = ?{where} ORDER BY d.position"
    return cursor.execute(sql, (run_id, *given)).fetchall()


def _carried_rows(
    cursor: sqlite3.Cursor, run_id: int
) -> dict[int, tuple[int, int | None, int, int]]:
    """What the run took over of its steps' pasts: used, retry_at, key_run, lost."""
    sql = "SELECT position, used, retry_at, key_run, lost FROM carried_rows WHERE run_id = ?"
    return {position: tuple(row) for position, *row in cursor.execute(sql, (run_id,))}


def _tries(cursor: sqlite3.Cursor, run_id: int) -> dict[int, _Tries]:
    """The attempts that were not ok, by step, oldest first: outcome, started_at, retry_at."""
    tries: dict[int, _Tries] = {}
    rows = cursor.execute(
        "SELECT position, outcome, started_at, retry_at FROM attempt_rows"
        " WHERE run_id = ? AND outcome <> 'ok' ORDER BY position, number",
        (run_id,),
    )
    for position, *each in rows:
        tries.setdefault(position, []).append(tuple(each))
    return tries


def _carried(
    tries: _Tries, used: int, retry_at: int | None, lost: int
) -> tuple[int, int | None, int]:
    """(used, retry_at, lost) that a next run of the chain takes over of an unsettled step."""
    for outcome, started_at, due in tries:
        if outcome in ("failed", "timed_out"):
            used, retry_at, lost = used + 1, due, 0
        elif outcome in ("abandoned", "interrupted"):
            surely = outcome == "abandoned" and started_at is not None
            lost, retry_at = lost + 1 if surely else 0, None
    return used, retry_at, lost


def marked_done(cursor: sqlite3.Cursor, run_id: int) -> frozenset[str]:
    """Names of the steps that a run has marked as done."""
    rows = cursor.execute(
        f"SELECT d.name FROM {_OF_RUN} JOIN marked_rows m"
        " ON m.run_id = r.id AND m.position = d.position WHERE r.id = ?",
        (run_id,),
    )
    return frozenset(name for (name,) in rows)


def files_left(cursor: sqlite3.Cursor, run_id: int) -> dict[str, tuple[tuple[str, str], ...]]:
    """Targets and sums of the files that the steps of a run left, by step."""
    files: dict[str, tuple[tuple[str, str], ...]] = {}
    rows = cursor.execute(
        f"SELECT d.name, f.target, f.sha256 FROM {_OF_RUN} JOIN file_rows f"
        " ON f.run_id = r.id AND f.position = d.position WHERE r.id = ? ORDER BY f.target",
        (run_id,),
    )
    for name, *file in rows:
        files[name] = (*files.get(name, ()), tuple(file))
    return files
