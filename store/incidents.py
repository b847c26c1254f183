"""Incidents: opened, counted, reminded of and closed in the transaction that ends a run."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from engine.alert import AlertKind, Telling
from engine.incident import fingerprint, told
from engine.model import RunStatus
from engine.records import record
from store.queued import Queued, put
from store.threads import APART_MAX

DIGEST_OVER = 10  # incidents to tell of at once; of more one message tells
SHOWN_MAX = 60  # of a digest's incidents; it names all of them by number

_OPEN = """SELECT id, step, fingerprint, error, opened_at, opened_run, failures,
 coalesce(reminded_at, 0) FROM incident_rows
 WHERE workflow = ? AND closed_at IS NULL ORDER BY id"""
_FAILED = """SELECT d.name, coalesce(nullif(a.error, ''), s.note)
 FROM step_rows s JOIN definition_steps d ON d.definition_id = ?2 AND d.position = s.position
 LEFT JOIN attempt_rows a ON a.run_id = s.run_id AND a.position = s.position
  AND a.number = (SELECT max(number) FROM attempt_rows
                  WHERE run_id = s.run_id AND position = s.position)
 WHERE s.run_id = ?1 AND s.status = 'failed' ORDER BY s.seq"""
# Whether a step was run and ended well: one that was reused or skipped has no attempt. CROSS JOIN:
# else SQLite may go through all attempts of the run for each step.
_IS_OK = """SELECT 1 FROM definition_steps d
 CROSS JOIN attempt_rows a ON a.run_id = ?1 AND a.position = d.position AND a.outcome = 'ok'
 LEFT JOIN step_rows s ON s.run_id = ?1 AND s.position = d.position
 WHERE d.definition_id = ?2 AND d.name = ?3 AND coalesce(s.status, 'ok') = 'ok'"""
_IS_THERE = "SELECT 1 FROM definition_steps WHERE definition_id = ? AND name = ?"
# A digest tells of many, which have no alert of their own then. Failures only become more.
_TOLD = """SELECT incident_id, max(json_extract(facts, '$.failures')) FROM alert_rows
 WHERE incident_id IN (SELECT value FROM json_each(?1)) AND kind IN ('opened', 'reminder')
  AND json_valid(facts) GROUP BY incident_id
 UNION ALL SELECT cast(told.key AS INTEGER), max(told.value) FROM alert_rows AS a
 JOIN json_each(a.facts, '$.failures') AS told
 WHERE a.kind = 'digest' AND a.created_at >= ?2 AND json_valid(a.facts)
 GROUP BY told.key"""
_OPENED = """INSERT INTO incident_rows (workflow, step, fingerprint, error, opened_at, opened_run,
 last_at, last_run, failures, thread, reminded_at)
 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5, ?6, 1, '{}', ?7)"""
_FAILED_AGAIN = """UPDATE incident_rows SET failures = failures + 1, last_at = ?, last_run = ?
 WHERE id = ?"""
_REMINDED = "UPDATE incident_rows SET reminded_at = ? WHERE id = ?"
_CLOSED = "UPDATE incident_rows SET closed_at = ?, closed_run = ? WHERE id = ?"


@record
class _Run:
    id: int
    workflow: str
    status: str
    note: str
    is_bound: bool
    backfill: int | None
    definition: int | None
    at_us: int


@record
class _Open:
    id: int
    step: str
    fingerprint: str
    error: str
    opened_at: int
    opened_run: int
    failures: int
    told_at: int


_Message = tuple[AlertKind, dict[str, Any]]


def settle(
    cursor: sqlite3.Cursor, run_id: int, at_us: int, telling: Telling, *, crashed: bool = False
) -> bool:
    """Take a run that has just ended into its workflow's incidents; whether it closed one.

    Each failed step has an incident by its error, until the step is run again and is ok. A run
    that `crashed`, or failed without a failed step, has one of no step, until a whole run is ok;
    so has a backfill, whose runs have none.
    """
    run = _run(cursor, run_id, at_us)
    if run.backfill not in (None, run_id):
        return False
    there = [_Open(*row) for row in cursor.execute(_OPEN, (run.workflow,)).fetchall()]
    failed = list(_failures(cursor, run, crashed=crashed))
    messages = [*_fail(cursor, run, there, failed, telling)]
    closed = [*_close(cursor, run, there)]
    _queue(cursor, run, messages + closed, telling.channels)
    return bool(closed)


def _run(cursor: sqlite3.Cursor, run_id: int, at_us: int) -> _Run:
    sql = """SELECT id, workflow, status, note, only_steps <> '', backfill, definition_id
             FROM run_rows WHERE id = ?"""
    row = cursor.execute(sql, (run_id,)).fetchone()
    number, workflow, status, note, is_bound, backfill, definition = row
    return _Run(number, workflow, status, note, bool(is_bound), backfill, definition, at_us)


def _failures(cursor: sqlite3.Cursor, run: _Run, *, crashed: bool) -> Iterator[tuple[str, str]]:
    """Give what failed, by step, with its error."""
    rows: list[tuple[str, str]] = []
    if run.status != RunStatus.OK and run.definition is not None:
        rows = cursor.execute(_FAILED, (run.id, run.definition)).fetchall()
    is_bad = crashed or run.status == RunStatus.FAILED
    if run.backfill is not None:
        if is_bad:
            yield "", run.note if crashed or not rows else rows[0][1]
        return
    yield from rows
    if crashed or (is_bad and not rows):
        yield "", run.note


def _fail(
    cursor: sqlite3.Cursor,
    run: _Run,
    there: Sequence[_Open],
    failures: Iterable[tuple[str, str]],
    telling: Telling,
) -> Iterator[_Message]:
    known = {(incident.step, incident.fingerprint): incident for incident in there}
    before = cache(lambda: _told(cursor, there))  # of all: many may be reminded of at once
    for step, error in failures:
        mark = fingerprint(error)
        if (incident := known.get((step, mark))) is None:
            values = (run.workflow, step, mark, told(error), run.at_us, run.id)
            cursor.execute(_OPENED, (*values, run.at_us if telling.channels else None))
            number = cursor.lastrowid
            assert number is not None
            new = _Open(number, step, mark, told(error), run.at_us, run.id, 0, run.at_us)
            yield AlertKind.OPENED, _facts(run, new, 1)
            continue
        cursor.execute(_FAILED_AGAIN, (run.at_us, run.id, incident.id))
        if telling.channels and (kind := _due(run, incident, telling)) is not None:
            count = incident.failures + 1
            is_again = kind is AlertKind.REMINDER
            since = count - before().get(incident.id, count) if is_again else 0
            cursor.execute(_REMINDED, (run.at_us, incident.id))
            yield kind, _facts(run, incident, count, since=since)


def _due(run: _Run, incident: _Open, telling: Telling) -> AlertKind | None:
    """Give as what an incident that goes on is to be told: as new where it never was told of.

    That is one which was opened before there was a channel.
    """
    if not incident.told_at:
        return AlertKind.OPENED
    quiet_us = abs(run.at_us - incident.told_at)  # what a clock far ahead has told was not just now
    return AlertKind.REMINDER if quiet_us >= telling.quiet_us else None


def _told(cursor: sqlite3.Cursor, there: Sequence[_Open]) -> dict[int, int]:
    """Give how many failures of each incident its last message told of, where that is known."""
    numbers = json.dumps([incident.id for incident in there])
    since = min(incident.told_at for incident in there)
    found: dict[int, int] = {}
    for incident, failures in cursor.execute(_TOLD, (numbers, since)):
        if isinstance(failures, int):
            found[incident] = max(failures, found.get(incident, 0))
    return found


def _close(cursor: sqlite3.Cursor, run: _Run, there: Iterable[_Open]) -> Iterator[_Message]:
    is_whole = run.status == RunStatus.OK and not run.is_bound and run.definition is not None
    for incident in there:
        step = incident.step
        is_gone = bool(is_whole and step) and not _has(cursor, _IS_THERE, run.definition, step)
        if is_gone or (
            is_whole if not step else _has(cursor, _IS_OK, run.id, run.definition, step)
        ):
            cursor.execute(_CLOSED, (run.at_us, run.id, incident.id))
            told = {"gone": is_gone, "closed_run": run.id}
            yield AlertKind.CLOSED, _facts(run, incident, incident.failures, **told)


def close_all(cursor: sqlite3.Cursor, workflow: str, by: tuple[str, int], telling: Telling) -> None:
    """Close what is open of a workflow at a time, by the last run of another that went well."""
    there = [_Open(*row) for row in cursor.execute(_OPEN, (workflow,)).fetchall()]
    sql = "SELECT max(id) FROM run_rows WHERE workflow = ? AND status = 'ok'"
    (run_id,) = cursor.execute(sql, (by[0],)).fetchone()
    if there and run_id is not None:
        run = replace(_run(cursor, run_id, by[1]), workflow=workflow)
        closed = [(each, _facts(run, each, each.failures)) for each in there]
        for incident, _ in closed:
            cursor.execute(_CLOSED, (run.at_us, run.id, incident.id))
        _queue(cursor, run, [(AlertKind.CLOSED, facts) for _, facts in closed], telling.channels)


def _has(cursor: sqlite3.Cursor, sql: str, *values: object) -> bool:
    return cursor.execute(sql, values).fetchone() is not None


def _facts(run: _Run, incident: _Open, failures: int, **more: object) -> dict[str, Any]:
    """Give what is told of an incident as it stands with this run."""
    opened = datetime.fromtimestamp(incident.opened_at // 1_000_000, UTC)
    return {
        "incident": incident.id,
        "workflow": run.workflow,
        "step": incident.step,
        "error": incident.error,
        "opened": f"{opened:%Y-%m-%dT%H:%M:%SZ}",
        "opened_run": incident.opened_run,
        "failures": failures,
        "lasted_s": max(run.at_us - incident.opened_at, 0) / 1e6,
        **{name: value for name, value in more.items() if value},
    }


# -- alerts ---------------------------------------------------------------------------------------


def _queue(
    cursor: sqlite3.Cursor, run: _Run, messages: Sequence[_Message], channels: Iterable[str]
) -> None:
    if not messages:
        return
    if len(messages) > DIGEST_OVER:
        digest = _digest(messages)
        if "closed" not in digest["counts"]:
            digest["report"] = True  # of the run tells more than a list of its incidents
        messages = [(AlertKind.DIGEST, digest)]
    for kind, facts in messages:
        put(cursor, _alert(run.id, run.at_us, kind, facts), channels)


def _alert(run_id: int | None, at_us: int, kind: AlertKind, facts: dict[str, Any]) -> Queued:
    workflow = facts["workflow"] if run_id is None else ""
    return Queued(kind, facts, at_us, workflow, run_id, facts.get("incident"))


def _digest(messages: Sequence[_Message]) -> dict[str, Any]:
    """Give what one message tells in the place of many, of which some may be such themselves."""
    workflows = {facts["workflow"] for _, facts in messages}
    counts: Counter[str] = Counter()
    ids: list[int] = []
    shown: list[dict[str, Any]] = []
    failures: dict[str, int] = {}
    for kind, facts in messages:
        is_digest = kind is AlertKind.DIGEST
        counts.update(facts["counts"] if is_digest else [kind])
        ids += facts["ids"] if is_digest else [facts["incident"]]
        shown += facts["shown"] if is_digest else [facts | {"kind": kind}]
        failures |= facts.get("failures", {}) if is_digest else {str(ids[-1]): facts["failures"]}
    return {
        "workflow": workflows.pop() if len(workflows) == 1 else "",
        "counts": dict(counts),
        "ids": list(dict.fromkeys(ids)),
        "shown": _worst_first(shown),
        "failures": failures,
    }


def _worst_first(shown: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give those that a list shows; of what is over so many as have first messages to change."""
    opened, goes_on, closed = (
        [each for each in shown if each["kind"] == kind]
        for kind in (AlertKind.OPENED, AlertKind.REMINDER, AlertKind.CLOSED)
    )
    found = (opened + goes_on)[: SHOWN_MAX - min(len(closed), APART_MAX)]
    return found + closed[: SHOWN_MAX - len(found)]


