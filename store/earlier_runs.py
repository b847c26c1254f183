"""What decides about a new run: the run that is meant, what came before, and how that stands.

Rows come as dicts with the public views' columns (docs/sql.md). A run recorded as running whose
engine is dead is *shown* as that will be recorded, which only a writing command does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from engine.errors import UsageError
from engine.past import PastStep
from store import locks
from store.alike import done_alike
from store.connection import Database
from store.new_run import NewSteps
from store.past import PastRun, Positions, past_steps, read_past
from store.readback import ValueFaults
from store.reconcile import ASKED_BY, ENGINE_DIED, Found
from store.usual import ALONE, WHOLE

Row = dict[str, Any]

ID_MAX = (1 << 63) - 1
_PRUNED = "its values, logs and report were pruned"
_DIGITS_MAX = 100  # Python reads no number of thousands of digits
# Else SQLite would look through all runs of the workflow, from the newest back.
_BY_PARAMS = "run_rows INDEXED BY ix_run_rows_params"


class EarlierRuns:
    """Looks runs up in one store; every method is one consistent view."""

    def __init__(self, database: Database) -> None:
        """Read through `database`."""
        self._database = database

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._database.read() as cursor:
            cursor.execute(sql, tuple(parameters))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def run(self, run_id: int) -> Row:
        """One run. Raises `UsageError` if there is none of that number."""
        rows = self._rows(
            f"SELECT v.*, v.id AS run_id, r.owner, {ASKED_BY}"
            " FROM runs v JOIN run_rows r ON r.id = v.id WHERE v.id = ?",
            [min(run_id, ID_MAX)],
        )
        if not rows:
            raise UsageError(f"there is no run {run_id}", hint="see `history` for the runs")
        run = self._told(rows[0])
        if run["pruned_at"] is not None:
            run["note"] = f"{run['note']}; {_PRUNED}" if run["note"] else _PRUNED
        return run

    def begun(self) -> list[Row]:
        """Give the runs that are recorded as running, oldest first, as they truly are."""
        rows = self._rows("SELECT id FROM run_rows WHERE status = 'running' ORDER BY id", [])
        return [self.run(row["id"]) for row in rows]

    def find(self, name: str, *, on: bool = False) -> int:
        """Number of the run meant by a number, `latest`, or a workflow's name (its latest).

        With `on`, runs recorded as running come before later ones that have ended. Raises
        `UsageError` if there is none.
        """
        if name.isdecimal() and name.isascii() and len(name) <= _DIGITS_MAX:
            return int(self.run(int(name))["run_id"])
        running = "max(CASE status WHEN 'running' THEN id END)"
        newest = f"coalesce({running}, max(id))" if on else "max(id)"
        sql = f"SELECT {newest} AS run_id FROM run_rows"
        rows = (
            self._rows(sql)
            if name == "latest"
            else self._rows(sql + " WHERE workflow = ?", [bindable(name)])
        )
        if rows[0]["run_id"] is None:
            what = "no run yet" if name == "latest" else f"no run of a workflow '{name}'"
            raise UsageError(
                f"there is {what} in this store",
                hint="give a run's number, a workflow's name, or `latest`; see `history`",
            )
        return int(rows[0]["run_id"])

    def _told(self, row: Row) -> Row:
        """Show a run as it truly is: nobody runs it any more if its lock is free."""
        owner, asked_by = row.pop("owner"), row.pop("asked_by")
        if row["status"] == "running" and not locks.alive(
            self._database.path, row["run_id"], owner
        ):
            process = locks.Owner.from_text(owner)
            who = f" (process {process.pid})" if process else ""
            found = Found(row["run_id"], row["workflow"], owner, asked_by)
            row["status"] = str(found.status)
            row["note"] = found.told(f"{ENGINE_DIED}{who}; the next run records that")
            row["dead"] = True
        return row

    def newest(
        self, workflow: str, *, params: str | None = None, context_sha256: str | None = None
    ) -> PastRun | None:
        """Newest whole run that began a step, of equal parameters where they are given."""
        table, where, parameters = "run_rows", f"workflow = ? AND {WHOLE}", [workflow]
        if params is not None:
            table = _BY_PARAMS
            where += " AND params = ?"
            parameters.append(params)
        if context_sha256 is not None:
            where += " AND context_sha256 = ?"
            parameters.append(context_sha256)
        rows = self._rows(
            f"SELECT max(id) AS id FROM {table} WHERE {where}",
            parameters,
        )
        return None if rows[0]["id"] is None else self.past(rows[0]["id"])

    def newest_of_chain(self, run_id: int) -> PastRun:
        """Newest run of the chain that `run_id` belongs to."""
        rows = self._rows(
            "SELECT max(id) AS id FROM run_rows WHERE root_run ="
            " (SELECT root_run FROM run_rows WHERE id = ?)",
            [run_id],
        )
        return self.past(rows[0]["id"])

    def succeeded(self, workflow: str, params: str, context_sha256: str) -> int | None:
        """Newest whole `ok` run with equal parameters."""
        rows = self._rows(
            f"SELECT max(id) AS id FROM {_BY_PARAMS} WHERE workflow = ? AND params = ?"
            f" AND context_sha256 = ? AND status = 'ok' AND {WHOLE}",
            [workflow, params, context_sha256],
        )
        found = rows[0]["id"]
        return None if found is None else int(found)

    def previous_status(self, workflow: str, before: int | None = None) -> str | None:
        """Outcome of the newest ended whole run that began a step, of those before `before`."""
        rows = self._rows(
            f"SELECT status FROM run_rows WHERE workflow = ? AND {WHOLE} AND {ALONE}"
            " AND status <> 'running' AND (? IS NULL OR id < ?) ORDER BY id DESC LIMIT 1",
            [workflow, before, before],
        )
        return str(rows[0]["status"]) if rows else None

    def unfinished(self, workflow: str) -> Row | None:
        """Newest whole run of a workflow that began a step, if it did not end well."""
        rows = self._rows(
            f"SELECT max(id) AS id FROM run_rows WHERE workflow = ? AND {WHOLE} AND {ALONE}",
            [workflow],
        )
        if rows[0]["id"] is None:
            return None
        run = self.run(rows[0]["id"])
        return run if run["status"] in ("failed", "interrupted") else None

    def last_number(self, workflow: str) -> int:
        """Number of a workflow's newest run, whatever became of it; 0 if it has none."""
        rows = self._rows("SELECT max(id) AS id FROM run_rows WHERE workflow = ?", [workflow])
        return int(rows[0]["id"] or 0)

    def past(self, run_id: int) -> PastRun:
        """One run with all that a continuation needs. Raises `UsageError` if there is none."""
        with self._database.read() as cursor:
            past, owner = read_past(cursor, run_id)
        is_on = past.status == "running"
        is_dead = is_on and not locks.alive(self._database.path, run_id, owner)

        @cache
        def read_steps(positions: Positions) -> tuple[PastStep, ...]:
            with self._database.read() as cursor:
                return past_steps(cursor, past, positions, is_dead=is_dead)

        def read_done(steps: NewSteps) -> list[int]:
            with self._database.read() as cursor:
                return done_alike(cursor, run_id, steps)

        status = self.run(run_id)["status"] if is_dead else past.status
        return replace(past, status=status, read_steps=read_steps, read_done=read_done)

    def value_faults(self) -> ValueFaults:
        """Give what tells which stored values can be used."""
        return ValueFaults(self._database)

    def unpublished(self) -> dict[str, str]:
        """Temporaries of recorded successes that are not renamed yet, by their targets."""
        sql = """SELECT target, temporary FROM file_rows WHERE published = 0
                 ORDER BY run_id, position"""
        return {row["target"]: row["temporary"] for row in self._rows(sql)}

    def initial_run(self, run_id: int) -> int:
        """Give the run of the chain that keeps the initial context: its first."""
        return int(self.run(run_id)["root_run"])


def bindable(text: str) -> str:
    """Give text that SQLite takes, whatever bytes came in from a terminal."""
    return text.encode("utf-8", "replace").decode()
