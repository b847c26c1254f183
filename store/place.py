"""Where a store belongs: the machine and path it was made for. A copy is looked at, not written."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from engine.errors import StoreError

MACHINE_ID = Path("/etc/machine-id")
_ID = re.compile("[0-9a-f]{32}")


class Place(NamedTuple):
    """A machine, empty where it has no identity, and a path without links."""

    machine: str
    path: str


def here(path: Path) -> Place:
    """Give the place of a file on this machine."""
    try:
        machine = MACHINE_ID.read_text("utf-8").strip()
    except (OSError, ValueError):
        machine = ""
    if not _ID.fullmatch(machine):  # also while the machine starts for the first time
        machine = ""
    real = os.fsencode(os.path.realpath(path))
    return Place(machine, real.decode("utf-8", "backslashreplace"))


def recorded(cursor: sqlite3.Cursor) -> Place | None:
    """Give the place that a store names as its own; none where it was made before they did."""
    if not cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'place_rows'").fetchone():
        return None
    row = cursor.execute("SELECT machine, path FROM place_rows WHERE id = 1").fetchone()
    return Place(*row) if row else None


def record(cursor: sqlite3.Cursor, place: Place) -> None:
    """Let a store belong to a place."""
    cursor.execute(
        "INSERT INTO place_rows (id, machine, path) VALUES (1, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET machine = excluded.machine, path = excluded.path",
        place,
    )


def check(cursor: sqlite3.Cursor, path: Path) -> None:
    """Raise `StoreError` if the store at `path` belongs elsewhere: two would then go on as one."""
    own, place = recorded(cursor), here(path)
    if own is None:
        return
    where = []
    if own.path != place.path:
        where.append(f"at '{own.path}'")
    if own.machine and place.machine and own.machine != place.machine:
        where.append("on another machine")
    if where:
        real = "" if place.path == str(path) else f", which is '{place.path}',"
        raise StoreError(
            f"the store '{path}'{real} is a copy or was moved: it belongs {' '.join(where)}",
            hint=f"look at it with `history` and `show`; `{restoring(path)}` goes on with it here",
        )


def restoring(path: Path) -> str:
    """Give the command that lets a store go on with what it holds; by another it would be moved."""
    return f"db restore {quote(str(path))} --store {quote(f'sqlite:///{path}')}"
