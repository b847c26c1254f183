"""Stores to test on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.connection import Database
from store.database import open_writer
from store.history import History


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the place of a store that is not there yet, in a folder that is not either."""
    return tmp_path / "home" / "runs.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """Give a new store, open for writing."""
    opened = open_writer(path)
    yield opened
    opened.close()


@pytest.fixture
def history(database: Database) -> History:
    """Give the read side of the new store."""
    return History(database)
