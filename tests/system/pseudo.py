"""A command at a pseudo terminal, and the screen that it makes."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

from tests.screen import Screen
from tests.system.project import Project


class Terminal:
    """A terminal with a command in it, as its session's leader."""

    def __init__(self, project: Project, *words: str, wide: int = 80, **env: str) -> None:
        """Start a command of ours in a window of that width."""
        self.screen = Screen(wide)
        environ = {**project.env(TERM="xterm", LC_ALL="C.UTF-8", CI="", NO_COLOR=""), **env}
        del environ["COLUMNS"]
        self.file, other = os.openpty()
        self.resize(wide)
        self._process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-m", "engine", *words],
            cwd=project.root,
            env=environ,
            stdin=other,
            stdout=other,
            stderr=other,
        )
        os.close(other)
        self._rest = b""

    def resize(self, wide: int) -> None:
        """Make the window so wide; what it shows stays."""
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", 24, wide, 0, 0))
        self.screen.wide = wide

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self.file, text.encode())

    def wait_for(self, condition: Callable[[list[str]], object], limit_s: float = 30.0) -> None:
        """Wait until the screen is such."""
        ends_at = time.monotonic() + limit_s
        while not condition(self.screen.shown):
            assert time.monotonic() < ends_at, "\n".join(self.screen.shown)
            assert self._read(), "\n".join(self.screen.shown)

    def ended(self) -> int:
        """Wait for the end; gives the exit code."""
        while self._read():
            pass
        os.close(self.file)
        return self._process.wait()

    def _read(self) -> bool:
        """Take in what comes within a moment; False at the end."""
        if not select.select([self.file], [], [], 0.05)[0]:
            return True
        try:
            data = os.read(self.file, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # how a terminal ends whose last program has left
                raise
            return False
        self._rest += data
        text = self._rest.decode("utf-8", "ignore")
        self.screen.feed(text)
        self._rest = self._rest[len(text.encode()) :]
        return bool(data)
