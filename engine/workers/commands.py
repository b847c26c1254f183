"""Runs a `shell` step: a child process in a session of its own, its output, its end.

What is left of a stopped or failed command is ended: its process group and all that stayed in its
session. What a successful one leaves in the background is left alone: it may be a service. Should
the engine itself die, the command dies with it, so that the next run does not do it twice at once.
"""

from __future__ import annotations

import json
import os
import re
import resource
import selectors
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Timer
from typing import Any

from engine.errors import DefinitionError, EngineError
from engine.failpoints import failpoint
from engine.logs import escape
from engine.model import Shell
from engine.outputs import Outputs, Pending
from engine.ports import AttemptLog, CommandResult
from engine.workers.processes import (
    Ended,
    Reader,
    Session,
    Watch,
    Watchdog,
    how_it_ended,
    look,
    start_timer,
)

GRACE_S = 5.0
VALUES_BYTES_MAX = 100_000_000
_UNKILLABLE_S = 1.0  # how long after SIGKILL the rest of a session is waited for
_LOOK_S = 0.1
_NOT_STARTED = 127  # as a shell says it

# What is quoted, escaped or a comment, `||` and `>|` are no pipes.
_NO_PIPE = re.compile(
    r"""\\. | '[^']*' | "(?:[^"\\$`] | \\. | \$(?!\())*" | (?:^|(?<=\s))\#[^\n]* | \|\| | >\|""",
    re.DOTALL | re.VERBOSE,
)


def check_shell(shell: Shell) -> None:
    """Refuse, at load, a text with a pipe where there is no bash: sh would hide its failures."""
    text = shell.command
    if isinstance(text, str) and shutil.which("bash") is None and "|" in _NO_PIPE.sub("", text):
        raise DefinitionError(
            f"shell command {text!r} has a pipe, and there is no bash to see it fail in the middle",
            hint="install bash, or give a list of words",
        )


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """What a command is run with.

    `env` is all of its environment (see `build_env`). `target` is the declared output, made
    through the attempt's `outputs`. `private` is the attempt's own folder: made if missing, and
    removed at the end whatever happens.
    """

    cwd: Path
    env: Mapping[str, str]
    log: AttemptLog
    target: str | None = None
    outputs: Outputs | None = None
    private: Path | None = None
    grace_s: float = GRACE_S


class CommandFault(Exception):
    """The command has ended well, but not done what it declared."""