# A digest tells of many, and folds, too: of a long outage there is one in the end.
_COUNT = """CASE WHEN NOT json_valid(facts) THEN 0
 WHEN kind = 'digest' THEN json_array_length(facts, '$.ids') ELSE 1 END"""
_FOLDED = f"""status = 'pending' AND kind IN ('opened', 'reminder', 'closed', 'digest')
 AND {_COUNT} > 0"""


def fold(cursor: sqlite3.Cursor, channel: str) -> None:
    """Put one digest in the place of a channel's messages, if they tell of too many incidents.

    Only of those that nobody has claimed: what may have been sent is told as it was.
    """
    if channel not in too_many(cursor):
        return
    rows = cursor.execute(
        f"SELECT id, run_id, created_at, tries, kind, facts FROM alert_rows WHERE {_FOLDED}"
        " AND channel = ? ORDER BY id",
        (channel,),
    ).fetchall()
    cursor.executemany("DELETE FROM alert_rows WHERE id = ?", [(row[0],) for row in rows])
    messages = [(AlertKind(kind), json.loads(facts)) for *_, kind, facts in rows]
    _, run_id, at_us, *_ = rows[-1]
    tries = min(row[3] for row in rows)
    digest = _alert(run_id, at_us, AlertKind.DIGEST, _digest(messages))
    put(cursor, replace(digest, tries=tries), [channel])


def too_many(cursor: sqlite3.Cursor) -> list[str]:
    """Name the channels that have several messages to send which tell of too many incidents."""
    rows = cursor.execute(
        f"SELECT channel FROM alert_rows WHERE {_FOLDED} GROUP BY channel"
        f" HAVING count(*) > 1 AND sum({_COUNT}) > {DIGEST_OVER} ORDER BY channel"
    )
    return [channel for (channel,) in rows.fetchall()]
