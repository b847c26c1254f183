"""The read side: all that reports, decisions and the console know of runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import StoreError
from engine.produced import Encoded
from engine.usual import Spread, Usual
from store.earlier_runs import ID_MAX, EarlierRuns, Row, bindable
from store.page import Page, page
from store.reconcile import ASKED_BY
from store.schedules import ScheduleReads
from store.step_runs import StepRun, as_left, step_runs
from store.timeline import Timeline, timeline
from store.usual import WENT_WELL, usual_durations, usual_run, usual_spreads

if TYPE_CHECKING:
    from store.run_facts import RunFacts
    from store.successes import Successes

_DAY_US = 86_400_000_000


class History(EarlierRuns, ScheduleReads):
    """Reads one store; every method is one consistent view."""

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
            parameters.append(bindable(workflow))
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
                       v.started_by, v.only_steps, v.backfill, v.zone, r.owner, {ASKED_BY}
                FROM run_rows r JOIN run_summary s ON s.run_id = r.id JOIN runs v ON v.id = r.id
                WHERE {" AND ".join(where)} ORDER BY r.id DESC LIMIT {most}""",
            [*parameters, limit],
        )
        shown = [self._told(row) for row in rows]
        if failed or on:  # of those that are running, some turn out to be dead
            shown = [row for row in shown if (row["status"] == "running") is on]
        return shown[:limit]

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
            f"SELECT max(id) AS id FROM run_rows WHERE workflow = ? AND id < ? AND {WENT_WELL}",
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
            [json.dumps([bindable(name) for name in names]), run_id],
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

    def usual_run(self, workflow: str, *, before: int = ID_MAX) -> Spread | None:
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

    def given_up(self, now_us: int) -> list[Row]:
        """Alerts that were given up within a day, oldest first; not what a restore dropped."""
        sql = (
            "SELECT * FROM alerts WHERE id IN (SELECT id FROM alert_rows"
            " WHERE status = 'given_up' AND sent_at BETWEEN ? AND ?) ORDER BY id"
        )
        return self._rows(sql, (now_us - _DAY_US, now_us))

    def incidents(self, workflow: str | None = None, *, closed: bool = False) -> list[Row]:
        """Incidents that are open, or all with `closed`, oldest first."""
        which = "true" if closed else "closed_at IS NULL"
        mine = "true" if workflow is None else "workflow = ?"
        names = [] if workflow is None else [workflow]
        sql = f"SELECT * FROM incidents WHERE {which} AND {mine} ORDER BY id"
        return self._rows(sql, names)

    def undelivered(self) -> int:
        """Count alerts neither sent nor given up."""
        rows = self._rows(
            "SELECT count(*) AS n FROM alert_rows WHERE status IN ('pending', 'sending')"
        )
        return int(rows[0]["n"])
