"""Notices when the whole engine has stood still: halted, or starved of the machine.

A beat that comes late says so, unless this process has computed meanwhile: then a step held the
interpreter, and its limit runs on.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Self

from engine.events import EngineHalted
from engine.live import halted_s
from engine.ports import Clock

BEAT_S = 0.5
LATE_S = 2.0  # a beat that is later than this is looked at
IDLE = 0.125  # of that time at most was computed, if it was a halt


class HaltWatch:
    """Tells of each halt once, and keeps them; `look` from any thread."""

    def __init__(self, clock: Clock, tell: Callable[[EngineHalted], None]) -> None:
        """Watch from now on; `with` has it look by itself at each beat."""
        self._clock, self._tell = clock, tell
        self._lock = Lock()
        self._halts: list[EngineHalted] = []
        self._last = (clock.now(), clock.cpu_s())
        self._over = Event()
        self._thread = Thread(target=self._beat, name="halts", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            self.look()

    def look(self) -> None:
        """Tell of a halt, if there was one since the last look."""
        with self._lock:
            at, computed_s = self._last
            now, cpu_s = self._last = self._clock.now(), self._clock.cpu_s()
            if now - at > BEAT_S + LATE_S and cpu_s - computed_s <= IDLE * (now - at):
                halt = EngineHalted(at, now)
                self._halts.append(halt)
                self._tell(halt)

    def halted_s(self, since: float) -> float:
        """Give how long the engine was halted from `since` on, up to this moment."""
        self.look()
        return halted_s(self._halts, since)
