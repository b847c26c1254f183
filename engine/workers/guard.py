"""Stopping a thread's code by an asynchronous exception, without wrecking the thread.

Sent unguarded, such an exception lands anywhere: of 150 tries 76 broke a pool. The guard sends it
at most once, only between the body's start and its end, and swallows one that arrives late.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any


class AttemptStopped(BaseException):
    """Raised inside a step that ran past its limit or whose run is being stopped."""


@cache
def _api() -> tuple[Any, Any]:
    """(send, clear): two objects, as with py_object for an argument NULL cannot be passed."""
    import ctypes

    send = ctypes.pythonapi["PyThreadState_SetAsyncExc"]
    send.argtypes = (ctypes.c_ulong, ctypes.py_object)
    clear = ctypes.pythonapi["PyThreadState_SetAsyncExc"]
    clear.argtypes = (ctypes.c_ulong, ctypes.c_void_p)
    return send, clear


class Guard:
    """One attempt's body, stoppable from another thread."""

    __slots__ = ("_armed", "_begun", "_done", "_lock", "_pid", "_sent", "_thread", "_wanted")

    def __init__(self, pid: int = 0) -> None:
        """Make a guard that has not begun; `pid` is this process, where the caller knows it."""
        # Re-entrant: the exception may land between taking the lock and entering its block, and
        # the second turn of `run` must get through.
        self._lock = threading.RLock()
        self._pid = pid or os.getpid()
        self._thread = 0
        self._begun = self._armed = self._done = self._sent = self._wanted = False

    def run(self, body: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        """Call `body` in this thread; gives (result, None) or (None, what it raised).

        Safe to be interrupted at any point: a second turn of the loop finishes what is left.
        """
        answer: tuple[Any, BaseException | None] | None = None
        while True:
            try:
                if not self._begun:
                    self._begun = True
                    self._thread = threading.get_ident()
                    self._armed = True
                    try:
                        if self._wanted:
                            raise AttemptStopped  # noqa: TRY301 - caught as the body's own
                        answer = (body(), None)
                    except BaseException as error:  # noqa: BLE001 - a step may raise anything
                        answer = (None, error)
                if os.getpid() != self._pid:
                    # Forked by the body, and come out of it: a copy of the engine that would go on
                    # with all that was queued.
                    os._exit(answer is None or answer[1] is not None)
                self._finish()
            except AttemptStopped:
                continue
            return answer or (None, AttemptStopped())

    def stop(self) -> None:
        """Make the body raise `AttemptStopped` when it next runs Python code; never blocks."""
        self._wanted = True
        send, _ = _api()
        if not self._lock.acquire(blocking=False):
            return  # the body is ending this very moment
        try:
            if self._armed and not self._done and not self._sent:
                self._sent = True
                send(self._thread, AttemptStopped)
        finally:
            self._lock.release()

    def _finish(self) -> None:
        """From here on nothing is sent, and what was sent and not yet raised is taken back."""
        if not self._done:
            with self._lock:
                self._done = True
        if self._sent:
            _api()[1](self._thread, None)
