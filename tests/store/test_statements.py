"""The write side's statements as Core, and their text that is kept."""

from __future__ import annotations

from pathlib import Path

from store import blocks, prepared, statements
from store.connection import Database


def test_the_texts_are_what_core_compiles() -> None:
    """`python -m store.statements > store/prepared.py` was run after the last change."""
    assert Path(prepared.__file__).read_text("utf-8") == statements.prepared()


def test_the_store_takes_each_statement(database: Database) -> None:
    """Each is one that SQLite compiles on the tables as they are, also for many rows."""
    for make in statements.STATEMENTS:
        text = getattr(prepared, make.__name__.upper())
        texts = [text, blocks.times(text, 3)] if "VALUES" in text else [text]
        for sql in texts:
            rows = database.raw.execute(f"EXPLAIN {sql}", [0] * sql.count("?")).fetchall()
            assert rows


def test_an_insert_of_many_rows() -> None:
    """The row stands there so many times."""
    text = "\nINSERT INTO t (a, b)\nVALUES (?, 'x')"
    assert blocks.times(text, 2) == f"{text}, (?, 'x')"
