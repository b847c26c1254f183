"""Our own store, read through its public views, never written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

BUSY_S = 10


def notes(store_url: str, run: int, status: str) -> dict[str, str]:
    """Give the notes of the steps of a run that ended so, by step."""
    sql = "SELECT step, note FROM step_runs WHERE run_id = :run AND status = :status"
    found = ask(store_url, sql, run=run, status=status)
    return {row["step"]: row["note"] or "" for row in found}


def ask(store_url: str, sql: str, **values: Any) -> list[dict[str, Any]]:
    """Give the rows that a question finds; none where there is no store of ours."""
    path = store_path(store_url)
    if path is None or not path.exists():
        return []
    engine = open_read_only(path)
    try:
        with engine.connect() as connection:
            return rows(connection, sql, **values)
    finally:
        engine.dispose()


def store_path(store_url: str) -> Path | None:
    """Give the file of an SQLite URL, or None for any other store.

    The engine takes what follows `sqlite:///` as it stands: nothing in it is decoded.
    """
    scheme, separator, rest = store_url.partition(":///")
    place = rest.partition("?")[0]
    if not separator or scheme != "sqlite" or place in {"", ":memory:"}:
        return None
    return Path(place)


def open_read_only(path: Path) -> Engine:
    """Open an SQLite file so that nothing can be written to it."""
    from sqlalchemy import URL, create_engine
    from sqlalchemy.pool import NullPool

    place = "file:" + quote(str(path.absolute()))
    url = URL.create("sqlite", database=place, query={"mode": "ro", "uri": "true"})
    return create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": BUSY_S}
    )


def rows(connection: Connection, sql: str, **values: Any) -> list[dict[str, Any]]:
    """Give the rows that a question finds, as dicts."""
    from sqlalchemy import text

    return [dict(row) for row in connection.execute(text(sql), values).mappings()]


def stamp(moment: datetime) -> str:
    """Give a moment as the store writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
