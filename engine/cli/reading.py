"""The store as commands that only look open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.cli.console import say_lost, say_undelivered
from engine.garbage import load_for_good

if TYPE_CHECKING:
    from engine.ports import Paths
    from store.connection import Database
    from store.history import History


def load_reading() -> None:
    """Load for good all that it takes to read a store."""
    load_for_good("store.history", "sqlalchemy.dialects.sqlite")


@contextmanager
def reading(paths: Paths) -> Iterator[Database]:
    """Open the store read-only; what it has lost is said beside the result."""
    from store import losses
    from store.database import open_reader, path_of

    database = open_reader(path_of(paths.store_url))
    try:
        say_lost(losses.told(losses.of_store(database)))
        yield database
    finally:
        database.close()


@contextmanager
def reading_history(paths: Paths) -> Iterator[History]:
    """Look at the runs, read-only; alerts that wait are said beside the result."""
    from store.history import History

    with reading(paths) as database:
        history = History(database)
        yield history
        say_undelivered(history.undelivered())
