"""What is there when a run begins is no garbage, and is not looked through while the run lasts."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import Lock

MANY_STEPS = 10_000  # of a run that is worth to have the modules searched at the exit: 45 ms
LOADED = 200_000  # blocks: the modules that a program's first run loads have 155,000 and more
LEFT = 0.25  # of what is there: so much that runs left is worth a collection, as Python has it


class _Collector:
    """The process's collector of garbage, as the runs in it share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._runs = 0
        self._ours = False
        self._is_command = False
        self._was_big = False
        self._is_frozen = False  # as a command's modules are, for good
        self._there = 0  # blocks of memory, as the last run began
        self._left = 0  # blocks more as runs ended, since a collection
        self._loaded = LOADED  # of them, by the next run's end
        self._makers = 0  # blocks in which nothing is collected
        self._was_on = False  # before the first of them

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
            self._is_frozen = True

    @contextmanager
    def left_alone(self, steps: int = MANY_STEPS) -> Iterator[None]:
        """Keep collections off what is there now: they cost each of 10,000 steps 6 to 12 µs.

        What is made from now on is collected as ever. A program that has frozen objects of its own
        keeps them so: thawing ours would thaw those. So do the command's modules in a run of few
        steps; one of many thaws them, too, at its end. With a second run beside it nothing is kept:
        where there is always one on, no end of the last would let go of what others left.
        """
        if self._has_left_much():
            gc.collect()  # not under the lock: it may call what a program does at an object's end
        with self._lock:
            self._runs += 1
            worth_it = self._is_command and steps >= MANY_STEPS
            self._was_big |= worth_it
            if self._runs > 1:
                self._thaw()
            # To count what is frozen takes 0.06 µs an object: 3 ms of a command's modules.
            elif worth_it or not (self._is_frozen or gc.get_freeze_count()):
                gc.freeze()
                self._ours = True
                self._there = sys.getallocatedblocks()
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                if self._ours:
                    left = sys.getallocatedblocks() - self._there
                    # To seek garbage among what was loaded takes 40 ms of the second run.
                    self._left += max(0, left - self._loaded)
                    self._loaded = 0
                self._thaw()

    def _has_left_much(self) -> bool:
        """Whether what earlier runs left is worth a collection.

        Python starts none by itself: of what was frozen it knows not that it is new. A program that
        calls thousands of runs would keep what each of them left, 70 kB.
        """
        with self._lock:
            if self._runs or not gc.isenabled() or self._left <= LEFT * self._there:
                return False
            self._left = 0
            return True

    def _thaw(self) -> None:
        if self._ours:
            gc.unfreeze()
            self._ours = self._is_frozen = False

    @contextmanager
    def no_collections(self) -> Iterator[None]:
        """Collect nothing while all that an earlier run left is read: a tenth of the time it takes.

        None of it is garbage, then or later in the run.
        """
        with self._lock:
            if not self._makers:
                self._was_on = gc.isenabled()
            self._makers += 1
            gc.disable()
        try:
            yield
        finally:
            self.as_well()
            with self._lock:
                self._makers -= 1
                if self._was_on and not self._makers:
                    self._make_old()
                    gc.enable()

    def _make_old(self) -> None:
        """Count as old what a command has just loaded: it would be looked through at once."""
        if self._is_command and not self._ours and gc.get_count()[0] >= MANY_STEPS:
            gc.freeze()
            self._ours = True
            self._thaw()

    def as_well(self) -> None:
        """Leave alone also what was made since the runs began: it is wanted to their end."""
        with self._lock:
            if self._ours:
                gc.freeze()

    def spare_the_exit(self) -> None:
        """Keep the exit from looking through all that a command's big run has left: 0.2 s.

        It would do so twice, and free each object. Where one of them does something as it ends, the
        exit is as ever: nothing else finds it if it is in a ring.
        """
        if self._was_big and not _has_ends(gc.get_objects()):
            gc.freeze()


def _has_ends(objects: Sequence[object]) -> bool:
    """Whether one of them does something as it ends, as a file that is open is written to.

    The program's own streams are flushed by themselves.
    """
    streams: set[int] = set()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        buffer = getattr(stream, "buffer", None)
        streams |= {id(stream), id(buffer), id(getattr(buffer, "raw", None))}
    kinds = {kind for kind in set(map(type, objects)) if _ends(kind)}
    return any(type(one) in kinds and id(one) not in streams for one in objects)


def _ends(kind: type) -> bool:
    return any("__del__" in vars(base) for base in kind.__mro__)


_collector = _Collector()
of_a_command, load_for_good = _collector.of_a_command, _collector.load_for_good
left_alone, as_well = _collector.left_alone, _collector.as_well
no_collections, spare_the_exit = _collector.no_collections, _collector.spare_the_exit
