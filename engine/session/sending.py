"""Alerts that go out while a run is on: by a thread of its own, which has its own connection.

There is one at a time, and it has ended before the run's own thread sends: what a process has
claimed is only another's to leave alone.
"""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING

from engine.session import alerting
from store.database import open_writer
from store.history import History

if TYPE_CHECKING:
    from engine.session.environment import Environment

ENDS_WITHIN_S = alerting.DELIVERY_S + 1.0  # a delivery has its own deadline

logger = logging.getLogger("engine.alerts")


class Sender:
    """Sends what is due each time that it is woken."""

    def __init__(self, store: Path, environment: Environment) -> None:
        """Send for the store in a file; nothing is begun yet."""
        self._store, self._env = store, environment
        self._lock = Lock()
        self._is_wanted = False
        self._thread: Thread | None = None

    def wake(self) -> None:
        """Send what is due by now, soon; waits for nothing."""
        with self._lock:
            self._is_wanted = True
            if self._thread is None:
                self._thread = Thread(target=self._send, name="alerts", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Wait until nothing is being sent any more."""
        with self._lock:
            thread, self._is_wanted = self._thread, False
        if thread is not None:
            thread.join(ENDS_WITHIN_S)

    def _send(self) -> None:
        while self._is_still_wanted():
            try:
                database = open_writer(self._store)
                try:
                    alerting.deliver_due(database, History(database), self._env, hint=False)
                finally:
                    database.close()
            except Exception as error:  # noqa: BLE001 - it fails no run; the run's end sends it
                logger.warning("an alert waits for the end of the run: %s", error)

    def _is_still_wanted(self) -> bool:
        with self._lock:
            wanted, self._is_wanted = self._is_wanted, False
            if not wanted:
                self._thread = None
            return wanted
