"""A child process from the outside: its pipes, its end, and what else is in its session."""

from __future__ import annotations

import codecs
import os
import selectors
import signal as signals
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from threading import Timer
from typing import IO, NamedTuple

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


def how_it_ended(ended: Ended, *, in_shell: bool) -> str:
    """Say how a command failed; nothing if it did not."""
    code = ended.code
    if code is None:
        return "its exit code is lost: other code of this process waited for it"
    if code < 0:
        return f"killed by {_signal_name(-code)}"
    inner = code - _SHELL_SIGNAL
    if in_shell and inner in signals.valid_signals():
        return f"exit code {code} ({_signal_name(inner)})"
    return f"exit code {code}" if code else ""


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Reader:
    """One pipe of a child on its way to the log."""

    def __init__(self, pipe: IO[bytes], stream: str, log: AttemptLog) -> None:
        self.pipe = pipe
        self.last_line = ""  # the last one with anything on it
        self._stream = stream
        self._log = log
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._partial = ""

    def read(self) -> bool:
        """Pass on what is there; false at the end."""
        data = os.read(self.pipe.fileno(), _READ_BYTES)
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


class Watch:
    """Wakes a selector when a child has ended, and once more `LINGER_S` after that if asked to."""

    def __init__(self, pid: int, selector: selectors.BaseSelector) -> None:
        self.interval_s: float | None = None  # how long the selector may wait
        self.over = False  # set when the lingering is
        self._pid = pid
        self._selector = selector
        self._pidfd = -1
        self._timer: Timer | None = None
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        selector.register(self._wake, selectors.EVENT_READ)
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError:
            self.interval_s = _LOOK_S
        else:
            selector.register(self._pidfd, selectors.EVENT_READ)

    def look(self) -> Ended | None:
        """Tell whether the child has ended, and then do not wake for it again."""
        ended = look(self._pid)
        if ended is not None:
            self.interval_s = None
            if self._pidfd >= 0:
                self._selector.unregister(self._pidfd)
        return ended

    def linger(self) -> None:
        """Set `over` and wake after `LINGER_S`."""
        self._timer = start_timer(LINGER_S, self._end_linger)

    def _end_linger(self) -> None:
        self.over = True
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Close what it holds; a timer that is on its way is waited for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        os.close(self._wake)
        if self._pidfd >= 0:
            os.close(self._pidfd)


def start_timer(after_s: float, action: object) -> Timer:
    """Start a timer that does not hold up the end of the program."""
    assert callable(action)
    timer = Timer(after_s, action)
    timer.daemon = True
    timer.start()
    return timer


class Session:
    """A child's session, led by it: its own process group, and what started further ones.

    To be used while the child is not reaped: until then no stranger can have its number.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader

    def signal(self, number: signals.Signals) -> None:
        """Signal all that is in the session."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._leader, number)
        for pid, group in self._members():
            if group != self._leader:  # such as what `timeout` runs
                self._signal_one(pid, number)

    def is_left(self) -> bool:
        """Tell whether something but the leader is alive in it."""
        return any(pid != self._leader for pid, _ in self._members())

    def _members(self) -> Iterator[tuple[int, int]]:
        """Give (pid, process group) of each living member."""
        try:
            names = os.listdir("/proc")  # noqa: PTH208 - some hundred names, no paths needed
        except OSError:
            return
        for name in names:
            if name.isdigit():
                group = self._group_of(int(name))
                if group is not None:
                    yield int(name), group

    def _group_of(self, pid: int) -> int | None:
        """Give a process's group if it is alive and in the session."""
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - of each process
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return None
        if len(fields) < 4 or fields[0] in b"ZX" or int(fields[3]) != self._leader:
            return None
        return int(fields[2])

    def _signal_one(self, pid: int, number: signals.Signals) -> None:
        with suppress(OSError):
            pidfd = os.pidfd_open(pid)
            try:
                if self._group_of(pid) is not None:  # still the one that was meant
                    signals.pidfd_send_signal(pidfd, number)
            finally:
                os.close(pidfd)


class Watchdog:
    """Kills a child's process group should this process die first, however it does.

    It waits at a pipe that nobody but this process holds open; the kernel closes it at our death.
    """

    def __init__(self, leader: int) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):  # without it a crash leaves the command running, no more
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", 'read -r _ || kill -s KILL -- "-$1"', "kahnban", str(leader)],
                cwd="/",
                env={},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def dismiss(self) -> None:
        """Send it away; when this returns it signals nobody any more."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
