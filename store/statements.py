"""The write side's statements: Core, compiled once to SQL text for the DBAPI connection.

Each guarded update names the state it leaves; the caller checks how many rows it changed. The
statements of the hot path come in two forms: for one row, and for blocks of rows, which take a
fraction of the time (the driver lets go of the interpreter lock once a statement, not once a row).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, insert, literal_column, update
from sqlalchemy.dialects import sqlite

from store import tables as t

_DIALECT = sqlite.dialect(paramstyle="qmark")


def _text(statement: Any) -> str:
    return str(statement.compile(dialect=_DIALECT))


def _insert(table: Table, *columns: str) -> str:
    return _text(insert(table).values({name: bindparam(name) for name in columns}))


def _times(text: str, count: int) -> str:
    """Let the statement's one row of values be `count` rows."""
    head, values, row = text.partition(" VALUES ")
    assert row.startswith("(")
    assert row.endswith(")")
    return head + values + ", ".join([row] * count)


@cache
def end_attempt() -> str:
    """(run, position, number, started_at, finished_at, outcome, retry_at, error, claimed, seq)."""
    names = ("run_id", "position", "number", "started_at", "finished_at", "outcome", "retry_at")
    return _insert(t.attempt_rows, *names, "error", "claimed_seq", "ended_seq")


@cache
def end_attempt_well() -> str:
    """(run, position, number, started_at, finished_at, claimed, seq), of one that was ok."""
    names = ("run_id", "position", "number", "started_at", "finished_at")
    counters = ("claimed_seq", "ended_seq")
    row: dict[str, Any] = {name: bindparam(name) for name in (*names, *counters)}
    return _text(insert(t.attempt_rows).values(row | {"outcome": literal_column("'ok'")}))


@cache
def end_attempts_well(count: int) -> str:
    """As `end_attempt_well`, for `count` rows."""
    return _times(end_attempt_well(), count)


@cache
def end_step() -> str:
    """(run, position, status, ended_at, note, source_run, seq); a second end breaks the key."""
    names = ("run_id", "position", "status", "ended_at", "note", "source_run", "seq")
    return _insert(t.step_rows, *names)


@cache
def end_steps(count: int) -> str:
    """As `end_step`, for `count` rows."""
    return _times(end_step(), count)


@cache
def write_output() -> str:
    """(run, position, key, codec, sha256, data)."""
    return _insert(t.output_rows, "run_id", "position", "key", "codec", "sha256", "data")


@cache
def write_file() -> str:
    """(run, position, target, temporary, sha256, size, published)."""
    names = ("run_id", "position", "target", "temporary", "sha256", "size", "published")
    return _insert(t.file_rows, *names)


@cache
def published() -> str:
    """(run, position), leaves unpublished files."""
    f = t.file_rows.c
    return _text(
        update(t.file_rows)
        .values(published=literal_column("1"))
        .where(
            f.run_id == bindparam("r"),
            f.position == bindparam("p"),
            f.published == literal_column("0"),
        )
    )


COUNTERS = ("ok", "failed", "skipped", "attempts", "retries")


@cache
def record_tick() -> str:
    """(events, `COUNTERS`…, live, run, events before), of a run that nobody else has written of."""
    r = t.run_rows.c
    names = ("events", *COUNTERS, "live")
    return _text(
        update(t.run_rows)
        .values({name: bindparam(f"new_{name}") for name in names})
        .where(r.id == bindparam("r"), r.status == literal_column("'running'"))
        .where(r.events == bindparam("b"))
    )


@cache
def end_run() -> str:
    """(status, finished_at, note, events, run), leaves a running run."""
    r = t.run_rows.c
    ended: dict[str, Any] = {
        "status": bindparam("s"),
        "finished_at": bindparam("f"),
        "note": bindparam("n"),
    }
    return _text(
        update(t.run_rows)
        .values({**ended, "events": bindparam("e"), "live": literal_column("'[]'")})
        .where(r.id == bindparam("r"), r.status == literal_column("'running'"))
    )


@cache
def queue_alert() -> str:
    """(run, channel, status, created_at, tries, error)."""
    names = ("run_id", "channel", "status", "created_at", "tries", "error")
    return _insert(t.alert_rows, *names)


@cache
def carry() -> str:
    """(run, position, used, retry_at, key_run, lost, why)."""
    names = ("run_id", "position", "used", "retry_at", "key_run", "lost", "why")
    return _insert(t.carried_rows, *names)


@cache
def define() -> str:
    """(sha256, workflow)."""
    return _insert(t.definition_rows, "sha256", "workflow")


@cache
def define_step() -> str:
    """(definition, position, name, fingerprint, parts, upstreams)."""
    names = ("definition_id", "position", "name", "fingerprint", "parts", "upstreams")
    return _insert(t.definition_steps, *names)


@cache
def define_steps(count: int) -> str:
    """As `define_step`, for `count` rows."""
    return _times(define_step(), count)


TALLIED = ("ok", "failed", "skipped", "cached")  # of the steps that have ended as a run begins

RUN_COLUMNS = (
    "workflow",
    "status",
    "params",
    "context_sha256",
    "definition_id",
    "started_at",
    "finished_at",
    "resumed_from",
    "root_run",
    "started_by",
    "note",
    "user",
    "host",
    "owner",
    "workers",
    "events",
    "only_steps",
    "backfill",
    "steps",
    *TALLIED,
)


@cache
def begin_run() -> str:
    """The values of `RUN_COLUMNS`, in order."""
    return _insert(t.run_rows, *RUN_COLUMNS)
