"""Whether what is in a store's file reads back as it was written."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping

from store.connection import Database
from store.new_run import TALLIED

SHOWN_MAX = 20
PRUNED = "its values were pruned"

_NUMBERS = """
SELECT claimed_seq FROM attempt_rows WHERE run_id = ?1 AND claimed_seq > 0
UNION ALL
SELECT ended_seq FROM attempt_rows WHERE run_id = ?1 AND ended_seq > 0
UNION ALL
SELECT seq FROM step_rows WHERE run_id = ?1 AND seq > 0
UNION ALL
SELECT a.ended_seq + 1 FROM attempt_rows a WHERE a.run_id = ?1 AND a.outcome = 'ok'
  AND a.ended_seq > 0 AND NOT EXISTS (
    SELECT 1 FROM step_rows s WHERE s.run_id = a.run_id AND s.position = a.position)"""

_OF_LIVE = " UNION ALL SELECT claimed_seq FROM live_rows WHERE run_id = ?1"

_COUNTED = (*TALLIED, "attempts", "retries")
_STEPS = "(SELECT count(*) FROM step_rows s WHERE s.run_id = r.id AND s.status = '{}')"
_ATTEMPTS = "(SELECT count(*) FROM {} WHERE run_id = r.id AND number > {})"
_COUNTS = f"""
SELECT r.id, r.workflow,
  r.ok <> {_STEPS.format("ok")} + (
    SELECT count(*) FROM attempt_rows a WHERE a.run_id = r.id AND a.outcome = 'ok'
    AND NOT EXISTS (SELECT 1 FROM step_rows s WHERE s.run_id = r.id AND s.position = a.position)),
  {", ".join(f"r.{status} <> {_STEPS.format(status)}" for status in TALLIED[1:])},
  r.attempts <> {_ATTEMPTS.format("attempt_rows", 0)} + {_ATTEMPTS.format("live_rows", 0)},
  r.retries <> {_ATTEMPTS.format("attempt_rows", 1)} + {_ATTEMPTS.format("live_rows", 1)}
FROM run_rows r WHERE r.pruned_at IS NULL ORDER BY r.id"""

_VALUES = """
SELECT o.run_id, coalesce(d.name, ''), o.key, o.sha256, o.data
FROM output_rows o JOIN run_rows r ON r.id = o.run_id
LEFT JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = o.position"""


def faults(cursor: sqlite3.Cursor) -> Iterator[str]:
    """Say what does not: SQLite's own checks, the events of every run; values are asked for alone.

    A store from before events were counted has none to check. Raises `sqlite3.Error` where the
    file cannot be read at all.
    """
    yield from sqlites_faults(cursor)
    yield from event_faults(cursor)


def sqlites_faults(cursor: sqlite3.Cursor) -> Iterator[str]:
    """What SQLite's own checks find."""
    for (text,) in cursor.execute(f"PRAGMA integrity_check({SHOWN_MAX})").fetchall():
        if text != "ok":
            yield f"SQLite: {' '.join(text.split())}"
    for table, *_ in cursor.execute("PRAGMA foreign_key_check").fetchmany(SHOWN_MAX):
        yield f"SQLite: a row of '{table}' names one that is not there"


def event_faults(cursor: sqlite3.Cursor) -> Iterator[str]:
    """Runs whose events are not numbered 1, 2, … up to their count, each number once."""
    columns = [row[1] for row in cursor.execute("PRAGMA table_info(run_rows)").fetchall()]
    if "events" not in columns:
        return
    numbers = _NUMBERS + _OF_LIVE if "live" in columns else _NUMBERS
    runs = cursor.execute(
        "SELECT id, workflow, events, status FROM run_rows WHERE pruned_at IS NULL ORDER BY id"
    ).fetchall()
    for run_id, workflow, events, status in runs:
        found = sorted(row[0] for row in cursor.execute(numbers, (run_id,)))
        if events and status != "running":
            found.append(events)  # the end of the run itself is always its last
        if found != list(range(1, events + 1)):
            yield f"run {run_id} of '{workflow}': {events} events, and not all of them are there"


