"""A store in memory is a store like any other, but for its file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from store.connection import Database
from store.memory import memory_store

SCHEMA = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"


def schema_of(database: Database) -> list[tuple[str, str, str]]:
    """Give all that makes a store."""
    with database.read() as cursor:
        return cursor.execute(SCHEMA).fetchall()


def test_it_has_the_tables_of_a_file(database: Database, tmp_path: Path) -> None:
    """Tables, views and indices are those of a store that was just made; there is no file."""
    with closing(memory_store(tmp_path / "none.db")) as held:
        assert schema_of(held) == schema_of(database)
    assert not (tmp_path / "none.db").exists()


def test_each_is_alone(tmp_path: Path) -> None:
    """What is written into one is not in another; keys between tables are checked."""
    with closing(memory_store(tmp_path / "a.db")) as one, closing(memory_store(tmp_path)) as other:
        with one.write() as cursor:
            cursor.execute("CREATE TABLE here (x)")
            assert cursor.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert {row[1] for row in schema_of(one)} - {row[1] for row in schema_of(other)} == {"here"}
