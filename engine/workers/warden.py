"""The engine's hold on its warden (see `engine.workers.warden_program`)."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from engine.workers import unshared
from engine.workers.warden_program import LockFiles

_HOME = str(Path(__file__).parents[2])
_BOOT = """\
import sys
sys.path.append(sys.argv.pop(1))
from engine.workers.warden_program import main
main()
"""
_END_S = 2.0


class Warden:
    """One process beside a run, at a pipe that this process alone holds open. Thread-safe."""

    def __init__(self, engine: str, locks: LockFiles) -> None:
        """Nothing is started yet; `locks` are what step processes, and engines, have open."""
        self._engine = engine
        self._locks = locks
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._spared: list[str] = []

    def watch(self) -> None:
        """See that it is there: started at first, again if something has killed it."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return
            with suppress(OSError):  # without it a crash leaves steps running, which a resume finds
                self._start()

    def _start(self) -> None:
        self._close()
        flags = ["-B"] if sys.dont_write_bytecode else []
        words = [_HOME, self._engine, *map(str, self._locks.steps + self._locks.run)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", *flags, "-c", _BOOT, *words],
            cwd="/",
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        unshared.keep(self._process.stdin)
        os.set_blocking(self._process.stdin.fileno(), False)
        for attempt in self._spared:
            self._say(f"ok {attempt}")

    def spare(self, attempt: str) -> None:
        """Leave alone what an attempt that ended well has left behind."""
        with self._lock:
            self._spared.append(attempt)
            self._say(f"ok {attempt}")

    def close(self, *, in_peace: bool) -> None:
        """Send it away; unless all is done, it ends what is left first."""
        with self._lock:
            if in_peace:
                self._say("end")
            self._close()

    def _say(self, text: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, ValueError):  # it is gone, or does not listen
                self._process.stdin.write(f"{text}\n".encode())

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with suppress(OSError):
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        process.kill()
        process.wait()