def count_faults(cursor: sqlite3.Cursor) -> Iterator[str]:
    """Runs whose counts, kept beside their rows, are not those of the rows."""
    for run_id, workflow, *differ in cursor.execute(_COUNTS).fetchall():
        wrong = [name for name, is_wrong in zip(_COUNTED, differ, strict=True) if is_wrong]
        if wrong:
            told = ", ".join(wrong)
            yield f"run {run_id} of '{workflow}': its counts are not those of its rows ({told})"


def value_faults(cursor: sqlite3.Cursor) -> Iterator[str]:
    """Values whose bytes are not those that were stored."""
    for run_id, step, key, sha256, data in cursor.execute(_VALUES):
        if _is_damaged(data, sha256):
            whose = f"step '{step}'" if step else "the initial context"
            yield f"run {run_id}, {whose}: the value '{key}' is damaged"


def environment_faults(cursor: sqlite3.Cursor) -> Iterator[str]:
    """What engines ran on, where it is not as it was recorded, or not there."""
    for number, sha256, text in cursor.execute("SELECT id, sha256, versions FROM environment_rows"):
        if hashlib.sha256(str(text).encode()).hexdigest() != sha256:
            yield f"environment {number} is damaged"
    rows = cursor.execute(
        "SELECT id, workflow FROM run_rows r WHERE environment_id IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM environment_rows e WHERE e.id = r.environment_id) ORDER BY id"
    )
    for run_id, workflow in rows.fetchall():
        yield f"run {run_id} of '{workflow}': the versions it ran on are not there"


def decision_faults(cursor: sqlite3.Cursor) -> Iterator[str]:
    """Decisions of events that are not recorded, or whose facts do not read back."""
    rows = cursor.execute(
        "SELECT DISTINCT r.id, r.workflow FROM decision_rows c JOIN run_rows r ON r.id = c.run_id"
        " WHERE c.seq NOT BETWEEN 0 AND r.events OR NOT json_valid(c.facts) ORDER BY r.id"
    )
    for run_id, workflow in rows.fetchall():
        yield f"run {run_id} of '{workflow}': a decision does not read back"


def _is_damaged(data: object, sha256: str) -> bool:
    return not isinstance(data, bytes) or hashlib.sha256(data).hexdigest() != sha256


CHECKS: dict[str, Callable[[sqlite3.Cursor], Iterator[str]]] = {
    "structure": sqlites_faults,
    "events": event_faults,
    "counts": count_faults,
    "values": value_faults,
    "environments": environment_faults,
    "decisions": decision_faults,
}


# -- for a decision about reusing values ----------------------------------------------------------


class ValueFaults:
    """What is wrong with the values that steps left; each run's are read through once."""

    def __init__(self, database: Database) -> None:
        """Look at `database`, when asked."""
        self._database = database
        self._read: dict[int, tuple[str, dict[str, str]]] = {}

    def of_step(self, run_id: int, step: str) -> str:
        """Say why a step's values in a run cannot be used, empty if they can.

        `step` is empty for the run's initial context.
        """
        whole_run, damaged = self.of_run(run_id)
        return whole_run or damaged.get(step, "")

    def of_run(self, run_id: int) -> tuple[str, Mapping[str, str]]:
        """Say what concerns all values of a run, and, by step, which are damaged."""
        if run_id not in self._read:
            with self._database.read() as cursor:
                self._read[run_id] = _faults_of_run(cursor, run_id)
        return self._read[run_id]


def _faults_of_run(cursor: sqlite3.Cursor, run_id: int) -> tuple[str, dict[str, str]]:
    """Give what concerns the whole run, and its damaged values by step."""
    row = cursor.execute("SELECT pruned_at FROM run_rows WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        return f"its values are gone with run {run_id}", {}
    if row[0] is not None:
        return PRUNED, {}
    damaged: dict[str, str] = {}
    for _, step, key, sha256, data in cursor.execute(f"{_VALUES} WHERE o.run_id = ?", (run_id,)):
        if _is_damaged(data, sha256):
            damaged.setdefault(step, f"its stored value '{key}' is damaged")
    return "", damaged
