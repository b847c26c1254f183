"""Which runs may go: decided chain by chain, as a run needs what the runs before it left.

A chain is what shares a first run; whatever one run names of another lies in its own chain, but for
what a run of chosen steps has taken over.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from engine.records import record

_ENDED = "('ok', 'failed', 'cancelled', 'interrupted', 'skipped')"
# A backfill makes so many runs at once that no other would be among the newest of its workflow.
_PART = "coalesce(backfill <> id, 0)"

# The index holds workflow, status, pruned_at, finished_at: what is not old is not looked at.
_DUE = f"""
SELECT id FROM run_rows INDEXED BY ix_run_rows_age WHERE workflow = ?1 AND status IN {_ENDED}
  AND pruned_at IS NULL AND finished_at < ?2 AND (id < ?3 OR {_PART})
UNION ALL
SELECT id FROM run_rows INDEXED BY ix_run_rows_age WHERE workflow = ?1 AND status IN {_ENDED}
  AND pruned_at < 0"""

_NEWEST = f"""
SELECT id FROM run_rows WHERE workflow = ? AND NOT {_PART} ORDER BY id DESC LIMIT 1 OFFSET ?"""

_CHAIN = f"""
SELECT id, workflow, status, params, context_sha256, definition_id IS NOT NULL AND only_steps = '',
       finished_at,
       pruned_at, resumed_from, {_PART}
FROM run_rows WHERE root_run = (SELECT root_run FROM run_rows WHERE id = ?) ORDER BY id"""

_LAST_FAILURE = f"""
SELECT id, finished_at FROM run_rows WHERE workflow = ? AND status = ? AND pruned_at IS NULL
  AND definition_id IS NOT NULL AND only_steps = '' AND NOT {_PART}
