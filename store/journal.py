"""The write side of one run: every tick one transaction, every write guarded."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from engine.alert import AlertKind, AlertStatus, Telling
from engine.errors import SupersededError
from engine.events import Action, TellLate
from engine.failpoints import failpoint
from engine.model import RunStatus, StepStatus
from store import admission, prepared, slots
from store.blocks import insert_each, insert_many
from store.cancels import Watch
from store.connection import Database
from store.definition import define
from store.new_run import ITSELF, OWN_KEY, TALLIED, NewRun, Reused
from store.tick import ENDED_HINT, Tick, encoded, standing_of

_REUSE = """INSERT INTO step_rows (run_id, position, status, ended_at, note, source_run, seq)
    SELECT ?1, value, 'cached', NULL, ?2, ?3, ?4 + key FROM json_each(?5)"""
SILENT = Telling()
INITIAL = -1  # the position under which a run's initial context is kept


def begin_run(database: Database, run: NewRun) -> int:
    """Record a run as running, with its definition and what it takes over; gives its number.

    Raises `AlreadyRunning` where another must have ended first, `SlotTaken` where another has had
    its slot.
    """
    with database.write() as cursor:
        admission.check(cursor, run)
        definition = define(cursor, run.workflow, run.steps) if run.steps else None
        settled = [step for step in run.taken_over if step.status is not None]
        tally = Counter(step.status for step in settled)
        tally[StepStatus.CACHED] += sum(len(some.positions) for some in run.reused)
        run_id = _insert_run(cursor, run, RunStatus.RUNNING, definition, tally)
        slots.claim(cursor, run, run_id)
        if run.slot is None and run.started_by == "timer":  # it has no schedule any more
            slots.forget(cursor, run.workflow)
        reused = _insert_reused(cursor, run_id, run.reused)
        at = {step.position: run.started_at for step in run.marked}
        ended: list[tuple[object, ...]] = [
            (run_id, s.position, s.status, at.get(s.position), s.note, s.source_run, seq)
            for seq, s in enumerate(settled, reused + 1)
        ]
        insert_many(cursor, prepared.END_STEP, ended)
        cursor.executemany(prepared.CARRY, _carried(run_id, run))
        cursor.executemany(
            "INSERT INTO marked_rows (run_id, position, marked_by) VALUES (?, ?, ?)",
            [(run_id, step.position, step.by) for step in run.marked],
        )
        cursor.executemany(prepared.WRITE_OUTPUT, _given(run_id, run))
        if run.weights:
            weights = f"[{','.join(map(str, run.weights))}]"
            cursor.execute("INSERT INTO order_rows VALUES (?, ?)", (run_id, weights))
        return run_id


def _insert_reused(cursor: sqlite3.Cursor, run_id: int, reused: Iterable[Reused]) -> int:
    """Insert the steps that are reused, as the first events; gives how many.

    Of a hundred thousand, to bind rows of them takes twice as long.
    """
    count = 0
    for source_run, note, positions in reused:
        row = (run_id, note, source_run, count + 1, f"[{','.join(map(str, positions))}]")
        cursor.execute(_REUSE, row)
        count += len(positions)
    return count


def _carried(run_id: int, run: NewRun) -> Iterator[tuple[object, ...]]:
    for step in run.taken_over:
        if step.used or step.retry_at or step.key_run or step.lost:
            key_run = run_id if step.key_run == OWN_KEY else step.key_run
            row = (step.used, step.retry_at, key_run, step.lost, step.why)
            yield (run_id, step.position, *row)


def _given(run_id: int, run: NewRun) -> Iterator[tuple[object, ...]]:
    """Give the values that it begins with: its context, and those of steps marked as done."""
    written = [(INITIAL, run.context), *((step.position, step.outputs) for step in run.marked)]
    for position, values in written:
        for key, value in values:
            yield (run_id, position, key, *encoded(value))


def record_ended_run(
    database: Database,
    run: NewRun,
    status: RunStatus,
    channels: Iterable[str] = (),
    telling: Telling = SILENT,
) -> int:
    """Record a run that begins no step: skipped because one is on, or wrong at its definition.

    It has its slot all the same. Raises `SlotTaken` where another has had that.
    """
    with database.write() as cursor:
        run_id = _insert_run(cursor, run, status, None, Counter())
        slots.claim(cursor, run, run_id)
        settle(cursor, run_id, run.started_at, telling)
        queue_alerts(cursor, run_id, channels, run.started_at)
        return run_id


def _insert_run(
    cursor: sqlite3.Cursor,
    run: NewRun,
    status: RunStatus,
    definition: int | None,
    tally: Counter[StepStatus | None],
) -> int:
    """Insert the run's row; `tally` counts the steps that have ended as it begins."""
    is_on = status is RunStatus.RUNNING
    finished_at = None if is_on else run.started_at
    events = tally.total() if is_on else 1
    cursor.execute(
        prepared.BEGIN_RUN,
        (
            run.workflow,
            status,
            run.params,
            run.context_sha256,
            definition,
            run.started_at,
            finished_at,
            run.resumed_from,
            run.root_run or 0,
            run.started_by,
            run.note,
            run.user,
            run.host,
            run.owner,
            run.workers,
            events,
            run.only_steps,
            run.backfill,
            len(run.steps),
            *(tally[StepStatus(word)] for word in TALLIED),
            run.reason,
            run.choices,
            _environment(cursor, run.versions),
            run.slot,
            run.zone,
            run.limits,
        ),
    )
    run_id = cursor.lastrowid
    assert run_id is not None
    if run.root_run is None:
        cursor.execute("UPDATE run_rows SET root_run = id WHERE id = ?", (run_id,))
    if run.backfill == ITSELF:
        cursor.execute("UPDATE run_rows SET backfill = id WHERE id = ?", (run_id,))
    return run_id


