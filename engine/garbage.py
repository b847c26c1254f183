"""What is there when a run begins is no garbage, and is not looked through while the run lasts."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Lock

MANY_STEPS = 10_000  # of a run that is worth to have the modules searched at the exit: 45 ms


class _Collector:
    """The process's collector of garbage, as the runs in it share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._runs = 0
        self._ours = False
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
    def left_alone(self, steps: int = MANY_STEPS) -> Iterator[None]:
        """Keep collections off what is there now: they cost each of 10,000 steps 6 µs.

        What is made from now on is collected as ever. A program that has frozen objects of its own
        keeps them so: thawing ours would thaw those. So do the command's modules in a run of few
        steps; one of many thaws them, too, at its end.
        """
        with self._lock:
            self._runs += 1
            worth_it = self._is_command and steps >= MANY_STEPS
            if self._runs == 1 and (worth_it or not gc.get_freeze_count()):
                gc.freeze()
                self._ours = True
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                if self._ours and not self._runs:
                    gc.unfreeze()
                    self._ours = False

    def as_well(self) -> None:
        """Leave alone also what the runs have made before their first steps: 3 µs a step."""
        with self._lock:
            if self._ours:
                gc.freeze()


@contextmanager
def no_collections() -> Iterator[None]:
    """Collect nothing while all that an earlier run left is read: a tenth of the time it takes."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


_collector = _Collector()
of_a_command, load_for_good = _collector.of_a_command, _collector.load_for_good
left_alone, as_well = _collector.left_alone, _collector.as_well
