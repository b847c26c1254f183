"""Attempt logs, and who is logging: one file per attempt, each line there before the next is made.

A line reads `HH:MM:SS+HH:MM WHAT    text`: a time with its offset from UTC, as files are read later
and elsewhere; WHAT is `out` or `err` for what a step or its command printed, else the level of a
log record. A log never fails a step: what cannot be written is dropped and noted once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime, tzinfo
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

from engine.ports import AttemptLog, Clock, Logs
from engine.text import printable

FILE_BYTES_MAX = 10_000_000
LINE_CHARS_MAX = 65_536
_LOOK_AHEAD_CHARS = 4_096  # a secret that begins before a cut is masked whole up to this length
_TAIL_BLOCK_BYTES = 65_536
_DIGITS_MAX = 9  # of an attempt's number: Python reads no number of thousands of digits

STEP_LOGGER = "engine.step"


def escape(text: str) -> str:
    r"""Give `text` as one safe line, tabs as they are: what could forge or hide one as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "\t".join(printable(part) for part in text.split("\t"))


def log_name(step: str, number: int) -> str:
    """Name the file of an attempt, in the folder of its run."""
    return f"{step}.{number}.log"


def attempt_of(name: str) -> tuple[str, int] | None:
    """Give step and number of the attempt whose log has a name; None if it is no such name."""
    step, _, number = name.removesuffix(".log").rpartition(".")
    if not step or not number.isdecimal() or not number.isascii() or len(number) > _DIGITS_MAX:
        return None
    found = step, int(number)
    return found if name == log_name(*found) and found[1] else None


class LogLine(NamedTuple):
    """One masked and escaped line of an attempt; `stream` is `out`, `err` or a level's name."""

    run_id: int
    step: str
    number: int
    stream: str
    text: str
    at: datetime


class AttemptScope:
    """The attempt that runs in this thread or task.

    Its log is opened when it is first asked for: most steps of a big graph never log.
    """

    _log: AttemptLog | None = None

    def __init__(self, run_id: int, step: str, number: int, logs: Logs) -> None:
        self.run_id = run_id
        self.step = step
        self.number = number
        self._logs = logs

    @property
    def log(self) -> AttemptLog:
        """The attempt's one log, whichever threads ask for it at once."""
        log = self._log
        if log is None:
            # One operation, with nothing held that an asynchronous exception could leave held.
            log = self.__dict__.setdefault("_log", self._logs.open(self.step, self.number))
        return log

    def close(self) -> None:
        """Close the log, if there is one."""
        if self._log is not None:
            self._log.close()


current: ContextVar[AttemptScope | None] = ContextVar("kahnban_attempt", default=None)


# The value of a backfill whose run is driven in this thread, or whose line is passed on in it.
value_of_backfill: ContextVar[str] = ContextVar("kahnban_backfill_value", default="")


@contextmanager
def attempt_scope(scope: AttemptScope) -> Iterator[AttemptScope]:
    """Make `scope` the current one in this thread; its log is closed at the end."""
    entered = current.set(scope)
    try:
        yield scope
    finally:
        current.reset(entered)
        scope.close()