ORDER BY finished_at DESC LIMIT 1"""

_NEWER_OK = """
SELECT 1 FROM run_rows INDEXED BY ix_run_rows_params
WHERE workflow = ?1 AND params = ?2 AND context_sha256 = ?3
  AND pruned_at IS {} NULL AND id > ?4 AND status = 'ok' AND definition_id IS NOT NULL
  AND only_steps = '' LIMIT 1"""

_OLDER_ROWS = """
SELECT id FROM run_rows INDEXED BY ix_run_rows_params
WHERE workflow = ? AND params = ? AND context_sha256 = ? AND pruned_at > 0 AND id < ?"""


_ONLY = """
SELECT id, workflow, status, params, context_sha256, 0, finished_at, pruned_at, resumed_from, 0
FROM run_rows INDEXED BY ix_run_rows_only WHERE workflow = ? AND only_steps <> ''"""

_TAKEN_FROM = "SELECT DISTINCT source_run FROM step_rows WHERE run_id = ? AND status = 'cached'"


class Limits(NamedTuple):
    """A run may go if it ended before `before_us` and is not of the `newest` of its workflow.

    The runs that a backfill is made of are none of these: they go by their age.
    """

    before_us: int
    newest: int


class Verdict(NamedTuple):
    """What becomes of a run that is let go of: its row too, or all but its row and its steps."""

    run_id: int
    workflow: str
    row: bool


@record
class _Run:
    run_id: int
    workflow: str
    status: str
    params: str
    context_sha256: str
    counts: int  # a whole run that began a step
    finished_at: int | None
    pruned_at: int | None
    resumed_from: int | None
    is_part: int  # of a backfill

    @property
    def key(self) -> tuple[str, str, str]:
        """What `--once` asks by."""
        return self.workflow, self.params, self.context_sha256


def workflows(cursor: sqlite3.Cursor) -> list[str]:
    """Every workflow that has a run, by name; one look at an index for each."""
    found: list[str] = []
    sql = "SELECT min(workflow) FROM run_rows WHERE workflow > ?"
    while (name := cursor.execute(sql, (found[-1] if found else "",)).fetchone()[0]) is not None:
        found.append(name)
    return found


def due(cursor: sqlite3.Cursor, workflow: str, limits: Limits) -> list[int]:
    """Runs old enough to go, and those of which the going was cut short; oldest first."""
    row = cursor.execute(_NEWEST, (workflow, limits.newest - 1)).fetchone()
    below = row[0] if row else 0
    rows = cursor.execute(_DUE, (workflow, limits.before_us, below)).fetchall()
    return sorted(run_id for (run_id,) in rows)


def judge(
    cursor: sqlite3.Cursor, workflow: str, limits: Limits, runs: Iterable[int]
) -> list[Verdict]:
    """Say which of `runs`, and of those in their chains, go; newest first.

    Kept whole is what is not due, has an alert to deliver or a file to publish, or is the
    workflow's last failure, and all that such a run goes on from or takes values from. Of each set
    of parameters the last `ok` run keeps its row, and so do the runs that it went on from.
    """
    bench = _Bench(cursor, workflow, limits)
    waiting, seen, verdicts = list(runs), set[int](), list[Verdict]()
    while waiting:
        run_id = waiting.pop()
        if run_id in seen:
            continue
        chain = [_Run(*row) for row in cursor.execute(_CHAIN, (run_id,)).fetchall()]
        seen.update(run.run_id for run in chain)
        verdicts += bench.judge(chain)
        for run in chain:
            if run.status == "ok" and bench.is_due(run):
                older = cursor.execute(_OLDER_ROWS, (*run.key, run.run_id)).fetchall()
                waiting += [row[0] for row in older]
    return sorted(verdicts, reverse=True)


class _Bench:
    """Judges the chains of one workflow."""

    def __init__(self, cursor: sqlite3.Cursor, workflow: str, limits: Limits) -> None:
        self._cursor = cursor
        self._before_us = limits.before_us
        row = cursor.execute(_NEWEST, (workflow, limits.newest - 1)).fetchone()
        self._below = row[0] if row else 0
        self._kept = self._undelivered() | self._last_failure(workflow)
        self._kept |= self._taken_from(workflow)

    def _undelivered(self) -> set[int]:
        sql = "SELECT run_id FROM alert_rows WHERE status IN ('pending', 'sending')"
        return {run_id for (run_id,) in self._cursor.execute(sql)}

    def _last_failure(self, workflow: str) -> set[int]:
        found = [
            self._cursor.execute(_LAST_FAILURE, (workflow, status)).fetchone()
            for status in ("failed", "interrupted")
        ]
        ended = [(finished_at, run_id) for run_id, finished_at in filter(None, found)]
        return {max(ended)[1]} if ended else set()

    def _taken_from(self, workflow: str) -> set[int]:
        """Give the runs whose values a kept run of chosen steps names."""
        found = [_Run(*row) for row in self._cursor.execute(_ONLY, (workflow,)).fetchall()]
        kept = [run.run_id for run in found if self._is_kept(run)]
        rows = (self._cursor.execute(_TAKEN_FROM, (run_id,)).fetchall() for run_id in kept)
        return {source for row in rows for (source,) in row}

    def is_due(self, run: _Run) -> bool:
        """Whether age and number let it go."""
        if run.pruned_at is not None:
            return True
        ended = run.finished_at
        old = ended is not None and ended < self._before_us
        return old and (run.run_id < self._below or bool(run.is_part))

    def judge(self, chain: list[_Run]) -> list[Verdict]:
        """Say what of a chain goes."""
        by_id = {run.run_id: run for run in chain}
        whole = _closed({run.run_id for run in chain if self._is_kept(run)}, by_id)
        last_ok = (r.run_id for r in chain if r.run_id not in whole and self._is_last_ok(r))
        rows = _closed(set(last_ok), by_id)
        verdicts = []
        for run in chain:
            kept_whole = run.run_id in whole and run.pruned_at is None
            row_kept = run.run_id in whole or run.run_id in rows
            is_bare = run.pruned_at is not None and run.pruned_at > 0
            if not kept_whole and not (row_kept and is_bare):
                verdicts.append(Verdict(run.run_id, run.workflow, row=not row_kept))
        return verdicts

    def _is_kept(self, run: _Run) -> bool:
        if run.pruned_at is not None:
            return False
        return not self.is_due(run) or run.run_id in self._kept or self._is_unpublished(run)

    def _is_unpublished(self, run: _Run) -> bool:
        sql = "SELECT 1 FROM file_rows WHERE run_id = ? AND published = 0 LIMIT 1"
        return self._cursor.execute(sql, (run.run_id,)).fetchone() is not None

    def _is_last_ok(self, run: _Run) -> bool:
        if run.status != "ok" or not run.counts:
            return False
        row = (*run.key, run.run_id)
        return not any(
            self._cursor.execute(_NEWER_OK.format(word), row).fetchone() for word in ("", "NOT")
        )


def _closed(found: set[int], by_id: Mapping[int, _Run]) -> set[int]:
    """Add to a set of runs all that they go on from, at any distance.

    Where a cached step's values are, and the first run with its initial context, lies on that way.
    """
    closed = set[int]()
    for run_id in found:
        past: int | None = run_id
        while past is not None and past not in closed and past in by_id:
            closed.add(past)
            past = by_id[past].resumed_from
    return closed
