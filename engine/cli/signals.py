"""Ctrl-C and SIGTERM: the first asks for a stop, the second for one at once, the third is one."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from engine.events import Event, StopRequested
from engine.stopping import STOP_GRACE_S
from engine.text import rough_duration

logger = logging.getLogger("engine.run")

AT_ONCE_S = 1.0  # how long the second signal's stop may take to be recorded


class Stopped(KeyboardInterrupt):
    """A signal that came before there was a run to stop."""

    def __init__(self, number: int, before: str = "anything") -> None:
        super().__init__()
        self.number = number
        self.before = before


@contextmanager
def terminated_raises() -> Iterator[None]:
    """Make SIGTERM raise as Ctrl-C does, where no run is on that would have to be stopped."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def noted() -> Iterator[Callable[[], int]]:
    """Note Ctrl-C and SIGTERM for what asks for them, by a function that gives 0 or their number.

    Raises `Stopped` at the end if one came.
    """
    came = [0]

    def note(number: int, _frame: FrameType | None) -> None:
        came[0] = number

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came[0]:
            raise Stopped(came[0])


class Stops:
    """What signals came in during a run."""

    def __init__(self, inbox: SimpleQueue[Event]) -> None:
        """Pass stops on to the run that reads `inbox`."""
        self._inbox = inbox
        self._counts = itertools.count(1)
        self._pid = os.getpid()
        self.number: int | None = None

    @property
    def exit_code(self) -> int | None:
        """Give 130 or 143 once a signal came, as shells do."""
        return None if self.number is None else 128 + self.number

    def still(self) -> None:
        """Pass on once more what a run has outlived: another one must not begin."""
        if self.number is not None:
            self._inbox.put(StopRequested(signal.Signals(self.number).name))

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal; safe at any point of the main thread."""
        if os.getpid() != self._pid:
            return  # a Ctrl-C reaches what a step has forked, too: it is for the engine to act on
        count = next(self._counts)  # in one step: another signal may come between any two
        self.number = self.number or number
        name = signal.Signals(number).name
        if count == 1:
            self._inbox.put(StopRequested(name))
            # by a thread: this one may be in the middle of a line of the log
            threading.Thread(target=_tell, args=(number,), daemon=True).start()
        elif count == 2:
            self._inbox.put(StopRequested(name, at_once=True))
            timer = threading.Timer(AT_ONCE_S, os._exit, [128 + self.number])
            timer.daemon = True
            timer.start()
        else:
            os._exit(128 + self.number)


def _tell(number: int) -> None:
    """Say at once what the stop waits for, and for how long."""
    again = "; Ctrl-C again ends it at once" if number == signal.SIGINT else ""
    logger.warning("stopping: what runs has %s to end%s", rough_duration(STOP_GRACE_S), again)


def _let_be_ended() -> None:
    """Let SIGTERM end a child that a step has forked, even where it runs no Python code."""
    handler = signal.getsignal(signal.SIGTERM)
    if isinstance(getattr(handler, "__self__", None), Stops):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_let_be_ended)


@contextmanager
def stops_to(inbox: SimpleQueue[Event]) -> Iterator[Stops]:
    """Handle SIGINT and SIGTERM for a run; the handlers before are put back."""
    stops = Stops(inbox)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stops.handle) for number in numbers]
    try:
        yield stops
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