class ShellCommand:
    """One attempt of a shell step, as a process group of its own."""

    def __init__(self, shell: Shell, *, spec: CommandSpec) -> None:
        if spec.target is not None and spec.outputs is None:
            raise ValueError("a command with a target needs outputs")
        self._shell = shell
        self._spec = spec
        self._lock = Lock()
        self._session: Session | None = None  # from the start until the child is reaped
        self._pid = 0
        self._ended: Ended | None = None
        self._stopped: str | None = None  # why, if that came before the end
        self._kill_timer: Timer | None = None
        self._killed = Event()
        self._last_error_line = ""

    # -- called in the worker's thread ------------------------------------------------------------

    def run(self) -> CommandResult:
        """Start it, pass its output to the log as it comes, wait for its end, collect its files.

        Never raises: what goes wrong is the result's `error`. Its texts are not masked.
        """
        private = self._spec.private
        pending: Pending | None = None
        result = CommandResult(returncode=-1, error="an error of the engine's ended it")
        try:
            if private is None:
                private = Path(tempfile.mkdtemp(prefix="kahnban-"))
            if self._spec.target is not None and self._spec.outputs is not None:
                pending = self._spec.outputs.begin(self._spec.target, create=False)
            result = self._run(private, pending)
        except (CommandFault, EngineError) as fault:
            result = CommandResult(returncode=0, error=str(fault))
        except OSError as error:
            result = CommandResult(returncode=-1, error=_reason(error))
        finally:
            if private is not None:
                shutil.rmtree(private, ignore_errors=True)
            if pending is not None and result.error:
                pending.abandon()
        return result

    def _run(self, private: Path, pending: Pending | None) -> CommandResult:
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
        values_file = private / "output.jsonl"
        os.close(os.open(values_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        env = {**self._spec.env, "KAHNBAN_OUTPUT": str(values_file.absolute())}
        if pending is not None:
            env["OUT"] = str(pending.temporary)
        if self._stopped is not None:
            return CommandResult(-signal.SIGTERM, error=f"{self._stopped}: not started")
        try:
            process = self._start(env)
        except (OSError, ValueError) as error:
            return CommandResult(_NOT_STARTED, error=self._cannot_start(error))
        watchdog = Watchdog(process.pid)
        try:
            ended = self._follow(process)
            known = ended.code is not None  # else its number may be somebody else's by now
            if known and (ended.code or self._stopped is not None):
                self._end_session()
        finally:
            watchdog.dismiss()
            self._reap(process)
        if fault := self._error(ended):
            return CommandResult(-1 if ended.code is None else ended.code, error=fault)
        if pending is None:
            return CommandResult(0, values=read_values(values_file))
        if not os.path.lexists(pending.temporary):
            raise CommandFault(f"did not write its output '{self._spec.target}' ($OUT)")
        return CommandResult(0, values=read_values(values_file), files=(pending.finish(),))

    def _start(self, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._arguments(env),
            cwd=self._spec.cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            close_fds=True,
            start_new_session=True,
        )
        failpoint("command-begun")
        with suppress(OSError):  # it may have ended, or be another user's (sudo)
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        with self._lock:
            self._pid = process.pid
            self._session = Session(process.pid)
            if self._stopped is not None:
                self._begin_end()
        return process

    def _arguments(self, env: Mapping[str, str]) -> list[str]:
        command = self._shell.command
        if not isinstance(command, str):
            return list(command)
        if shutil.which("bash", path=env.get("PATH")):
            return ["bash", "-euo", "pipefail", "-c", command]
        return ["sh", "-eu", "-c", command]

    def _cannot_start(self, error: OSError | ValueError) -> str:
        command = self._shell.command
        name = "the shell" if isinstance(command, str) else f"'{command[0]}'"
        if isinstance(error, OSError) and error.filename == self._spec.cwd:
            return f"cannot start {name}: no folder '{self._spec.cwd}'"
        return f"cannot start {name}: {_reason(error)}"

    # -- its output -------------------------------------------------------------------------------

    def _follow(self, process: subprocess.Popen[bytes]) -> Ended:
        """Log its output until it and its pipes have ended; a pipe held by others is cut."""
        assert process.stdout is not None
        assert process.stderr is not None
        readers = [
            Reader(process.stdout, "out", self._spec.log),
            Reader(process.stderr, "err", self._spec.log),
        ]
        with selectors.DefaultSelector() as selector:
            watch = Watch(process.pid, selector)
            try:
                ended = self._read_all(readers, selector, watch)
            finally:
                watch.close()
        for reader in readers:
            reader.finish()
        self._last_error_line = readers[1].last_line
        if watch.over:
            self._note("output cut: a process left behind still holds it")
        self._spec.log.close()
        return ended

    def _read_all(
        self, readers: list[Reader], selector: selectors.BaseSelector, watch: Watch
    ) -> Ended:
        ended: Ended | None = None
        for reader in readers:
            selector.register(reader.pipe, selectors.EVENT_READ, reader)
        pipes = len(readers)
        while ended is None or (pipes and not watch.over):
            for key, _ in selector.select(watch.interval_s):
                if isinstance(key.data, Reader) and not key.data.read():
                    selector.unregister(key.fileobj)
                    pipes -= 1
            if ended is None and (ended := watch.look()) is not None:
                with self._lock:
                    self._ended = ended
                if pipes:
                    watch.linger()
        return ended

    def _note(self, text: str) -> None:
        self._spec.log.write(f"{text}\n", stream="WARNING")

    # -- its end ----------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """TERM to its group now, KILL after the grace; safe from any thread, at any time."""
        with self._lock:
            if self._stopped is not None or self._has_ended():
                return
            self._stopped = reason
            self._begin_end()

    def kill(self, reason: str) -> None:
        """KILL its group now."""
        with self._lock:
            if self._stopped is None and not self._has_ended():
                self._stopped = reason
        self._kill()

    def _has_ended(self) -> bool:
        """Look for the end ourselves: the worker's thread may not have come to it yet."""
        if self._ended is None and self._session is not None:
            self._ended = look(self._pid)
        return self._ended is not None

    def _begin_end(self) -> None:
        """Send TERM now, and KILL after the grace; the lock is held."""
        if self._session is None or self._kill_timer is not None:
            return
        self._session.signal(signal.SIGTERM)
        self._session.signal(signal.SIGCONT)  # a halted process cannot end by itself
        self._kill_timer = start_timer(self._spec.grace_s, self._kill)

    def _kill(self) -> None:
        with self._lock:
            if self._session is not None and (self._stopped is not None or self._kill_timer):
                self._session.signal(signal.SIGKILL)
        self._killed.set()

    def _end_session(self) -> None:
        """End what the child has left behind; it has what is left of the grace for it."""
        session = self._session
        assert session is not None
        if not session.is_left():
            return
        with self._lock:
            self._begin_end()
        while not self._killed.wait(_LOOK_S):
            if not session.is_left():
                return
        for _ in range(round(_UNKILLABLE_S / _LOOK_S)):
            session.signal(signal.SIGKILL)  # also what was started since
            if not session.is_left():
                return
            Event().wait(_LOOK_S)
        self._note("some processes of the command could not be ended")

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if self._ended is None and self._session is not None:  # an error of ours in mid-way
                self._session.signal(signal.SIGKILL)
            self._session = None  # from here on its number may be somebody else's
            if self._kill_timer is not None:
                self._kill_timer.cancel()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def _error(self, ended: Ended) -> str:
        """Say what went wrong, with the last line of its stderr; nothing if all is well."""
        how = how_it_ended(ended, in_shell=isinstance(self._shell.command, str))
        if self._stopped is not None:
            how = f"{self._stopped}: {how or 'it ended with exit code 0'}"
        elif ended.code == -signal.SIGKILL:
            how += " (out of memory?)"
        if how and self._last_error_line:
            return f"{how}: {escape(self._last_error_line)}"
        return how


# -- what it hands back ---------------------------------------------------------------------------


def read_values(path: Path) -> tuple[tuple[str, Any], ...]:
    """Give the values in the JSON lines that a command wrote to $KAHNBAN_OUTPUT; the last counts.

    Raises `CommandFault` naming the line that is no JSON object.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return ()
    values: dict[str, Any] = {}
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise CommandFault("$KAHNBAN_OUTPUT is no longer a file")
        if status.st_size > VALUES_BYTES_MAX:
            limit = VALUES_BYTES_MAX // 1_000_000
            raise CommandFault(f"wrote more than {limit} MB to $KAHNBAN_OUTPUT")
        for number, line in enumerate(file, start=1):
            if line.strip():
                values.update(_object(number, line))
    return tuple(values.items())


def _object(number: int, line: bytes) -> dict[str, Any]:
    where = f"line {number} of $KAHNBAN_OUTPUT"
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise CommandFault(f"{where} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise CommandFault(f"{where} is not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):
        raise CommandFault(f"{where} is not usable JSON") from None
    if not isinstance(value, dict):
        raise CommandFault(f"{where} is not a JSON object: {line.decode('utf-8')[:80].strip()}")
    return value


def _reason(error: OSError | ValueError) -> str:
    """Say in a few words what the machine refused."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error)