def _environment(cursor: sqlite3.Cursor, versions: Mapping[str, str]) -> int | None:
    """Give the id of what the engine runs on, recording it if no earlier run had the same."""
    if not versions:
        return None
    text = json.dumps(versions, sort_keys=True, separators=(",", ":"))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    sql = "SELECT id FROM environment_rows WHERE sha256 = ?"
    if found := cursor.execute(sql, (sha256,)).fetchone():
        return int(found[0])
    sql = "INSERT INTO environment_rows (sha256, versions) VALUES (?, ?)"
    return cursor.execute(sql, (sha256, text)).lastrowid


def queue_alerts(cursor: sqlite3.Cursor, run_id: int, channels: Iterable[str], at_us: int) -> None:
    """Put one alert per channel into the outbox, within the caller's transaction."""
    rows = [(run_id, channel, AlertStatus.PENDING, at_us, 0, "") for channel in channels]
    cursor.executemany(prepared.QUEUE_ALERT, rows)


def settle(
    cursor: sqlite3.Cursor, run_id: int, at_us: int, telling: Telling, *, crashed: bool = False
) -> bool:
    """Take a run's end into the incidents, see `store.incidents`: loaded once a run is on."""
    from store import incidents

    return incidents.settle(cursor, run_id, at_us, telling, crashed=crashed)


class Journal:
    """Implements `engine.ports.Store` for one run.

    What is live, and which steps have ended, is known here as it stands in the store: nobody else
    writes of a run, which the first statement of each tick makes sure of.
    """

    def __init__(
        self,
        database: Database,
        run_id: int,
        *,
        stamp: Callable[[float], int],
        channels: Callable[[RunStatus], Iterable[str]],
        telling: Telling = SILENT,
        committed: Callable[[int, int], None] = lambda _run_id, _events: None,
    ) -> None:
        """Write for run `run_id`.

        `stamp` turns the run's clock into microseconds since 1970; `channels` says where an alert
        for an outcome is to go, unless the run closes an incident, and `telling` where those on
        incidents are; `committed(run_id, events)` is told how far the record reaches.
        """
        self.run_id = run_id
        self._database = database
        self._stamp = stamp
        self._channels = channels
        self._telling = telling
        self._committed = committed
        self._watch = Watch(database, run_id)
        self._standing = standing_of(database, run_id)
        committed(run_id, self._standing.events)

    def commit_tick(self, actions: Sequence[Action]) -> None:
        """Apply the actions in ONE transaction; durable when this returns."""
        before = self._standing
        tick = Tick(self.run_id, before, self._stamp)
        try:
            tick.take(actions)
            with self._database.write() as cursor:
                self._apply(cursor, tick, before.events)
                failpoint("tick-before-commit")
        except BaseException:
            tick.take_back()
            raise
        failpoint("tick-after-commit")
        self._standing = tick.standing
        self._committed(self.run_id, tick.standing.events)

    def mark_published(self, steps: Iterable[int]) -> None:
        """Record that the output files of these steps stand at their targets."""
        with self._database.write() as cursor:
            cursor.executemany(prepared.PUBLISHED, [(self.run_id, step) for step in steps])

    def asked_to_stop(self) -> str | None:
        """Tell who wants this run cancelled, if somebody does."""
        return self._watch.look()

    def _apply(self, cursor: sqlite3.Cursor, tick: Tick, events: int) -> None:
        cursor.execute(prepared.RECORD_TICK, (*tick.standing.row(), self.run_id, events))
        if cursor.rowcount != 1:
            raise SupersededError(f"run {self.run_id} is no longer running", hint=ENDED_HINT)
        try:
            insert_many(cursor, prepared.END_ATTEMPT_WELL, tick.well)
            insert_each(cursor, prepared.END_ATTEMPT, tick.ends)
            insert_many(cursor, prepared.END_STEP, tick.steps)
            if tick.decisions:
                insert_many(cursor, prepared.DECIDE, tick.decisions)
        except sqlite3.IntegrityError as error:
            raise SupersededError(f"a step of run {self.run_id} is not ours: {error}") from error
        insert_each(cursor, prepared.WRITE_OUTPUT, tick.outputs)
        insert_each(cursor, prepared.WRITE_FILE, tick.files)
        if tick.late:
            self._tell_late(cursor, tick.late)
        if tick.end is not None:
            end, at_us = tick.end, self._stamp(tick.end.at)
            row = (end.status, at_us, end.note, tick.standing.events, self.run_id)
            cursor.execute(prepared.END_RUN, row)
            if not settle(cursor, self.run_id, at_us, self._telling):
                queue_alerts(cursor, self.run_id, self._channels(end.status), at_us)

    def _tell_late(self, cursor: sqlite3.Cursor, late: Iterable[TellLate]) -> None:
        from store.queued import Queued, put  # loaded by then, and not before the first dispatch

        for _, _, at, headline, body in late:
            facts = {"headline": headline, "body": body}
            alert = Queued(AlertKind.LATE, facts, self._stamp(at), run_id=self.run_id)
            put(cursor, alert, self._telling.channels)
