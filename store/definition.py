"""A workflow's steps as they were when it ran: recorded once for all runs that had the same."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence

from store import statements
from store.new_run import NewStep

_BLOCK = 128  # rows a statement


def define(cursor: sqlite3.Cursor, workflow: str, steps: Sequence[NewStep]) -> int:
    """Give the id of these steps as a definition, recording it if no earlier run had the same."""
    digest = hashlib.sha256(workflow.encode())
    rows = []
    encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
    for position, step in enumerate(steps):
        upstreams = f"[{','.join(map(str, step.upstreams))}]"
        rows.append((position, step.name, step.fingerprint, encode(step.parts), upstreams))
        digest.update(f"\0{step.name}\0{step.fingerprint}\0{upstreams}".encode())
    sha256 = digest.hexdigest()
    found = cursor.execute("SELECT id FROM definition_rows WHERE sha256 = ?", (sha256,)).fetchone()
    if found:
        return int(found[0])
    cursor.execute(statements.define(), (sha256, workflow))
    definition = cursor.lastrowid
    assert definition is not None
    defined: list[tuple[object, ...]] = [(definition, *row) for row in rows]
    whole = len(defined) - len(defined) % _BLOCK
    for at in range(0, whole, _BLOCK):
        block = defined[at : at + _BLOCK]
        cursor.execute(statements.define_steps(_BLOCK), [value for row in block for value in row])
    cursor.executemany(statements.define_step(), defined[whole:])
    return definition
