"""The read side: all that reports, decisions and the console know of runs.

Rows come as dicts with the public views' columns (docs/sql.md). A run recorded as running whose
engine is dead is *shown* as that will be recorded, which only a writing command does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.errors import StoreError, UsageError
from engine.model import Encoded
from engine.past import PastStep
from engine.usual import Spread, Usual
from store import locks
from store.alike import done_alike
from store.connection import Database
from store.new_run import NewSteps
from store.page import Page, page
from store.past import PastRun, Positions, past_steps, read_past
from store.readback import ValueFaults
from store.reconcile import ASKED_BY, ENGINE_DIED, Found
from store.step_runs import StepRun, as_left, step_runs
from store.timeline import Timeline, timeline
from store.usual import usual_durations, usual_run, usual_spreads

if TYPE_CHECKING:
    from store.run_facts import RunFacts
    from store.successes import Successes

Row = dict[str, Any]

_ID_MAX = (1 << 63) - 1
PRUNED = "its values, logs and report were pruned"
_DIGITS_MAX = 100  # Python reads no number of thousands of digits
_COUNTS = "definition_id IS NOT NULL AND only_steps = ''"  # began a step, and was a whole run
_ALONE = "(backfill IS NULL OR backfill = id)"  # a backfill's runs are told of with it
# Else SQLite would look through all runs of the workflow, from the newest back.
_BY_PARAMS = "run_rows INDEXED BY ix_run_rows_params"


class History:
    """Reads one store; every method is one consistent view."""

    def __init__(self, database: Database) -> None:
        """Read through `database`."""
        self._database = database

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self._database.read() as cursor:
            cursor.execute(sql, tuple(parameters))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    # -- runs -------------------------------------------------------------------------------------

    def runs(
        self,
        *,
        workflow: str | None = None,
        since: str | None = None,
        failed: bool = False,
        on: bool = False,
        limit: int = 50,
    ) -> list[Row]:
        """Newest first; `since` is UTC ISO text; `failed` leaves out what went well.

        With `on`, only those that are on.
        """
        where, parameters = ["1"], list[object]()
        if workflow is not None:
            where.append("r.workflow = ?")
            parameters.append(_bindable(workflow))
        if since is not None:
            where.append("r.started_at >= strftime('%s', ?) * 1000000")
            parameters.append(since)
        most = "?"
        if failed:
            where.append("r.status IN ('failed', 'interrupted', 'cancelled', 'running')")
            most = "? + (SELECT count(*) FROM run_rows WHERE status = 'running')"
        if on:
            where.append("r.status = 'running'")
        rows = self._rows(
            f"""SELECT r.id, s.*, v.resumed_from, v.root_run, v.note, v.params, v.finished_at,
                       v.started_by, v.only_steps, v.backfill, r.owner, {ASKED_BY}
                FROM run_rows r JOIN run_summary s ON s.run_id = r.id JOIN runs v ON v.id = r.id
                WHERE {" AND ".join(where)} ORDER BY r.id DESC LIMIT {most}""",
            [*parameters, limit],
        )
        shown = [self._told(row) for row in rows]
        if failed or on:  # of those that are running, some turn out to be dead
            shown = [row for row in shown if (row["status"] == "running") is on]
        return shown[:limit]

    def run(self, run_id: int) -> Row:
        """One run. Raises `UsageError` if there is none of that number."""
        rows = self._rows(
            f"SELECT v.*, v.id AS run_id, r.owner, {ASKED_BY}"
            " FROM runs v JOIN run_rows r ON r.id = v.id WHERE v.id = ?",
            [min(run_id, _ID_MAX)],
        )
        if not rows:
            raise UsageError(f"there is no run {run_id}", hint="see `history` for the runs")
        run = self._told(rows[0])
        if run["pruned_at"] is not None:
            run["note"] = f"{run['note']}; {PRUNED}" if run["note"] else PRUNED
        return run

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
            else self._rows(sql + " WHERE workflow = ?", [_bindable(name)])
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

    # -- steps ------------------------------------------------------------------------------------

    @contextmanager
    def told(self, run_id: int) -> Iterator[Iterator[StepRun]]:
        """Steps in declaration order, as they are read; those of a dead engine as it left them."""
        is_dead = self._is_dead(run_id)
        with self._database.read() as cursor:
            found = step_runs(cursor, run_id)
            yield map(as_left, found) if is_dead else found

    def page(self, run_id: int, most: int) -> Page:
        """The steps of a big run that are worth a look, and counts of all."""
        is_dead = self._is_dead(run_id)
        with self._database.read() as cursor:
            found = page(cursor, run_id, most, is_dead=is_dead)
        return found._replace(steps=list(map(as_left, found.steps))) if is_dead else found

    def timeline(self, run_id: int, positions: Sequence[int] | None = None) -> Timeline:
        """What a run looks like through time; with `positions`, only so many of its steps."""
        with self._database.read() as cursor:
            return timeline(cursor, run_id, positions)

    def count_steps(self, run_id: int) -> int:
        """How many steps a run has."""
        rows = self._rows("SELECT steps FROM run_rows WHERE id = ?", [run_id])
        return int(rows[0]["steps"]) if rows else 0

    def _is_dead(self, run_id: int) -> bool:
        rows = self._rows("SELECT status FROM run_rows WHERE id = ?", [run_id])
        is_on = bool(rows) and rows[0]["status"] == "running"
        return is_on and bool(self.run(run_id).get("dead"))

    def steps(self, run_id: int) -> list[Row]:
        """As `told`, with the columns of `step_runs`."""
        with self.told(run_id) as found:
            return [step.row(run_id) for step in found]

    def facts(self, run_id: int) -> RunFacts:
        """Give all that is recorded of a run but its values; of a dead engine, as it left it."""
        from store.run_facts import read_run

        run = self.run(run_id)
        with self.told(run_id) as found:
            told = list(found)
        with self._database.read() as cursor:
            return read_run(cursor, run, told)

    def origin(self, run_id: int) -> RunFacts:
        """Give what a run was, was given and ran on, not what became of it."""
        from store.run_facts import read_origin

        run = self.run(run_id)
        with self._database.read() as cursor:
            return read_origin(cursor, run)

    def last_good(self, workflow: str, before: int) -> int | None:
        """Number of the newest whole `ok` run before run `before`; not one of a backfill's."""
        rows = self._rows(
            f"SELECT max(id) AS id FROM run_rows WHERE workflow = ? AND id < ? AND status = 'ok'"
            f" AND {_COUNTS} AND {_ALONE}",
            [workflow, before],
        )
        return None if rows[0]["id"] is None else int(rows[0]["id"])

    def spreads(self, workflow: str, before: int) -> dict[str, Spread]:
        """What the last successful attempts of each step took, of runs before run `before`."""
        with self._database.read() as cursor:
            return usual_spreads(cursor, workflow, before)

    def positions(self, run_id: int, names: Iterable[str]) -> dict[str, int]:
        """Positions of those of the named steps that a run has."""
        rows = self._rows(
            """SELECT d.name, d.position FROM json_each(?) wanted CROSS JOIN run_rows r
               CROSS JOIN definition_steps d ON d.definition_id = r.definition_id
                                            AND d.name = wanted.value WHERE r.id = ?""",
            [json.dumps([_bindable(name) for name in names]), run_id],
        )
        return {row["name"]: row["position"] for row in rows}

    def first_steps(self, run_id: int, most: int) -> list[str]:
        """Names of the first steps of a run, as declared."""
        sql = """SELECT d.name FROM run_rows r JOIN definition_steps d
                 ON d.definition_id = r.definition_id WHERE r.id = ? ORDER BY d.position LIMIT ?"""
        return [row["name"] for row in self._rows(sql, [run_id, most])]

    def usual(self, workflow: str, *, before: int | None = None) -> dict[str, Usual]:
        """Usual duration of each step, and how many attempts tell it.

        Counts runs before run `before` only, if that is given.
        """
        with self._database.read() as cursor:
            return usual_durations(cursor, workflow, before)

    def usual_run(self, workflow: str, *, before: int = _ID_MAX) -> Spread | None:
        """What a whole run of a workflow usually takes, by those before run `before`."""
        with self._database.read() as cursor:
            return usual_run(cursor, workflow, before)

    def medians(self, workflow: str, *, before: int | None = None) -> dict[str, float]:
        """Usual duration of each step in seconds: median of its last successful attempts."""
        found = self.usual(workflow, before=before)
        return {step: duration_s for step, (duration_s, _) in found.items()}

    def successes(self, workflow: str, before: int, step: str | None) -> Successes:
        """What went well before run `before`, of the workflow and of one of its steps."""
        from store.successes import successes

        with self._database.read() as cursor:
            return successes(cursor, workflow, before, step)

    def values(self, run_id: int) -> list[Row]:
        """Context values written in a run: step ('' for the initial context), key, codec, size."""
        return self._rows(
            "SELECT step, key, codec, size, sha256 FROM outputs WHERE run_id = ?"
            " ORDER BY step, key",
            [run_id],
        )

    # -- deciding about a new run -----------------------------------------------------------------

    def newest(
        self, workflow: str, *, params: str | None = None, context_sha256: str | None = None
    ) -> PastRun | None:
        """Newest whole run that began a step, of equal parameters where they are given."""
        table, where, parameters = "run_rows", f"workflow = ? AND {_COUNTS}", [workflow]
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
            f" AND context_sha256 = ? AND status = 'ok' AND {_COUNTS}",
            [workflow, params, context_sha256],
        )
        found = rows[0]["id"]
        return None if found is None else int(found)

    def previous_status(self, workflow: str, before: int | None = None) -> str | None:
        """Outcome of the newest ended whole run that began a step, of those before `before`."""
        rows = self._rows(
            f"SELECT status FROM run_rows WHERE workflow = ? AND {_COUNTS} AND {_ALONE}"
            " AND status <> 'running' AND (? IS NULL OR id < ?) ORDER BY id DESC LIMIT 1",
            [workflow, before, before],
        )
        return str(rows[0]["status"]) if rows else None

    def unfinished(self, workflow: str) -> Row | None:
        """Newest whole run of a workflow that began a step, if it did not end well."""
        rows = self._rows(
            f"SELECT max(id) AS id FROM run_rows WHERE workflow = ? AND {_COUNTS} AND {_ALONE}",
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

    # -- values and alerts ------------------------------------------------------------------------

    def keys(self, run_id: int) -> dict[str, list[str]]:
        """Keys by the step that wrote them in that run ('' for the initial context)."""
        found: dict[str, list[str]] = {}
        for row in self.values(run_id):
            found.setdefault(row["step"], []).append(row["key"])
        return found

    def load(self, run_id: int, step: str, key: str) -> Encoded:
        """Give one stored value. Raises `StoreError` if it is not there."""
        rows = self._rows(
            "SELECT codec, data, sha256 FROM outputs WHERE run_id = ? AND step = ? AND key = ?",
            [run_id, step, key],
        )
        if not rows:
            raise StoreError(f"the value '{key}' of step '{step}' in run {run_id} is gone")
        return Encoded(rows[0]["codec"], rows[0]["data"], rows[0]["sha256"])

    def alerts(self) -> list[Row]:
        """Undelivered alerts, oldest first."""
        return self._rows("SELECT * FROM alerts WHERE status IN ('pending', 'sending') ORDER BY id")

    def undelivered(self) -> int:
        """Count alerts neither sent nor given up."""
        rows = self._rows(
            "SELECT count(*) AS n FROM alert_rows WHERE status IN ('pending', 'sending')"
        )
        return int(rows[0]["n"])


def _bindable(text: str) -> str:
    """Give text that SQLite takes, whatever bytes came in from a terminal."""
    return text.encode("utf-8", "replace").decode()
