"""Runs a `shell` step: a child process in a session of its own, its output, its end.

What is left of a stopped or failed command is ended, wherever it has gone. What a successful one
leaves in the background is left alone: it may be a service.
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
from pathlib import Path
from typing import Any

from engine.errors import DefinitionError, EngineError
from engine.failpoints import failpoint
from engine.logs import escape
from engine.model import GRACE_S, Shell
from engine.outputs import Outputs, Pending
from engine.ports import AttemptLog, CommandResult
from engine.records import record
from engine.workers.family import Family
from engine.workers.processes import ChildWatch, Ended, Reader, finish, how_it_ended, look
from engine.workers.procfs import Marker
from engine.workers.supervisor import Supervisor

VALUES_BYTES_MAX = 100_000_000
_NOT_STARTED = 127  # as a shell says it

# What is quoted, escaped or a comment, `||` and `>|` are no pipes.
_NO_PIPE = re.compile(
    r"""\\. | '[^']*' | "(?:[^"\\$`] | \\. | \$(?!\())*" | (?:^|(?<=\s))\#[^\n]* | \|\| | >\|""",
    re.DOTALL | re.VERBOSE,
)


def check_shell(shell: Shell) -> None:
    """Refuse, at load, a text with a pipe where there is no bash: sh would hide its failures."""
    text = shell.command
    if not isinstance(text, str) or "|" not in text:
        return
    if shutil.which("bash") is None and "|" in _NO_PIPE.sub("", text):
        raise DefinitionError(
            f"shell command {text!r} has a pipe, and there is no bash to see it fail in the middle",
            hint="install bash, or give a list of words",
        )


@record
class CommandSpec:
    """What a command is run with.

    `env` is all of its environment (see `build_env`), with `marker` in it. `target` is the declared
    output, made through the attempt's `outputs`. `private` is the attempt's own folder: made if
    missing, and removed at the end whatever happens. `pass_fds` are left open in it.
    """

    cwd: Path
    env: Mapping[str, str]
    log: AttemptLog
    target: str | None = None
    outputs: Outputs | None = None
    private: Path | None = None
    grace_s: float = GRACE_S
    marker: Marker | None = None
    pass_fds: tuple[int, ...] = ()


class CommandFault(Exception):
    """The command has ended well, but not done what it declared."""


class ShellCommand:
    """One attempt of a shell step, as a process group of its own."""

    def __init__(self, shell: Shell, *, spec: CommandSpec) -> None:
        if spec.target is not None and spec.outputs is None:
            raise ValueError("a command with a target needs outputs")
        self._shell = shell
        self._spec = spec
        self._supervisor = Supervisor(spec.log, spec.grace_s, spared=shell.ok_codes)

    def stop(self, reason: str) -> None:
        """TERM to all of it now, KILL after the grace; safe from any thread, at any time."""
        self._supervisor.stop(reason)

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
        env = {**self._spec.env, **dict(self._shell.env)}
        env["KAHNBAN_OUTPUT"] = str(values_file.absolute())
        if pending is not None:
            env["OUT"] = str(pending.temporary)
        if self._supervisor.stopped is not None:
            return CommandResult(-signal.SIGTERM, error=f"{self._supervisor.stopped}: not started")
        try:
            process = self._start(env)
        except (OSError, ValueError) as error:
            return CommandResult(_NOT_STARTED, error=self._cannot_start(error))
        try:
            ended, last_error_line = self._follow(process)
            self._supervisor.end_rest()
        finally:
            self._supervisor.release()
            _reap(process)
        if fault := self._error(ended, last_error_line):
            return CommandResult(-1 if ended.code is None else ended.code, error=fault)
        if pending is None:
            return CommandResult(0, values=read_values(values_file))
        if not os.path.lexists(pending.temporary):
            raise CommandFault(f"did not write its output '{self._spec.target}' ($OUT)")
        return CommandResult(0, values=read_values(values_file), files=(pending.finish(),))

    def _start(self, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._arguments(env),
            cwd=self._cwd(),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            close_fds=True,
            pass_fds=self._spec.pass_fds,
            start_new_session=True,
        )
        failpoint("command-begun")
        with suppress(OSError):  # it may have ended, or be another user's (sudo)
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        family = Family(process.pid, self._spec.marker)
        self._supervisor.begin(family, lambda: look(process.pid))
        return process

    def _cwd(self) -> Path:
        return self._spec.cwd / (self._shell.cwd or "")

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
        if isinstance(error, OSError) and error.filename == self._cwd():
            return f"cannot start {name}: no folder '{self._cwd()}'"
        return f"cannot start {name}: {_reason(error)}"

    def _follow(self, process: subprocess.Popen[bytes]) -> tuple[Ended, str]:
        """Log its output until it and its pipes have ended; give its last line of stderr too."""
        assert process.stdout is not None
        assert process.stderr is not None
        log = self._spec.log
        readers = [
            Reader(process.stdout.fileno(), "out", log),
            Reader(process.stderr.fileno(), "err", log),
        ]
        with selectors.DefaultSelector() as selector:
            watch = ChildWatch(process.pid, selector)
            try:
                ended = self._supervisor.follow(readers, watch, selector)
            finally:
                watch.close()
        finish(readers, log, cut=watch.over)
        return ended, readers[1].last_line

    def _error(self, ended: Ended, last_error_line: str) -> str:
        """Say what went wrong, with the last line of its stderr; nothing if all is well."""
        how = ""
        stopped = self._supervisor.stopped
        if ended.code is None:
            how = "its exit code is lost: other code of this process waited for it"
        elif ended.code not in self._shell.ok_codes:
            how = how_it_ended(ended.code, in_shell=isinstance(self._shell.command, str))
        if stopped is not None:
            how = f"{stopped}: {how or f'it ended with exit code {ended.code}'}"
        elif ended.code == -signal.SIGKILL:
            how += " (out of memory?)"
        if how and last_error_line:
            return f"{how}: {escape(last_error_line)}"
        return how


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


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
