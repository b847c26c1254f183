"""Moments at which a workflow was due: each is decided on once, whatever looks for it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import SlotTaken
from engine.records import record
from store.connection import Database
from store.new_run import NewRun


@record
class Known:
    """A workflow's schedule as it was noted last, and the newest slot decided on that is past.

    `noted_at` is since when it has been that one; slots before were not promised by it. One that is
    not past is the `furthest` if the clock was set back.
    """

    calendar: str
    zone: str
    noted_at: int
    newest: int | None
    furthest: int | None
    facts: Mapping[str, Any]


# What was passed over by a clock that was ahead by more than this was not due.
AHEAD_US = 3_600_000_000
IS_SOUND = f"(run_id IS NOT NULL OR decided_at <= ?2 + {AHEAD_US})"


def claim(cursor: sqlite3.Cursor, run: NewRun, run_id: int) -> None:
    """Give a run its slot, within the transaction that records it; a continued one has it already.

    Raises `SlotTaken` if something was decided about that slot before.
    """
    if run.slot is None or run.resumed_from is not None:
        return
    sql = (
        "INSERT INTO slot_rows (workflow, slot, decided_at, run_id, reason) VALUES (?, ?, ?, ?, '')"
    )
    try:
        cursor.execute(sql, (run.workflow, run.slot, run.started_at, run_id))
    except sqlite3.IntegrityError:
        raise SlotTaken(f"a slot of '{run.workflow}' is taken") from None


def check_free(database: Database, workflow: str, slot: int) -> None:
    """Raise `SlotTaken` if something was decided about a slot."""
    if decided(database, workflow, slot) is not None:
        raise SlotTaken(f"a slot of '{workflow}' is taken")


def pass_over(
    cursor: sqlite3.Cursor, workflow: str, slots: Iterable[tuple[int, str]], at_us: int
) -> None:
    """Record why there is no run for slots; about those decided on before nothing is changed."""
    cursor.executemany(
        """INSERT INTO slot_rows (workflow, slot, decided_at, run_id, reason)
           VALUES (?, ?, ?, NULL, ?) ON CONFLICT DO NOTHING""",
        [(workflow, slot, at_us, reason) for slot, reason in slots],
    )


def take_back(cursor: sqlite3.Cursor, workflow: str, now_us: int, after: int) -> None:
    """Forget of slots after one that a clock which was ahead has passed them over."""
    cursor.execute(
        f"DELETE FROM slot_rows WHERE workflow = ?1 AND slot > ?3 AND NOT {IS_SOUND}",
        (workflow, now_us, after),
    )


def known(cursor: sqlite3.Cursor, workflow: str, now_us: int) -> Known | None:
    """Give what is known of a workflow's schedule, if anything is."""
    row = cursor.execute(
        f"""SELECT calendar, zone, noted_at,
                  (SELECT max(slot) FROM slot_rows
                   WHERE workflow = ?1 AND slot <= ?2 AND {IS_SOUND}),
                  (SELECT max(slot) FROM slot_rows WHERE workflow = ?1), facts
           FROM schedule_rows WHERE workflow = ?1""",
        (workflow, now_us),
    ).fetchone()
    if row is None:
        return None
    calendar, zone, noted_at, newest, furthest, facts = row
    return Known(calendar, zone, noted_at, newest, furthest, json.loads(facts))


def note(
    cursor: sqlite3.Cursor,
    workflow: str,
    schedule: tuple[str, str],
    facts: Mapping[str, Any],
    at_us: int,
) -> None:
    """Note a workflow's schedule, calendar and zone; `noted_at` stays while these are the same.

    One to come, from a clock that was ahead, does not.
    """
    cursor.execute(
        """INSERT INTO schedule_rows (workflow, calendar, zone, noted_at, facts)
           VALUES (?1, ?2, ?3, ?4, ?5)
           ON CONFLICT (workflow) DO UPDATE SET calendar = ?2, zone = ?3, facts = ?5,
             noted_at = CASE WHEN (calendar, zone) = (?2, ?3) THEN min(noted_at, ?4) ELSE ?4 END
           WHERE (calendar, zone, facts) IS NOT (?2, ?3, ?5) OR noted_at > ?4""",
        (workflow, *schedule, at_us, json.dumps(facts, sort_keys=True)),
    )


def forget(cursor: sqlite3.Cursor, workflow: str) -> bool:
    """Forget a workflow's schedule: no slot of it is waited for any more; whether it was known."""
    cursor.execute("DELETE FROM schedule_rows WHERE workflow = ?", (workflow,))
    return cursor.rowcount > 0


def decided(database: Database, workflow: str, slot: int) -> tuple[int | None, str] | None:
    """Give the run that a slot has, or else why it has none; nothing if it is not decided."""
    sql = "SELECT run_id, reason FROM slot_rows WHERE workflow = ? AND slot = ?"
    with database.read() as cursor:
        row = cursor.execute(sql, (workflow, slot)).fetchone()
    return None if row is None else (row[0], str(row[1]))


def workflows(cursor: sqlite3.Cursor) -> list[str]:
    """Every workflow that has a slot, by name; one look at the key for each."""
    found: list[str] = []
    sql = "SELECT min(workflow) FROM slot_rows WHERE workflow > ?"
    while (name := cursor.execute(sql, (found[-1] if found else "",)).fetchone()[0]) is not None:
        found.append(name)
    return found


ROWS_MAX = 1_000  # in one transaction
_OLD = """FROM slot_rows AS s WHERE workflow = ?1 AND slot < ?2
  AND slot < (SELECT max(slot) FROM slot_rows WHERE workflow = ?1 AND slot <= ?3)
  AND NOT EXISTS (SELECT 1 FROM run_rows WHERE id = s.run_id)"""


def let_go(database: Database, workflow: str, before_us: int, now_us: int) -> bool:
    """Let go of old slots whose runs are gone or never were; of 1,000 at most.

    The newest that is not to come tells what is due: a clock that was ahead may have left later
    ones. Gives whether there may be more.
    """
    which = (workflow, before_us, now_us)
    with database.read() as cursor:
        if cursor.execute(f"SELECT 1 {_OLD} LIMIT 1", which).fetchone() is None:
            return False
    chosen = f"SELECT slot {_OLD} LIMIT {ROWS_MAX}"
    with database.write() as cursor:
        sql = f"DELETE FROM slot_rows WHERE workflow = ?1 AND slot IN ({chosen})"
        return cursor.execute(sql, which).rowcount == ROWS_MAX
