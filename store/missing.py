"""Scheduled runs that never came: slots that are past and have no row, each told of once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.alert import AlertKind
from engine.records import record
from store import locks
from store.queued import Queued, put
from store.slots import AHEAD_US

if TYPE_CHECKING:
    from store.connection import Database


@record
class Waited:
    """A workflow whose slots after `since` are waited for, by the schedule noted last.

    Since when is not known, and 0, if that was noted by a clock that was ahead.
    """

    workflow: str
    calendar: str
    zone: str
    since: int


_WAITED = f"""
SELECT workflow, calendar, zone,
       max(noted, newest, coalesce((
           SELECT finished_at FROM run_rows WHERE workflow = s.workflow AND status = 'failed'
             AND pruned_at IS NULL AND finished_at > newest AND finished_at <= ?1
             AND slot IS NULL AND started_by = 'timer' ORDER BY finished_at DESC LIMIT 1), 0))
FROM (SELECT workflow, calendar, zone, iif(noted_at <= ?1, noted_at, 0) AS noted,
             coalesce((SELECT max(slot) FROM slot_rows
                       WHERE workflow = schedule_rows.workflow AND slot <= ?1
                         AND (run_id IS NOT NULL OR decided_at <= ?1 + {AHEAD_US})), 0) AS newest
      FROM schedule_rows) AS s
WHERE NOT EXISTS (SELECT 1 FROM pause_rows WHERE workflow = s.workflow AND ended_at IS NULL
                  AND coalesce(until, ?1 + 1) > ?1)
  AND NOT EXISTS (SELECT 1 FROM run_rows WHERE workflow = s.workflow AND slot IS NOT NULL
                  AND status IN ('ok', 'failed') AND pruned_at IS NULL
                  AND finished_at > ?2 AND finished_at <= ?1)
ORDER BY workflow"""
_ON = "SELECT workflow, id, owner FROM run_rows WHERE status = 'running'"
# Of a digest that took the place of many, or of an alert of its own.
_UNTIL = """CASE WHEN NOT json_valid(facts) THEN NULL
 WHEN kind = 'digest' THEN json_extract(facts, '$.told."' || ?1 || '"')
 ELSE json_extract(facts, '$.until') END"""
_IS_OF = f"""(kind = 'missing' AND workflow = ?1 OR kind = 'digest' AND {_UNTIL} IS NOT NULL)"""
_TOLD = f"SELECT max({_UNTIL}) FROM alert_rows WHERE {_IS_OF} AND {_UNTIL} <= ?2"

# Told of lately, with nothing decided and the schedule the same since then.
_IS_QUIET = f"""SELECT 1 FROM alert_rows AS a
WHERE {_IS_OF} AND created_at > ?2 AND created_at <= ?3
  AND NOT EXISTS (SELECT 1 FROM slot_rows WHERE workflow = ?1 AND decided_at > a.created_at)
  AND NOT EXISTS (SELECT 1 FROM schedule_rows WHERE workflow = ?1 AND noted_at > a.created_at)"""


def waited(cursor: sqlite3.Cursor, store: Path, now_us: int, ended_after_us: int) -> list[Waited]:
    """Give what is waited for: of no schedule that is paused, nor while a run is on.

    A run that is on may be catching up, or be what a slot waits for; one whose engine is dead does
    neither, recorded or not. After one of a slot that ended lately another may be about to begin.
    Nor of what was due as a timer's run failed that took no slot: of a file that cannot be loaded,
    slots that are all caught up stay due, and that they have no run is told by its failure.
    """
    found = [Waited(*row) for row in cursor.execute(_WAITED, (now_us, ended_after_us))]
    names = {one.workflow for one in found}
    recorded = cursor.execute(_ON).fetchall() if found else []
    on = {name for name, *run in recorded if name in names and locks.alive(store, *run)}
    return [one for one in found if one.workflow not in on]


def told_until(cursor: sqlite3.Cursor, workflow: str, now_us: int) -> int:
    """Give the newest slot of a workflow that was told of as missing; 0 if none was.

    What a clock that was ahead has told of counts again when it comes.
    """
    return int(cursor.execute(_TOLD, (workflow, now_us)).fetchone()[0] or 0)


def is_quiet(database: Database, workflow: str, after_us: int, now_us: int) -> bool:
    """Whether a workflow that goes on missing was told of later than `after_us`."""
    with database.read() as cursor:
        return cursor.execute(_IS_QUIET, (workflow, after_us, now_us)).fetchone() is not None


class Told(NamedTuple):
    """What is to be told of a workflow, of which slots up to `before` have been told."""

    workflow: str
    before: int
    facts: Mapping[str, Any]


def tell(
    database: Database,
    told: Told,
    channels: Iterable[str],
    at_us: int,
) -> bool:
    """Queue an alert; not if another process has just told of some of the slots: the rest waits."""
    workflow, before, facts = told
    with database.write() as cursor:
        if told_until(cursor, workflow, at_us) != before:
            return False
        put(cursor, Queued(AlertKind.MISSING, facts, at_us, workflow), channels)
    return True
