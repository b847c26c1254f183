"""Inserting rows: one, a few, or many in blocks, by a statement for one row."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain

BLOCK_SIZES = (512, 128, 32, 8)  # rows a statement, where many are at hand

Rows = Sequence[Sequence[object]]


@cache
def times(insert: str, count: int) -> str:
    """Let the one row of an insert be `count` rows."""
    head, values, row = insert.partition("\nVALUES ")
    assert row.startswith("(")
    assert row.endswith(")")
    return head + values + ", ".join([row] * count)


def insert_each(cursor: sqlite3.Cursor, insert: str, rows: Rows) -> None:
    """Insert rows one by one; most ticks have one, or none."""
    if len(rows) == 1:
        cursor.execute(insert, rows[0])
    elif rows:
        cursor.executemany(insert, rows)


def insert_many(cursor: sqlite3.Cursor, insert: str, rows: Rows) -> None:
    """Insert rows, most of them in blocks.

    These take a fraction of the time: the driver lets go of the interpreter lock once a statement,
    not once a row.
    """
    done = 0
    for size in BLOCK_SIZES:
        while len(rows) - done >= size:
            block = rows[done : done + size]
            cursor.execute(times(insert, size), list(chain.from_iterable(block)))
            done += size
    insert_each(cursor, insert, rows[done:] if done else rows)
