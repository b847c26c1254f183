"""The engine's hold on its fork server: started in good time, started again if it was killed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock

from engine.workers import unshared
from engine.workers.isolation.orders import Setup

END_S = 2.0  # how long a fork server may take to end its children and itself
_BOOT = """\
import json, sys
sys.path[:] = json.loads(sys.stdin.buffer.readline())
from engine.cli.forkserver import main
main()
"""


class Forks:
    """Gets children forked. Thread-safe."""

    def __init__(self, setup: Setup, environ: Callable[[], Mapping[str, str]]) -> None:
        """Nothing is started yet; `environ` is read when something is."""
        self._setup = setup
        self._environ = environ
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the server if none is alive; it loads the workflow by itself."""
        with self._lock:
            self._started()

    def request(self, position: int, attempt: str, fds: Sequence[int]) -> None:
        """Have a child forked that has `fds`. Raises `OSError` if no server can be started."""
        data = json.dumps({"step": position, "attempt": attempt}).encode()
        with self._lock:
            self.go_on()
            try:
                socket.send_fds(self._started(), [data], fds)
            except ConnectionError:  # it has just been killed
                self._forget()
                socket.send_fds(self._started(), [data], fds)

    def go_on(self) -> None:
        """Have the server go on, should somebody have halted it: every attempt depends on it."""
        if (process := self._process) is not None:
            process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Let the server end: it kills what is left of its children."""
        with self._lock:
            self._forget()

    def _started(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._forget()
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        unshared.keep(ours)
        flags = ["-B"] if sys.dont_write_bytecode else []
        try:
            with os.fdopen(os.memfd_create("setup"), "w+b") as file:
                file.write(json.dumps([str(place) for place in sys.path]).encode() + b"\n")
                pickle.dump(self._setup, file)
                file.seek(0)
                self._process = subprocess.Popen(
                    [sys.executable, "-P", *flags, "-c", _BOOT, str(theirs.fileno())],
                    env=dict(self._environ()),
                    stdin=file,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._control = ours
        return ours

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)
            self._process.kill()
            self._process.wait()
            self._process = None
