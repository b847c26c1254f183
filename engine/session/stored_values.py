"""Context values of earlier runs, read from the store by the threads that need them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from engine.produced import Encoded
from store import journal
from store.connection import Database
from store.database import open_reader
from store.history import History


class StoredValues:
    """Implements `engine.ports.Values`: where each step's values are kept, read when asked.

    It has a read-only connection of its own, used by one thread at a time: on the writing one a
    step's read and the run's commits would end each other's transactions.
    """

    def __init__(self, path: Path, names: Sequence[str], run_id: int) -> None:
        """Values are this run's, until `from_run` says otherwise."""
        self._path = path
        self._names = names
        self._run_id = run_id
        self._lock = threading.Lock()
        self._database: Database | None = None
        self.from_run: dict[int, int] = {}

    def load(self, step: int, key: str) -> Encoded:
        """Give a value as stored."""
        name = "" if step == journal.INITIAL else self._names[step]
        with self._lock:
            if self._database is None:
                self._database = open_reader(self._path)
            history = History(self._database)
            return history.load(self.from_run.get(step, self._run_id), name, key)

    def close(self) -> None:
        """Close the connection; a later read opens another."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None
