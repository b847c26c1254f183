"""A hard time limit on work that may hang: the caller goes on, the work is left behind."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

GRACE_S = 1.0  # a socket's own limit is this much longer, so that the deadline speaks first

T = TypeVar("T")


class AbandonedError(Exception):
    """The caller no longer waits, so nothing more may be sent."""


class Way:
    """Whether a message may be on its way; nothing goes out once its sender has been abandoned."""

    def __init__(self, abandoned: threading.Event) -> None:
        self._abandoned = abandoned
        self.may_be_out = False

    def check(self) -> None:
        """Raise `AbandonedError` if nobody waits any more."""
        if self._abandoned.is_set():
            raise AbandonedError

    def go(self) -> None:
        """Say that from here on the message may arrive, unless nobody waits any more.

        In this order: who abandons looks at `may_be_out` after that.
        """
        self.may_be_out = True
        self.check()


class DeadlineError(Exception):
    """The work had not ended at the deadline."""


def within(deadline_s: float, name: str, work: Callable[[threading.Event], T]) -> T:
    """Give `work(abandoned)`'s result, or raise what it raised, or `DeadlineError` at the deadline.

    Socket time limits hold for one read each, so a server that drips outlasts them; only a thread
    of its own bounds the whole. It is a daemon: it cannot hold up the process's end. `abandoned`
    is set at the deadline; work must look at it before doing what the caller no longer expects.
    """
    abandoned = threading.Event()
    results: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((work(abandoned), None))
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            results.put((None, error))

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        result, error = results.get(timeout=max(deadline_s, 0.0))
    except queue.Empty:
        abandoned.set()
        raise DeadlineError(name) from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # None only where T allows it
