"""The write side's statements as Core, whose text is kept in `store.prepared`.

To make it again: `python -m store.statements > store/prepared.py`. A run of a few steps would
spend 10 ms on making the tables and compiling these. Each guarded update names the state it
leaves; the caller checks how many rows it changed.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from typing import Any

from sqlalchemy import Table, bindparam, insert, literal_column, update
from sqlalchemy.dialects import sqlite

from store import tables as t
from store.new_run import TALLIED
from store.tick import COUNTERS


def _insert(table: Table, *columns: str) -> Any:
    return insert(table).values({name: bindparam(name) for name in columns})


def end_attempt() -> Any:
    """(run, position, number, started_at, finished_at, outcome, retry_at, error, claimed, seq)."""
    names = ("run_id", "position", "number", "started_at", "finished_at", "outcome", "retry_at")
    return _insert(t.attempt_rows, *names, "error", "claimed_seq", "ended_seq")


def end_attempt_well() -> Any:
    """(run, position, number, started_at, finished_at, claimed, seq), of one that was ok."""
    names = ("run_id", "position", "number", "started_at", "finished_at")
    counters = ("claimed_seq", "ended_seq")
    row: dict[str, Any] = {name: bindparam(name) for name in (*names, *counters)}
    return insert(t.attempt_rows).values(row | {"outcome": literal_column("'ok'")})


def end_step() -> Any:
    """(run, position, status, ended_at, note, source_run, seq); a second end breaks the key."""
    names = ("run_id", "position", "status", "ended_at", "note", "source_run", "seq")
    return _insert(t.step_rows, *names)


def write_output() -> Any:
    """(run, position, key, codec, sha256, data)."""
    return _insert(t.output_rows, "run_id", "position", "key", "codec", "sha256", "data")


def write_file() -> Any:
    """(run, position, target, temporary, sha256, size, published)."""
    names = ("run_id", "position", "target", "temporary", "sha256", "size", "published")
    return _insert(t.file_rows, *names)


def published() -> Any:
    """(run, position), leaves unpublished files."""
    f = t.file_rows.c
    return (
        update(t.file_rows)
        .values(published=literal_column("1"))
        .where(
            f.run_id == bindparam("r"),
            f.position == bindparam("p"),
            f.published == literal_column("0"),
        )
    )


def record_tick() -> Any:
    """(events, `COUNTERS`…, live, run, events before), of a run that nobody else has written of."""
    r = t.run_rows.c
    names = ("events", *COUNTERS, "live")
    return (
        update(t.run_rows)
        .values({name: bindparam(f"new_{name}") for name in names})
        .where(r.id == bindparam("r"), r.status == literal_column("'running'"))
        .where(r.events == bindparam("b"))
    )


def end_run() -> Any:
    """(status, finished_at, note, events, run), leaves a running run."""
    r = t.run_rows.c
    ended: dict[str, Any] = {
        "status": bindparam("s"),
        "finished_at": bindparam("f"),
        "note": bindparam("n"),
    }
    return (
        update(t.run_rows)
        .values({**ended, "events": bindparam("e"), "live": literal_column("'[]'")})
        .where(r.id == bindparam("r"), r.status == literal_column("'running'"))
    )


def queue_alert() -> Any:
    """(run, channel, status, created_at, tries, error)."""
    names = ("run_id", "channel", "status", "created_at", "tries", "error")
    return _insert(t.alert_rows, *names)


def decide() -> Any:
    """(run, position, seq, what, facts)."""
    return _insert(t.decision_rows, "run_id", "position", "seq", "what", "facts")


def carry() -> Any:
    """(run, position, used, retry_at, key_run, lost, why)."""
    names = ("run_id", "position", "used", "retry_at", "key_run", "lost", "why")
    return _insert(t.carried_rows, *names)


def define() -> Any:
    """(sha256, workflow)."""
    return _insert(t.definition_rows, "sha256", "workflow")


def define_step() -> Any:
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
    "events",
    "only_steps",
    "backfill",
    "steps",
    *TALLIED,
    "reason",
    "choices",
    "environment_id",
    "slot",
    "zone",
    "limits",
)


def begin_run() -> Any:
    """The values of `RUN_COLUMNS`, in order."""
    return _insert(t.run_rows, *RUN_COLUMNS)


STATEMENTS: tuple[Callable[[], Any], ...] = (
    end_attempt,
    end_attempt_well,
    end_step,
    write_output,
    write_file,
    published,
    record_tick,
    end_run,
    queue_alert,
    decide,
    carry,
    define,
    define_step,
    begin_run,
)

_HEAD = '''"""The write side's statements as text: change `store.statements`, then make this again.

`python -m store.statements > store/prepared.py`
"""

from __future__ import annotations
'''


def prepared() -> str:
    """Give the module that has each statement's text, and its doc."""
    dialect = sqlite.dialect(paramstyle="qmark")
    parts = [_HEAD]
    for statement in STATEMENTS:
        text = " ".join(str(statement().compile(dialect=dialect)).split())
        doc = f'"""{statement.__doc__}"""'
        parts.append(f"{statement.__name__.upper()} = {_literal(text)}\n{doc}\n")
    return "\n".join(parts)


def _literal(text: str) -> str:
    """Write a statement on as many lines as it takes; the values of an insert begin one."""
    head, values, row = text.partition(" VALUES ")
    lines = textwrap.wrap(head, 98, break_on_hyphens=False)
    lines += textwrap.wrap(f"VALUES {row}", 98) if values else []
    return '"""' + "\n".join(["", *lines]) + '"""'


if __name__ == "__main__":
    sys.stdout.write(prepared())
