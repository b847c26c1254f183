"""Follows one step process to its end, and ends it where that is asked for: TERM, grace, KILL.

What is left of it then is ended too, unless it ended well and left something on purpose.
"""

from __future__ import annotations

import selectors
import signal
from collections.abc import Callable, Collection, Sequence
from threading import Event, Lock, Timer
from typing import Protocol

from engine.ports import AttemptLog
from engine.workers.family import Family
from engine.workers.processes import Ended, Watch, start_timer

_UNKILLABLE_S = 1.0  # how long after SIGKILL the rest of a family is waited for
_LOOK_S = 0.1
_FIRST_LOOK_S = 0.005


class Source(Protocol):
    """Something a step process writes to."""

    def fileno(self) -> int:
        """Give the descriptor to wait on."""

    def handle(self) -> bool:
        """Take in what is there; false at the end."""


class Supervisor:
    """One step process: `follow` and what comes after it in the worker's thread, `stop` anywhere.

    What a process that ends with one of `spared` leaves behind is left alone: it may be a service.
    """

    def __init__(self, log: AttemptLog, grace_s: float, spared: Collection[int] = ()) -> None:
        self.stopped: str | None = None  # why, if that came before the end
        self._log = log
        self._grace_s = grace_s
        self._spared = spared
        self._lock = Lock()
        self._family: Family | None = None  # from the start until the process is reaped
        self._look: Callable[[], Ended | None] = lambda: None
        self._ended: Ended | None = None
        self._kill_timer: Timer | None = None
        self._killed = Event()

    # -- called in the worker's thread ------------------------------------------------------------

    def begin(self, family: Family, look: Callable[[], Ended | None] = lambda: None) -> None:
        """Take charge of a process that has started; `look` tells at any time if it has ended."""
        with self._lock:
            self._family = family
            self._look = look
            if self.stopped is not None:
                self._begin_end()

    def follow(
        self, sources: Sequence[Source], watch: Watch, selector: selectors.BaseSelector
    ) -> Ended:
        """Serve its sources until it and they have ended; one held by others is cut."""
        ended: Ended | None = None
        for source in sources:
            selector.register(source.fileno(), selectors.EVENT_READ, source)
        still = len(sources)
        while ended is None or (still and not watch.over):
            for key, _ in selector.select(watch.interval_s):
                if key.data is not None and not key.data.handle():
                    selector.unregister(key.fileobj)
                    still -= 1
            if ended is None and (ended := watch.look()) is not None:
                self._note_end(ended)
                if still:
                    watch.linger()
        return ended

    def _note_end(self, ended: Ended) -> None:
        with self._lock:
            self._ended = ended
            if self._family is None:
                return
            if ended.code is None:
                self._family.lose_leader()
            if self._is_swept() and self._family.others():
                self._begin_end()

    def _is_swept(self) -> bool:
        ended = self._ended
        return ended is None or ended.code not in self._spared or self.stopped is not None

    def end_rest(self) -> None:
        """End what it has left behind, if that is due; it has what is left of the grace for it."""
        family = self._family
        if family is None or not self._is_swept():
            return
        if family.others():
            with self._lock:
                self._begin_end()
            if not self._dies_out(family):
                self._note("some processes of the step could not be ended")
        if escaped := family.escaped():
            self._note(escaped)

    def _dies_out(self, family: Family) -> bool:
        pause_s = _FIRST_LOOK_S
        while not self._killed.wait(pause_s):
            if not family.others():
                return True
            pause_s = min(2 * pause_s, _LOOK_S)
        for _ in range(round(_UNKILLABLE_S / _LOOK_S)):
            family.signal(signal.SIGKILL)  # also what was started since
            if not family.others():
                return True
            Event().wait(_LOOK_S)
        return not family.others()

    def release(self) -> None:
        """Let go before it is reaped: from then on its number may be somebody else's."""
        with self._lock:
            if self._ended is None and self._family is not None:  # an error of ours in mid-way
                self._family.signal(signal.SIGKILL)
            self._family = None
            if self._kill_timer is not None:
                self._kill_timer.cancel()

    def _note(self, text: str) -> None:
        self._log.write(f"{text}\n", stream="WARNING")

    # -- called from any thread -------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """TERM to its family now, KILL after the grace."""
        with self._lock:
            if self.stopped is not None or self._has_ended():
                return
            self.stopped = reason
            self._begin_end()

    def kill(self, reason: str) -> None:
        """KILL its family now."""
        with self._lock:
            if self.stopped is None and not self._has_ended():
                self.stopped = reason
        self._kill()

    def _has_ended(self) -> bool:
        """Look for the end ourselves: the worker's thread may not have come to it yet."""
        if self._ended is None and self._family is not None:
            self._ended = self._look()
        return self._ended is not None

    def _begin_end(self) -> None:
        """Send TERM now, and KILL after the grace; the lock is held."""
        if self._family is None or self._kill_timer is not None:
            return
        self._family.signal(signal.SIGTERM)
        self._family.signal(signal.SIGCONT)  # a halted process cannot end by itself
        self._kill_timer = start_timer(self._grace_s, self._kill)

    def _kill(self) -> None:
        with self._lock:
            if self._family is not None and (self.stopped is not None or self._kill_timer):
                self._family.signal(signal.SIGKILL)
        self._killed.set()
