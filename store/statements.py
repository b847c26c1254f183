"""The write side's statements: Core, compiled once to SQL text for the DBAPI connection.

Each guarded update names the state it leaves; the caller checks how many rows it changed. The
statements of the hot path come in two forms: for one row, and for blocks of rows, which take a
fraction of the time (the driver lets go of the interpreter lock once a statement, not once a row).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    Table,
    bindparam,
    column,
    exists,
    insert,
    literal_column,
    select,
    update,
    values,
)
from sqlalchemy.dialects import sqlite

from store import tables as t

_DIALECT = sqlite.dialect(paramstyle="qmark")


def _text(statement: Any) -> str:
    return str(statement.compile(dialect=_DIALECT))


def _insert(table: Table, *columns: str) -> str:
    return _text(insert(table).values({name: bindparam(name) for name in columns}))


def _block(columns: tuple[str, ...]) -> CTE:
    """One row of bound values, as a table `v`; `_times` makes it many."""
    typed: list[Any] = [column(name) for name in columns]
    row: tuple[Any, ...] = tuple(bindparam(name) for name in columns)
    return values(*typed, name="v").data([row]).cte("v")


def _times(text: str, width: int, count: int) -> str:
    """Let the statement's one row of `width` values be `count` rows."""
    row = f"({', '.join('?' * width)})"
    assert text.count(row) == 1
    return text.replace(row, ", ".join([row] * count))


def _exactly(cte: CTE, name: str) -> Any:
    """A value of the block as an expression, so that no plan can loop over the table first."""
    return cte.c[name] + literal_column("0")


@cache
def begin_attempt() -> str:
    """(run, position, number, started_at, seq, run, position), leaves a step that has not ended."""
    names = ("run_id", "position", "number", "started_at", "claimed_seq")
    s = t.step_rows.c
    ended = exists().where(s.run_id == bindparam("r"), s.position == bindparam("p"))
    row: Any = select(*(bindparam(name) for name in names)).where(~ended)
    return _text(insert(t.attempt_rows).from_select(names, row))


@cache
def begin_attempts(count: int) -> str:
    """As `begin_attempt`, for `count` rows."""
    v = _block(("r", "p", "n", "s", "e", "r2", "p2"))
    s = t.step_rows.c
    ended = exists().where(s.run_id == _exactly(v, "r2"), s.position == _exactly(v, "p2"))
    names = ("run_id", "position", "number", "started_at", "claimed_seq")
    row: Any = select(v.c.r, v.c.p, v.c.n, v.c.s, v.c.e).where(~ended)
    return _times(_text(insert(t.attempt_rows).from_select(names, row)), 7, count)


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
    """(started_at, finished_at, outcome, error, seq, run, position, number), leaves a live one."""
    a = t.attempt_rows.c
    return _text(
        update(t.attempt_rows)
        .values(
            started_at=bindparam("s"),
            finished_at=bindparam("f"),
            outcome=bindparam("o"),
            error=bindparam("e"),
            ended_seq=bindparam("q"),
        )
        .where(a.run_id == bindparam("r"), a.position == bindparam("p"))
        .where(a.number == bindparam("n"), a.outcome.is_(None))
    )


@cache
def end_attempts(count: int) -> str:
    """As `end_attempt`, for `count` rows."""
    v = _block(("s", "f", "o", "e", "q", "r", "p", "n"))
    a = t.attempt_rows.c
    statement = (
        update(t.attempt_rows)
        .values(started_at=v.c.s, finished_at=v.c.f, outcome=v.c.o, error=v.c.e, ended_seq=v.c.q)
        .where(a.run_id == _exactly(v, "r"), a.position == _exactly(v, "p"))
        .where(a.number == _exactly(v, "n"), a.outcome.is_(None))
    )
    return _times(_text(statement), 8, count)


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
    """(run, position, status, ended_at, note, source_run, seq); a second end breaks the key."""
    names = ("run_id", "position", "status", "ended_at", "note", "source_run", "seq")
    return _insert(t.step_rows, *names)


@cache
def end_steps(count: int) -> str:
    """As `end_step`, for `count` rows."""
    return _times(end_step(), 7, count)


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
def count_events() -> str:
    """(events, run, events before), leaves a running run of which nobody else has written."""
    r = t.run_rows.c
    return _text(
        update(t.run_rows)
        .values(events=bindparam("e"))
        .where(r.id == bindparam("r"), r.status == literal_column("'running'"))
        .where(r.events == bindparam("b"))
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
    return _times(define_step(), 6, count)


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
)


@cache
def begin_run() -> str:
    """The values of `RUN_COLUMNS`, in order."""
    return _insert(t.run_rows, *RUN_COLUMNS)
