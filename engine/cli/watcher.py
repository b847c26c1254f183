"""Watches a run for its live display: notes what happens, and lets a thread of its own draw it.

Noting is all that the run's thread does. What draws is loaded by the thread, once the run has been
on for a moment: a short run stays plain lines, and pays nothing.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Event, Thread
from typing import TextIO

from engine.cli.log_lines import ConsoleHandler
from engine.events import Action
from engine.session.environment import Watched

APPEARS_AFTER_S = 0.3
COLUMNS_MIN = 40
ROWS_MIN = 5
_ENDS_WITHIN_S = 2.0  # a terminal that takes nothing holds up no run's end for longer


class Watch:
    """The display in a terminal of one run after the other."""

    def __init__(self, handler: ConsoleHandler, stream: TextIO, *, colour: bool) -> None:
        """Draw to `stream`, with the lines of `handler` above."""
        self._handler, self._stream, self._colour = handler, stream, colour
        self._thread: Thread | None = None
        self._be_ready()

    def _be_ready(self) -> None:
        self._noted: deque[tuple[Sequence[Action], float]] = deque()
        self._over = Event()

    def note(self, actions: Sequence[Action], now: float) -> None:
        """Take a tick's actions, committed at `now`."""
        self._noted.append((actions, now))

    def begin(self, run: Watched) -> None:
        """Begin to draw `run`, in a moment."""
        self._thread = Thread(
            target=self._draw, args=(run, self._noted, self._over), name="display", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Take the block away; all lines are there then. Another run may follow."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(_ENDS_WITHIN_S)
        self._be_ready()

    def _draw(
        self, run: Watched, noted: deque[tuple[Sequence[Action], float]], over: Event
    ) -> None:
        # A signal is for the main thread, which else hears of it late; and without SIGTTOU, to
        # write from the background stops nobody.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if over.wait(APPEARS_AFTER_S):
            return
        with suppress(Exception):  # to show a run never fails it
            from engine.cli.display import Display

            Display(run, noted, self._handler, self._stream).go(over, colour=self._colour)
        if self._noted is noted:  # nobody is there any more to take what is noted
            self._noted = deque(maxlen=0)


def is_wanted(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Tell whether a person looks on: at a terminal that can be drawn in, and wide enough."""
    if stream is None or environ.get("TERM", "dumb") == "dumb" or environ.get("CI"):
        return False
    try:
        return stream.isatty() and size_of(stream)[0] >= COLUMNS_MIN
    except (OSError, ValueError):  # closed, or no file
        return False


def size_of(stream: TextIO) -> tuple[int, int]:
    """Give columns and rows of a terminal; 80 and 24 where it does not tell."""
    wide, high = os.get_terminal_size(stream.fileno())
    return wide or 80, high or 24
