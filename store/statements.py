"""The write side's statements: Core, compiled once to SQL text for the DBAPI connection.

Each guarded update names the state it leaves; the caller checks how many rows it changed.
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


@cache
def begin_attempt() -> str:
    """(run, position, number, started_at)."""
    return _insert(t.attempt_rows, "run_id", "position", "number", "started_at")


@cache
def record_start() -> str:
    """(started_at, run, position, number), leaves a live attempt."""
    a = t.attempt_rows.c
    return _text(
        update(t.attempt_rows)
        .values(started_at=bindparam("s"))
        .where(a.run_id == bindparam("r"), a.position == bindparam("p"))
        .where(a.number == bindparam("n"), a.outcome.is_(None))
    )


@cache
def end_attempt() -> str:
    """(started_at, finished_at, outcome, error, run, position, number), leaves a live attempt."""
    a = t.attempt_rows.c
    return _text(
        update(t.attempt_rows)
        .values(
            started_at=bindparam("s"),
            finished_at=bindparam("f"),
            outcome=bindparam("o"),
            error=bindparam("e"),
        )
        .where(a.run_id == bindparam("r"), a.position == bindparam("p"))
        .where(a.number == bindparam("n"), a.outcome.is_(None))
    )


@cache
def back_off() -> str:
    """(retry_at, run, position, number), leaves an ended attempt."""
    a = t.attempt_rows.c
    return _text(
        update(t.attempt_rows)
        .values(retry_at=bindparam("t"))
        .where(a.run_id == bindparam("r"), a.position == bindparam("p"))
        .where(a.number == bindparam("n"), a.outcome.is_not(None))
    )


@cache
def end_step() -> str:
    """(run, position, status, ended_at, note, source_run); a second end breaks the primary key."""
    return _insert(t.step_rows, "run_id", "position", "status", "ended_at", "note", "source_run")


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


@cache
def end_run() -> str:
    """(status, finished_at, note, run), leaves a running run."""
    r = t.run_rows.c
    return _text(
        update(t.run_rows)
        .values(status=bindparam("s"), finished_at=bindparam("f"), note=bindparam("n"))
        .where(r.id == bindparam("r"), r.status == literal_column("'running'"))
    )


@cache
def queue_alert() -> str:
    """(run, channel, status, created_at, tries, error)."""
    names = ("run_id", "channel", "status", "created_at", "tries", "error")
    return _insert(t.alert_rows, *names)


@cache
def carry() -> str:
    """(run, position, used, retry_at, key_run, lost)."""
    return _insert(t.carried_rows, "run_id", "position", "used", "retry_at", "key_run", "lost")


@cache
def define() -> str:
    """(sha256, workflow)."""
    return _insert(t.definition_rows, "sha256", "workflow")


@cache
def define_step() -> str:
    """(definition, position, name, fingerprint, parts, upstreams)."""
    names = ("definition_id", "position", "name", "fingerprint", "parts", "upstreams")
    return _insert(t.definition_steps, *names)


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
)


@cache
def begin_run() -> str:
    """The values of `RUN_COLUMNS`, in order."""
    return _insert(t.run_rows, *RUN_COLUMNS)
