"""Commands in processes that need not load SQLAlchemy: two thirds of a command's start go there.

An interpreter that has loaded it, and nothing of ours, waits for commands and forks for each. So a
command is a process of its own, with its own folder, environment, output and end, and loads all of
ours itself; only the heaviest packages beneath it are there. There are two such interpreters, each
with a hash seed of its own, and they take turns: what depends on the order of a set shows.
"""

from __future__ import annotations

import atexit
import importlib
import itertools
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_LOADED = ("sqlalchemy", "sqlalchemy.dialects.sqlite", "slack_sdk.webhook")

# What an interpreter, or the loader of programs, reads at its start.
_EARLY = ("LANG", "LC_", "LD_", "MALLOC_", "PYTHON")
_MESSAGE_BYTES = 100_000


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Interpreter:
    """An interpreter that waits for commands."""

    def __init__(self, path: str) -> None:
        """Start it with `path` as PYTHONPATH."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.system.warm", str(theirs.fileno())],
                cwd="/",
                env=kept | {"PYTHONPATH": path},
                pass_fds=[theirs.fileno()],
                # As a command's own, so that its streams are made alike.
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

    def run(self, words: Sequence[str], cwd: str, env: Mapping[str, str], limit_s: float) -> Ended:
        """Run a command to its end, and till nobody holds its output open any more."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        (out, its_out), (err, its_err) = os.pipe(), os.pipe()
        said = {out: bytearray(), err: bytearray()}
        try:
            with theirs:
                asked = json.dumps({"words": [*words], "cwd": cwd, "env": {**env}}).encode()
                handed = [theirs.fileno(), its_out, its_err]
                socket.send_fds(self._control, [asked], handed)
            os.close(its_out)
            os.close(its_err)
            with mine:
                pid = int(mine.recv(99))
                mine.settimeout(limit_s)
                if not _read_all(said, time.monotonic() + limit_s):
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired([*words], limit_s)
                code = int(mine.recv(99))
        finally:
            os.close(out)
            os.close(err)
        return Ended(code, said[out].decode(), said[err].decode())

    def close(self) -> None:
        """Let it end."""
        self._control.close()
        self._process.communicate()


class Interpreters:
    """Two that take turns."""

    def __init__(self, path: str) -> None:
        """Start them when the first command is run."""
        self._path = path
        self._turns: itertools.cycle[Interpreter] | None = None

    def run(self, words: Sequence[str], cwd: str, env: Mapping[str, str], limit_s: float) -> Ended:
        """Run a command to its end in the one whose turn it is."""
        if self._turns is None:
            both = [Interpreter(self._path) for _ in range(2)]
            for one in both:
                atexit.register(one.close)
            self._turns = itertools.cycle(both)
        return next(self._turns).run(words, cwd, env, limit_s)

    def fits(self, env: Mapping[str, str]) -> bool:
        """Tell whether a command with this environment may start there: nothing early differs."""
        return _early(env) == {**_early(os.environ, but="PYTHON"), "PYTHONPATH": self._path}


def _early(env: Mapping[str, str], but: str = "=") -> dict[str, str]:
    return {k: v for k, v in env.items() if k.startswith(_EARLY) and not k.startswith(but)}


def _read_all(said: dict[int, bytearray], end: float) -> bool:
    """Read from pipes until all are closed at their other ends; False when time is up."""
    with selectors.DefaultSelector() as waiting:
        for pipe in said:
            waiting.register(pipe, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(max(0.0, end - time.monotonic()))
            if not ready:
                return False
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                said[key.fd] += data
                if not data:
                    waiting.unregister(key.fd)
    return True


# -- in the interpreter ---------------------------------------------------------------------------


class Asked(NamedTuple):
    """A command, with its channel, where its end is told, and its streams."""

    message: bytes
    handed: list[int]


def _next_command(control: socket.socket) -> Asked | None:
    """Wait for commands and fork for each; in its process give the command, at the end None."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is not control:  # a command has ended
                    waiting.unregister(key.fd)
                    _tell_end(key.fd, *key.data)
                    continue
                message, handed, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, 3)
                if not message:
                    return None
                pid = os.fork()
                if pid == 0:
                    return Asked(message, handed)
                channel, *streams = handed
                for stream in streams:
                    os.close(stream)
                os.write(channel, str(pid).encode())
                waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, channel))


def _tell_end(pidfd: int, pid: int, channel: int) -> None:
    """Tell how a command has ended."""
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):  # nobody may be left to hear it
        os.write(channel, str(os.waitstatus_to_exitcode(status)).encode())
    os.close(channel)
    os.close(pidfd)


def _become(command: Asked) -> None:
    """Make this process as one that was started for the command alone."""
    for target, stream in enumerate(command.handed[1:], start=1):
        os.dup2(stream, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    asked = json.loads(command.message)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    sys.path[0] = str(Path.cwd())
    sys.argv = ["-m", *asked["words"]]
    sys.orig_argv = [sys.executable, "-m", "engine", *asked["words"]]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]


def _wait_and_run(control: socket.socket) -> None:
    for name in _LOADED:
        importlib.import_module(name)
    command = _next_command(control)
    control.detach()
    if command is not None:
        _become(command)
        runpy.run_module("engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _wait_and_run(socket.socket(fileno=int(sys.argv[1])))
