"""The write side of one run: every tick one transaction, every write guarded."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from engine.errors import SupersededError
from engine.events import (
    Action,
    BackOff,
    Claim,
    EndAttempt,
    EndRun,
    EndStep,
    LeaveBehind,
    RecordStart,
    StopAttempt,
)
from engine.failpoints import failpoint
from engine.model import Encoded, OutputFile, RunStatus
from store import admission, statements
from store.cancels import Watch
from store.connection import Database
from store.definition import define
from store.new_run import ITSELF, OWN_KEY, NewRun
from store.tables import AlertStatus

INITIAL = -1  # the position under which a run's initial context is kept
BLOCK_SIZES = (128, 32, 8)  # rows a statement, where many are at hand

_ENDED_HINT = "another process has ended this run; look at it with `show`"


def begin_run(database: Database, run: NewRun) -> int:
    """Record a run as running, with its definition and what it takes over; gives its number.

    Raises `AlreadyRunning` where another must have ended first.
    """
    with database.write() as cursor:
        admission.check(cursor, run)
        definition = define(cursor, run.workflow, run.steps) if run.steps else None
        settled = [step for step in run.taken_over if step.status is not None]
        run_id = _insert_run(cursor, run, RunStatus.RUNNING, definition, len(settled))
        at = {step.position: run.started_at for step in run.marked}
        ended = [
            (run_id, s.position, s.status, at.get(s.position), s.note, s.source_run, seq)
            for seq, s in enumerate(settled, 1)
        ]
        carried = [
            (
                run_id,
                step.position,
                step.used,
                step.retry_at,
                run_id if step.key_run == OWN_KEY else step.key_run,
                step.lost,
                step.why,
            )
            for step in run.taken_over
            if step.used or step.retry_at or step.key_run or step.lost
        ]
        cursor.executemany(statements.end_step(), ended)
        cursor.executemany(statements.carry(), carried)
        cursor.executemany(
            "INSERT INTO marked_rows (run_id, position, marked_by) VALUES (?, ?, ?)",
            [(run_id, step.position, step.by) for step in run.marked],
        )
        written = [(INITIAL, run.context), *((s.position, s.outputs) for s in run.marked)]
        outputs = [
            (run_id, position, key, *_encoded(value))
            for position, values in written
            for key, value in values
        ]
        cursor.executemany(statements.write_output(), outputs)
        return run_id


def record_ended_run(
    database: Database,
    run: NewRun,
    status: RunStatus,
    channels: Iterable[str] = (),
) -> int:
    """Record a run that begins no step: skipped because one is on, or wrong at its definition."""
    with database.write() as cursor:
        run_id = _insert_run(cursor, run, status, None, 1)
        queue_alerts(cursor, run_id, channels, run.started_at)
        return run_id


def _insert_run(
    cursor: sqlite3.Cursor, run: NewRun, status: RunStatus, definition: int | None, events: int
) -> int:
    finished_at = None if status is RunStatus.RUNNING else run.started_at
    cursor.execute(
        statements.begin_run(),
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
        ),
    )
    run_id = cursor.lastrowid
    assert run_id is not None
    if run.root_run is None:
        cursor.execute("UPDATE run_rows SET root_run = id WHERE id = ?", (run_id,))
    if run.backfill == ITSELF:
        cursor.execute("UPDATE run_rows SET backfill = id WHERE id = ?", (run_id,))
    return run_id


def events_of(database: Database, run_id: int) -> int:
    """Count the events recorded of a run; 0 for one that is not there."""
    with database.read() as cursor:
        row = cursor.execute("SELECT events FROM run_rows WHERE id = ?", (run_id,)).fetchone()
    return int(row[0]) if row else 0


def queue_alerts(cursor: sqlite3.Cursor, run_id: int, channels: Iterable[str], at_us: int) -> None:
    """Put one alert per channel into the outbox, within the caller's transaction."""
    rows = [(run_id, channel, AlertStatus.PENDING, at_us, 0, "") for channel in channels]
    cursor.executemany(statements.queue_alert(), rows)


def _encoded(value: Encoded) -> tuple[str, str, bytes]:
    return value.codec, value.sha256, value.data


@dataclass(slots=True)
class _Batch:
    """The rows of one tick, by statement, in the order in which they are applied.

    `events` is the run's count of events with those of this tick.
    """

    events: int
    ends: list[tuple[object, ...]] = field(default_factory=list)
    waits: list[tuple[object, ...]] = field(default_factory=list)
    steps: list[tuple[object, ...]] = field(default_factory=list)
    outputs: list[tuple[object, ...]] = field(default_factory=list)
    files: list[tuple[object, ...]] = field(default_factory=list)
    claims: list[tuple[object, ...]] = field(default_factory=list)
    starts: list[tuple[object, ...]] = field(default_factory=list)
    end: EndRun | None = None


