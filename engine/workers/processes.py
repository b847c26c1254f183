"""A process from the outside: its pipes and its end."""

from __future__ import annotations

import codecs
import os
import selectors
import signal as signals
from collections.abc import Iterable
from threading import Timer
from typing import NamedTuple

from engine.ports import AttemptLog

LINGER_S = 1.0  # how long a pipe is read after the child's death, if somebody else holds it
_LOOK_S = 0.1  # how often to look where the kernel does not tell
_READ_BYTES = 65_536
_LAST_LINE_CHARS = 500
_SHELL_SIGNAL = 128  # a shell's exit code for a command killed by signal N is this plus N


class Ended(NamedTuple):
    """How a child ended: its exit code, or minus the signal; None if that cannot be known."""

    code: int | None


def look(pid: int) -> Ended | None:
    """Tell whether a child has ended; it stays unreaped, so that its number stays its own."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return Ended(None)  # some other code in this process has waited for it
    if found is None:
        return None
    by_itself = found.si_code == os.CLD_EXITED
    return Ended(found.si_status if by_itself else -found.si_status)


def how_it_ended(code: int, *, in_shell: bool = False) -> str:
    """Say how a process ended, by its exit code or minus the signal."""
    if code < 0:
        return f"killed by {signal_name(-code)}"
    inner = code - _SHELL_SIGNAL
    if in_shell and inner in signals.valid_signals():
        return f"exit code {code} ({signal_name(inner)})"
    return f"exit code {code}"


def signal_name(number: int) -> str:
    """Name a signal."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Reader:
    """One pipe of a child on its way to the log."""

    def __init__(self, pipe: int, stream: str, log: AttemptLog) -> None:
        self._pipe = pipe
        self.last_line = ""  # the last one with anything on it
        self._stream = stream
        self._log = log
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._partial = ""

    def fileno(self) -> int:
        """Give the pipe's descriptor."""
        return self._pipe

    def handle(self) -> bool:
        """Pass on what is there; false at the end."""
        data = os.read(self._pipe, _READ_BYTES)
        self._pass_on(self._decoder.decode(data))
        return bool(data)

    def finish(self) -> None:
        """Pass on what an unfinished character has left."""
        self._pass_on(self._decoder.decode(b"", final=True))
        self._remember(self._partial)

    def _pass_on(self, text: str) -> None:
        if not text:
            return
        self._log.write(text, stream=self._stream)
        whole, newline, rest = text.rpartition("\n")
        if newline:
            lines = (self._partial + whole[-4 * _LAST_LINE_CHARS :]).rstrip()
            self._remember(lines.rpartition("\n")[2])
            self._partial = ""
        self._partial = (self._partial + rest)[:_LAST_LINE_CHARS]

    def _remember(self, line: str) -> None:
        if line.strip():
            self.last_line = line.strip()[:_LAST_LINE_CHARS]


def finish(readers: Iterable[Reader], log: AttemptLog, *, cut: bool) -> None:
    """Pass on what unfinished lines hold, and say if a pipe was `cut`."""
    for reader in readers:
        reader.finish()
    if cut:
        log.write("output cut: a process left behind still holds it\n", stream="WARNING")
    log.close()


class Watch:
    """Wakes a selector when a process has ended, and once more `LINGER_S` later if asked to."""

    interval_s: float | None = None  # how long the selector may wait

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.over = False  # set when the lingering is
        self._selector = selector
        self._timer: Timer | None = None
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        selector.register(self._wake, selectors.EVENT_READ)

    def look(self) -> Ended | None:
        """Tell whether it has ended, and then do not wake for that again."""
        raise NotImplementedError

    def wake(self) -> None:
        """Make the selector return; safe from any thread until it is closed."""
        os.eventfd_write(self._wake, 1)

    def linger(self) -> None:
        """Set `over` and wake after `LINGER_S`."""
        self._timer = start_timer(LINGER_S, self._end_linger)

    def _end_linger(self) -> None:
        self.over = True
        self.wake()

    def close(self) -> None:
        """Close what it holds; a timer that is on its way is waited for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        os.close(self._wake)


class ChildWatch(Watch):
    """Watches a child of this process."""

    def __init__(self, pid: int, selector: selectors.BaseSelector) -> None:
        super().__init__(selector)
        self._pid = pid
        self._pidfd = -1
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError:
            self.interval_s = _LOOK_S
        else:
            selector.register(self._pidfd, selectors.EVENT_READ)

    def look(self) -> Ended | None:
        """Tell whether the child has ended."""
        ended = look(self._pid)
        if ended is not None:
            self.interval_s = None
            if self._pidfd >= 0:
                self._selector.unregister(self._pidfd)
        return ended

    def close(self) -> None:
        """Close what it holds."""
        super().close()
        if self._pidfd >= 0:
            os.close(self._pidfd)


def start_timer(after_s: float, action: object) -> Timer:
    """Start a timer that does not hold up the end of the program."""
    assert callable(action)
    timer = Timer(after_s, action)
    timer.daemon = True
    timer.start()
    return timer
