"""A workflow's steps as they were when it ran: recorded once for all runs that had the same."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from store import prepared
from store.blocks import BLOCK_SIZES, insert_many
from store.new_run import NewSteps


def define(cursor: sqlite3.Cursor, workflow: str, steps: NewSteps) -> int:
    """Give the id of these steps as a definition, recording it if no earlier run had the same."""
    sha256 = digest(workflow, steps)
    found = cursor.execute("SELECT id FROM definition_rows WHERE sha256 = ?", (sha256,)).fetchone()
    if found:
        return int(found[0])
    cursor.execute(prepared.DEFINE, (sha256, workflow))
    definition = cursor.lastrowid
    assert definition is not None
    rows = _rows(definition, steps)
    while block := list(islice(rows, BLOCK_SIZES[0])):
        insert_many(cursor, prepared.DEFINE_STEP, block)
    return definition


def digest(workflow: str, steps: NewSteps) -> str:
    """Give what is equal for equal steps only, and for the steps of equal definitions."""
    digest = hashlib.sha256(workflow.encode())
    for column in (steps.names, steps.fingerprints):
        digest.update(("\n" + "\0".join(column)).encode())
    digest.update(steps.upstreams.row.tobytes())
    digest.update(steps.upstreams.ends.tobytes())
    return digest.hexdigest()


def _rows(definition: int, steps: NewSteps) -> Iterator[tuple[object, ...]]:
    """Make the rows as they are taken: of a million steps no list is held.

    A step made as the one before it has no fingerprint and parts of its own there: most steps are,
    and these would be two thirds of the row. See `store.past`, which reads them.
    """
    encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
    encoded: dict[int, str] = {}  # by the parts' id: few of many steps are made each in its own way
    last_print, last_parts = "", None
    columns = zip(steps.names, steps.fingerprints, steps.parts, steps.upstreams, strict=True)
    for position, (name, fingerprint, parts, upstreams) in enumerate(columns):
        listed = _list_of(len(upstreams)) % upstreams if upstreams else "[]"
        if parts is last_parts and fingerprint == last_print:
            yield definition, position, name, "", "", listed
            continue
        last_print, last_parts = fingerprint, parts
        text = encoded.get(id(parts))
        if text is None:
            text = encoded[id(parts)] = encode(parts)
        yield definition, position, name, fingerprint, text, listed


@lru_cache(maxsize=64)
def _list_of(count: int) -> str:
    """Give the form of a JSON list of so many whole numbers."""
    return f"[{','.join(['%d'] * count)}]"
