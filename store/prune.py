"""Letting old runs go, in transactions so small that a run going on hardly waits.

A run is marked first (`pruned_at` below 0): from then on no other takes its values over. Its logs
go next, then its rows, its own row last. So what a crash cuts short is known, and the next prune
ends it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from store.connection import Database
from store.retention import Limits, Verdict, judge

ROWS_MAX = 1_000  # in one transaction; 4 KiB of a value count as a row
PAUSE_S = 0.005  # between two: SQLite has no queue, so others need a gap to get in
_BLOCK_BYTES = 4_096

_KEYS = {
    "file_rows": "position, target",
    "carried_rows": "position",
    "marked_rows": "position",
    "order_rows": "run_id",
    "decision_rows": "position, seq, what",
    "attempt_rows": "position, number",
    "step_rows": "position",
    "alert_rows": "id",
    "cancel_rows": "run_id",
}
_OF_VALUES = ("file_rows",)

_GONE = "pruned "  # begins the key of a definition that goes; no digest does


class Weight(NamedTuple):
    """What runs hold: rows, and bytes of values."""

    rows: int
    value_bytes: int


def mark(
    database: Database, workflow: str, limits: Limits, runs: Sequence[int], now_us: int
) -> list[Verdict]:
    """Judge `runs` and their chains anew and mark those that go, in one transaction."""
    with database.write() as cursor:
        verdicts = judge(cursor, workflow, limits, runs)
        cursor.executemany(
            "UPDATE run_rows SET pruned_at = ? WHERE id = ? AND coalesce(pruned_at, 1) > 0",
            [(-now_us, verdict.run_id) for verdict in verdicts],
        )
    return verdicts


def weigh(cursor: sqlite3.Cursor, verdict: Verdict) -> Weight:
    """Count what a run's going takes away."""
    run = (verdict.run_id,)
    rows, size = cursor.execute(
        "SELECT count(*), coalesce(sum(length(data)), 0) FROM output_rows WHERE run_id = ?", run
    ).fetchone()
    rows += int(verdict.row)
    for table in _KEYS if verdict.row else _OF_VALUES:
        sql = f"SELECT count(*) FROM {table} WHERE run_id = ?"
        rows += cursor.execute(sql, run).fetchone()[0]
    return Weight(rows, size)


def take_away(
    database: Database, verdicts: Sequence[Verdict], go_on: Callable[[], bool]
) -> list[Verdict]:
    """Delete the rows of marked runs, while `go_on` says so; gives the verdicts carried out.

    They come newest first, as `judge` gives them: a run names older ones only.
    """
    waiting, done = deque(verdicts), list[Verdict]()
    definitions = _definitions(database, verdicts)
    while waiting and go_on():
        with database.write() as cursor:
            room = ROWS_MAX
            while waiting and room > 0:
                room -= _empty(cursor, waiting[0], room)
                if room > 0:
                    _finish(cursor, waiting[0])
                    done.append(waiting.popleft())
        pause()
    if not waiting:
        _take_environments(database, done)
        _take_definitions(database, definitions, go_on)
    return done


def pause() -> None:
    """Leave others a gap to get in."""
    threading.Event().wait(PAUSE_S)


def _empty(cursor: sqlite3.Cursor, verdict: Verdict, room: int) -> int:
    """Delete rows of a run, up to `room`; what it gives is less than that if none are left."""
    used = _empty_values(cursor, verdict.run_id, room)
    for table in _KEYS if verdict.row else _OF_VALUES:
        if used >= room:
            return used
        used += _empty_table(cursor, table, verdict.run_id, room - used)
    return used


def _empty_values(cursor: sqlite3.Cursor, run_id: int, room: int) -> int:
    rows = cursor.execute(
        "SELECT rowid, length(data) FROM output_rows WHERE run_id = ? LIMIT ?", (run_id, room)
    ).fetchall()
    used, chosen = 0, []
    for row, size in rows:
        if used >= room:
            break
        chosen.append((row,))
        used += 1 + size // _BLOCK_BYTES
    cursor.executemany("DELETE FROM output_rows WHERE rowid = ?", chosen)
    return used


def _empty_table(cursor: sqlite3.Cursor, table: str, run_id: int, room: int) -> int:
    key = _KEYS[table]
    chosen = f"SELECT {key} FROM {table} WHERE run_id = ? LIMIT ?"
    sql = f"DELETE FROM {table} WHERE run_id = ? AND ({key}) IN ({chosen})"
    return cursor.execute(sql, (run_id, run_id, room)).rowcount


def _finish(cursor: sqlite3.Cursor, verdict: Verdict) -> None:
    """Delete the row itself, unless a run begun meanwhile names it; else unmark it as bare."""
    if verdict.row:
        cursor.execute(
            "DELETE FROM run_rows WHERE id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM run_rows WHERE resumed_from = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM run_rows WHERE root_run = ?1 AND id <> ?1)",
            (verdict.run_id,),
        )
    cursor.execute(
        "UPDATE run_rows SET pruned_at = -pruned_at WHERE id = ? AND pruned_at < 0",
        (verdict.run_id,),
    )


# -- definitions ----------------------------------------------------------------------------------


def _definitions(database: Database, verdicts: Sequence[Verdict]) -> set[int]:
    sql = "SELECT definition_id FROM run_rows WHERE id = ? AND definition_id IS NOT NULL"
    with database.read() as cursor:
        left = cursor.execute(
            "SELECT id FROM definition_rows WHERE sha256 >= ? AND sha256 < 'pruned!'", (_GONE,)
        ).fetchall()
        named = [cursor.execute(sql, (v.run_id,)).fetchone() for v in verdicts if v.row]
    return {row[0] for row in (*left, *named) if row is not None}


def _take_definitions(database: Database, ids: set[int], go_on: Callable[[], bool]) -> None:
    """Delete the definitions that no run names any more.

    One goes under another key first, so that no run that begins finds half of it.
    """
    for definition in sorted(ids):
        with database.write() as cursor:
            gone = cursor.execute(
                "UPDATE definition_rows SET sha256 = ?2 || id WHERE id = ?1"
                " AND NOT EXISTS (SELECT 1 FROM run_rows WHERE definition_id = ?1)",
                (definition, _GONE),
            ).rowcount
        left = bool(gone)
        while left and go_on():
            with database.write() as cursor:
                left = _empty_definition(cursor, definition)
            pause()


def _take_environments(database: Database, done: Sequence[Verdict]) -> None:
    """Delete what no run ran on any more: there are few, of one row each."""
    if any(verdict.row for verdict in done):
        with database.write() as cursor:
            cursor.execute(
                "DELETE FROM environment_rows AS e WHERE NOT EXISTS"
                " (SELECT 1 FROM run_rows WHERE environment_id = e.id)"
            )


def _empty_definition(cursor: sqlite3.Cursor, definition: int) -> bool:
    sql = (
        "DELETE FROM definition_steps WHERE definition_id = ?1 AND position IN"
        " (SELECT position FROM definition_steps WHERE definition_id = ?1 LIMIT ?2)"
    )
    left = cursor.execute(sql, (definition, ROWS_MAX)).rowcount == ROWS_MAX
    if not left:
        cursor.execute("DELETE FROM definition_rows WHERE id = ?", (definition,))
    return left
