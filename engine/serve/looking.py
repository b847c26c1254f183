"""A look at the store: opened for each, so that a store put in its place is seen at once.

Read-only, with a limit on its time. What keeps the store from being looked at is a page, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import AlreadyRunning, StoreBusy, StoreError
from store import locks, losses
from store.database import is_there, open_reader
from store.history import History
from store.trends import Trends

if TYPE_CHECKING:
    from engine.ports import Clock
    from store.connection import Database

LOOK_S = 5.0
BUSY_MS = 1_000
_STEPS_BETWEEN = 20_000  # of SQLite's machine: 0.2 ms


class Problem(Exception):
    """What there is to show in place of a page."""

    def __init__(self, status: int, title: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.title = title
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Look:
    """The store as one page sees it."""

    database: Database
    history: History
    trends: Trends

    def losses(self) -> tuple[str, str] | None:
        """Say what the store has lost, and what to do; None if it has lost nothing."""
        told = losses.told(losses.of_store(self.database))
        return (
            (f"The store has lost what was recorded: {told}", "See `db verify`.") if told else None
        )


def is_missing(path: Path) -> bool:
    """Whether there is no store yet, which is no fault of it."""
    try:
        return not is_there(path)
    except StoreError:
        return False


@contextmanager
def look(path: Path, clock: Clock) -> Iterator[Look]:
    """Look at the store. Raises `Problem` if that cannot be, or takes too long."""
    end = clock.now() + LOOK_S
    late = False

    def is_late() -> bool:
        nonlocal late
        late = clock.now() > end
        return late

    try:
        database = open_reader(path, busy_ms=BUSY_MS)
        try:
            database.raw.set_progress_handler(is_late, _STEPS_BETWEEN)
            yield Look(database, History(database), Trends(database))
        finally:
            database.raw.set_progress_handler(None, 0)
            database.close()
    except (StoreError, AlreadyRunning) as error:
        if late:
            raise Problem(
                503, "This takes too long", "the store was asked for more than fits into a page"
            ) from error
        raise _problem(path, error) from error


def _problem(path: Path, error: StoreError | AlreadyRunning) -> Problem:
    if is_missing(path):
        return Problem(404, "No store yet", error.message, error.hint)
    if locks.held(path, f"{locks.RESTORING}.lock"):
        return Problem(503, "The store is being restored", error.message, "wait until it is done")
    if isinstance(error, StoreBusy):
        told = f"the store '{path}' is locked by another process"
        return Problem(503, "The store is locked", told, "look what holds it open: fuser FILE")
    return Problem(503, "The store cannot be shown", error.message, error.hint)