class Journal:
    """Implements `engine.ports.Store` for one run."""

    def __init__(
        self,
        database: Database,
        run_id: int,
        *,
        stamp: Callable[[float], int],
        channels: Callable[[RunStatus], Iterable[str]],
        committed: Callable[[int, int], None] = lambda _run_id, _events: None,
    ) -> None:
        """Write for run `run_id`.

        `stamp` turns the run's clock into microseconds since 1970; `channels` says where an alert
        for an outcome is to go; `committed(run_id, events)` is told how far the record reaches.
        """
        self.run_id = run_id
        self._database = database
        self._stamp = stamp
        self._channels = channels
        self._committed = committed
        self._watch = Watch(database, run_id)
        self._events = events_of(database, run_id)
        committed(run_id, self._events)

    def commit_tick(self, actions: Sequence[Action]) -> None:
        """Apply the actions in ONE transaction; durable when this returns."""
        batch = self._batch(actions)
        with self._database.write() as cursor:
            self._apply(cursor, batch)
            failpoint("tick-before-commit")
        failpoint("tick-after-commit")
        self._events = batch.events
        self._committed(self.run_id, batch.events)

    def mark_published(self, steps: Iterable[int]) -> None:
        """Record that the files of these steps stand at their targets."""
        with self._database.write() as cursor:
            cursor.executemany(statements.published(), [(self.run_id, step) for step in steps])

    def asked_to_stop(self) -> str | None:
        """Tell who wants this run cancelled, if somebody does."""
        return self._watch.look()

    def _batch(self, actions: Sequence[Action]) -> _Batch:
        batch, run, stamp = _Batch(self._events), self.run_id, self._stamp
        for action in actions:
            match action:
                case EndAttempt(step, number, outcome, begun, ended, error):
                    begun_us = None if begun is None else stamp(begun)
                    ended_us = None if ended is None else stamp(ended)
                    batch.events = seq = batch.events + 1
                    row = (begun_us, ended_us, outcome, error or None, seq, run, step, number)
                    batch.ends.append(row)
                case EndStep(step, status, at, note, writes, files):
                    batch.events = seq = batch.events + 1
                    batch.steps.append((run, step, status, stamp(at), note, None, seq))
                    for key, value in writes:
                        batch.outputs.append((run, step, key, *_encoded(value)))
                    batch.files.extend(_file_row(run, step, file) for file in files)
                case Claim(step, number, started_at, _):
                    begun_us = None if started_at is None else stamp(started_at)
                    batch.events = seq = batch.events + 1
                    batch.claims.append((run, step, number, begun_us, seq, run, step))
                case BackOff(step, number, until):
                    batch.waits.append((stamp(until), run, step, number))
                case RecordStart(step, number, at):
                    batch.starts.append((stamp(at), run, step, number))
                case EndRun():
                    batch.events += 1
                    batch.end = action
                case StopAttempt() | LeaveBehind():
                    pass  # effects without a row of their own
                case _:
                    assert_never(action)
        return batch

    def _apply(self, cursor: sqlite3.Cursor, batch: _Batch) -> None:
        cursor.execute(statements.count_events(), (batch.events, self.run_id, self._events))
        if cursor.rowcount != 1:
            raise SupersededError(f"run {self.run_id} is no longer running", hint=_ENDED_HINT)
        _guarded(cursor, statements.record_start(), batch.starts)
        _blocks(cursor, statements.end_attempt, statements.end_attempts, batch.ends)
        _guarded(cursor, statements.back_off(), batch.waits)
        try:
            _blocks(cursor, statements.end_step, statements.end_steps, batch.steps)
            _blocks(cursor, statements.begin_attempt, statements.begin_attempts, batch.claims)
        except sqlite3.IntegrityError as error:
            raise SupersededError(f"a step of run {self.run_id} is not ours: {error}") from error
        if batch.outputs:
            cursor.executemany(statements.write_output(), batch.outputs)
        if batch.files:
            cursor.executemany(statements.write_file(), batch.files)
        if batch.end is not None:
            end, at_us = batch.end, self._stamp(batch.end.at)
            row = (end.status, at_us, end.note, self.run_id)
            _guarded(cursor, statements.end_run(), [row])
            queue_alerts(cursor, self.run_id, self._channels(end.status), at_us)


def _guarded(cursor: sqlite3.Cursor, statement: str, rows: list[tuple[object, ...]]) -> None:
    if not rows:
        return
    cursor.executemany(statement, rows)
    _check_changed(cursor.rowcount, len(rows))


def _blocks(
    cursor: sqlite3.Cursor,
    one: Callable[[], str],
    many: Callable[[int], str],
    rows: list[tuple[object, ...]],
) -> None:
    """Apply rows, most of them in blocks; each must change one row of the store."""
    connection = cursor.connection
    before, done = connection.total_changes, 0
    for size in BLOCK_SIZES:
        while len(rows) - done >= size:
            block = rows[done : done + size]
            cursor.execute(many(size), [value for row in block for value in row])
            done += size
    if done < len(rows):
        cursor.executemany(one(), rows[done:] if done else rows)
    _check_changed(connection.total_changes - before, len(rows))


def _check_changed(changed: int, wanted: int) -> None:
    if changed != wanted:
        raise SupersededError(
            f"{wanted - changed} of {wanted} rows were not in the state to be left",
            hint=_ENDED_HINT,
        )


def _file_row(run: int, step: int, file: OutputFile) -> tuple[object, ...]:
    return run, step, file.target, file.temporary, file.sha256, file.size, 0
