"""How seldom garbage is looked for while a run lasts, and what is never looked through."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Lock

SELDOM = (50_000, 10, 10)  # new objects before a look, and looks before one that goes deeper


class _Collector:
    """The process's collector of garbage, as the runs in it share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._runs = 0
        self._before = (0, 0, 0)
        self._is_command = False

    def of_a_command(self) -> None:
        """Say that this process is a command's, not a program's that only calls `run`."""
        self._is_command = True

    def load_for_good(self, *modules: str) -> None:
        """Import what a command has to its end; keep collections and the exit's search off it all.

        Modules hold no garbage, and to look through them takes a fifth of a small run. It is called
        before any code of a workflow is loaded: what that makes in rings, such as a class that
        holds an open file, is let go of at the exit as ever.
        """
        for module in modules:
            import_module(module)
        if self._is_command:
            gc.freeze()

    @contextmanager
    def seldom_collected(self) -> Iterator[None]:
        """Look for garbage seldom while a run lasts.

        What a run makes it keeps to its end, and to look through all of that again and again costs
        each of 10,000 steps 6 µs. What steps leave in rings waits a little longer. The program's
        own thresholds are back when its last run has ended; one that collects nothing keeps to it.
        """
        with self._lock:
            self._runs += 1
            if self._runs == 1:
                self._before = gc.get_threshold()
                gc.set_threshold(*SELDOM)
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                if not self._runs:
                    gc.set_threshold(*self._before)


_collector = _Collector()
of_a_command, load_for_good = _collector.of_a_command, _collector.load_for_good
seldom_collected = _collector.seldom_collected