class RunLogs:
    """The attempt logs of one run, in `folder` (`<home>/logs/NAME/RUN`), with times in `zone`."""

    def __init__(
        self,
        folder: Path,
        *,
        run_id: int,
        clock: Clock,
        mask: Callable[[str], str],
        forward: Callable[[LogLine], None] | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        self.folder = folder
        self.zone = zone
        self.run_id = run_id
        self.clock = clock
        self.mask = mask
        self.forward = forward

    def path(self, step: str, number: int) -> Path:
        """Give the file of an attempt, whether it is there or not."""
        return self.folder / log_name(step, number)

    def open(self, step: str, number: int) -> FileLog:
        """Give the log of an attempt; its file is made with its first line."""
        return FileLog(self, step, number)


class FileLog:
    """The log file of one attempt: whole lines, masked and escaped, one write for all at hand."""

    __slots__ = (
        "_cut",
        "_file",
        "_lock",
        "_logs",
        "_lost",
        "_number",
        "_partial",
        "_ragged",
        "_step",
        "_told",
        "_used",
        "_written",
    )

    def __init__(self, logs: RunLogs, step: str, number: int) -> None:
        self._logs = logs
        self._step = step
        self._number = number
        self._lock = RLock()  # a finalizer may print while this thread is in here
        self._partial: dict[str, str] = {}
        self._file: int | None = None
        self._written = 0
        self._cut = False
        self._lost = 0
        self._told = False
        self._ragged = False  # the file ends within a line
        self._used = False

    @property
    def path(self) -> Path:
        """The file, whether it is there or not."""
        return self._logs.path(self._step, self._number)

    def write(self, text: str, *, stream: str = "out") -> None:
        """Add text as it comes; its whole lines go to the file and onwards at once."""
        with self._lock:
            self._used = True
            if self._cut:
                return
            text = self._unbroken(self._partial.pop(stream, "") + text)
            whole, newline, rest = text.rpartition("\n")
            if newline:
                self._add(whole, stream)
            if rest and not self._cut:
                self._partial[stream] = rest[: LINE_CHARS_MAX + _LOOK_AHEAD_CHARS]

    def _unbroken(self, text: str) -> str:
        """Mask a secret that reaches from a whole line into the unfinished one after it."""
        end = text.rfind("\n")
        if end in (-1, len(text) - 1):
            return text
        around = text[max(0, end - _LOOK_AHEAD_CHARS) : end + _LOOK_AHEAD_CHARS]
        mask = self._logs.mask
        return mask(text) if mask(around).count("\n") < around.count("\n") else text

    def close(self) -> None:
        """Write unfinished lines and close the file; what is written later opens it again."""
        if not self._used:
            return
        with self._lock:
            for stream, text in list(self._partial.items()):
                self._add(text, stream)
            self._partial.clear()
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _add(self, text: str, stream: str) -> None:
        """Write the lines of `text`; masked together, for a secret may span lines."""
        at = self._logs.clock.utc()
        lines = [_bounded(escape(line)) for line in self._masked(text).split("\n")]
        self._save(lines, stream, at)
        for line in lines:
            self._pass_on(line, stream, at)
        if self._cut:
            self._pass_on(_CUT_NOTE, "WARNING", at)

    def _masked(self, text: str) -> str:
        text = text.replace("\r\n", "\n").removesuffix("\r")
        longest = LINE_CHARS_MAX + _LOOK_AHEAD_CHARS
        if len(text) > longest:
            text = "\n".join(line[:longest] for line in text.split("\n"))
        return self._logs.mask(text)

    def _save(self, lines: list[str], stream: str, at: datetime) -> None:
        prefix = f"{at.astimezone(self._logs.zone).isoformat(timespec='seconds')[11:]} "
        head = f"{prefix}{stream:<7} "
        data = "".join(f"{head}{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        if self._written + len(data) > FILE_BYTES_MAX:
            room = max(0, FILE_BYTES_MAX - self._written)
            data = data[: data.rfind(b"\n", 0, room) + 1]
            lines[:] = lines[: data.count(b"\n")]
            data += f"{prefix}{'WARNING':<7} {_CUT_NOTE}\n".encode()
            self._cut = True
            self._partial.clear()
        if self._lost:
            data = f"{prefix}{'WARNING':<7} {self._lost} lines are missing here\n".encode() + data
        try:
            self._put(data)
        except OSError as error:
            self._lost += len(lines)
            if not self._told:
                self._told = True
                reason = (error.strerror or type(error).__name__).lower()
                self._pass_on(f"the log '{self.path}' is incomplete: {reason}", "WARNING", at)
        else:
            self._lost = 0

    def _put(self, data: bytes) -> None:
        if self._file is None:
            self._file = _open_private(self.path)
        if self._ragged:
            data = b"\n" + data
        done = os.write(self._file, data)
        self._ragged = done < len(data)
        if self._ragged:
            done += os.write(self._file, data[done:])  # raises what cut the first write short
            self._ragged = False
        self._written += done

    def _pass_on(self, line: str, stream: str, at: datetime) -> None:
        forward = self._logs.forward
        if forward is not None:
            with suppress(Exception):  # a console that is gone must not fail the step
                forward(LogLine(self._logs.run_id, self._step, self._number, stream, line, at))


_CUT_NOTE = f"output cut: the attempt has logged {FILE_BYTES_MAX // 1_000_000} MB"


def _bounded(line: str) -> str:
    if len(line) <= LINE_CHARS_MAX:
        return line
    return f"{line[:LINE_CHARS_MAX]} … (line cut)"


def _open_private(path: Path) -> int:
    """Open a log for appending; it and its folders are made for their owner alone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        make_private_folder(path.parent)
        return os.open(path, flags, 0o600)


def make_private_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, each 0700."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for part in reversed(missing):
        part.mkdir(mode=0o700, exist_ok=True)


def tail(path: Path, lines: int = 20) -> list[str]:
    """Give the last lines of a text file, reading from its end; none if it is not there."""
    data = b""
    try:
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            while position > 0 and data.count(b"\n") <= lines:
                size = min(_TAIL_BLOCK_BYTES, position)
                position -= size
                file.seek(position)
                data = file.read(size) + data
    except OSError:
        return []
    found = data.removesuffix(b"\n").split(b"\n") if data else []
    return [line.decode("utf-8", "backslashreplace") for line in found[-lines:]] if lines else []


# -- what a step logs -----------------------------------------------------------------------------


class _StepAdapter(logging.LoggerAdapter[logging.Logger]):
    """Puts the attempt on each record, also on those of threads that the step has started."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs


class ScopeHandler(logging.Handler):
    """Writes records to the log of the attempt they come from, or else that runs in this thread.

    A record written once has `scope` set, and is not written again further up.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, with its traceback, line by line."""
        if getattr(record, "in_attempt_log", False):
            return
        scope: AttemptScope | None = getattr(record, "scope", None) or current.get()
        if scope is None:
            return
        record.in_attempt_log = True
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - a bad format string must not fail the step
            text = f"{record.msg!r} (cannot be formatted: {error})"
        scope.log.write(f"{text}\n", stream=record.levelname)


def step_logger(scope: AttemptScope) -> logging.LoggerAdapter[logging.Logger]:
    """Give what `ctx.log` is: logger `engine.step.NAME`, whose records carry the attempt.

    They go to its log without any set-up of logging, and on to whatever the program has set up.
    """
    parent = logging.getLogger(STEP_LOGGER)
    if not any(isinstance(handler, ScopeHandler) for handler in parent.handlers):
        parent.addHandler(ScopeHandler())
        if parent.level == logging.NOTSET:
            parent.setLevel(logging.INFO)
    extra = {"run": scope.run_id, "step": scope.step, "attempt": scope.number, "scope": scope}
    return _StepAdapter(logging.getLogger(f"{STEP_LOGGER}.{scope.step}"), extra)
