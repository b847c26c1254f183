"""How log records become lines: their two forms, and the handlers that write them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, TextIO

from engine.logs import escape, make_private_folder, value_of_backfill
from engine.zones import mark

FILE_BYTES_MAX = 5_000_000
FILES_KEPT = 3
# They log webhooks and parameters, or, as a store is upgraded, what they are made of.
HELD_LOGGERS = ("slack_sdk", "urllib3", "sqlalchemy.engine", "alembic.runtime.plugins")

_HELD_PREFIXES = tuple(f"{name}." for name in HELD_LOGGERS)
_PRIORITIES = ((logging.ERROR, "3"), (logging.WARNING, "4"), (logging.INFO, "6"))
_COLOURS = ((logging.ERROR, "31"), (logging.WARNING, "33"), (logging.INFO, ""))
_FIELDS = ("run", "step", "attempt")


class LineFormatter(logging.Formatter):
    """Gives a record as safe text lines, each with its own prefix, so that none can be forged.

    Times are in `zone`, without one in the machine's; those that are kept have date and offset.
    """

    def __init__(
        self,
        mask: Callable[[str], str],
        *,
        kept: bool = False,
        journald: bool = False,
        colour: bool = False,
    ) -> None:
        super().__init__()
        self._mask = mask
        self.zone: tzinfo | None = None
        self._said: tuple[int, tzinfo | None, str] = -1, None, ""
        self._kept = kept
        self._journald = journald
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Give the lines, without the last line end."""
        head = self._head(record)
        if value := value_of_backfill.get():
            head += f"[{value}] "
        if getattr(record, "said_by_step", False):
            head += f"[{getattr(record, 'step', '')}] "
        text = self._mask(super().format(record)).rstrip("\n")
        lines = [f"{head}{escape(line)}" for line in text.split("\n")]
        colour = _first_at_least(_COLOURS, record.levelno, "2") if self._colour else ""
        if colour:
            lines = [f"\x1b[{colour}m{line}\x1b[0m" for line in lines]
        return "\n".join(lines)

    def _head(self, record: logging.LogRecord) -> str:
        if self._journald:
            return f"<{_first_at_least(_PRIORITIES, record.levelno, '7')}>"
        return f"{self._time(int(record.created))} {record.levelname:<7} "

    def _time(self, second: int) -> str:
        """Say a second; mostly it is that of the line before, which saves two thirds of a line."""
        if self._said[:2] != (second, self.zone):
            at = datetime.fromtimestamp(second, UTC)
            here = at.astimezone(self.zone)
            text = f"{here:%H:%M:%S}{mark(at, self.zone)}"
            if self._kept:
                text = here.isoformat(" ", "seconds")
            self._said = second, self.zone, text
        return self._said[2]


class JsonFormatter(logging.Formatter):
    """Gives a record as one JSON object: ts, level, run, step, attempt, message."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        at = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Any] = {
            "ts": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "level": record.levelname,
        }
        fields.update({name: getattr(record, name, None) for name in _FIELDS})
        fields["message"] = self._mask(super().format(record))
        if getattr(record, "said_by_step", False):
            fields["stream"] = getattr(record, "stream", "out")
        return json.dumps(fields, ensure_ascii=True, default=str)


def _first_at_least(table: Iterable[tuple[int, str]], level: int, otherwise: str) -> str:
    return next((found for least, found in table if level >= least), otherwise)


def is_wanted(record: logging.LogRecord) -> bool:
    """Keep out what was held back, whatever level somebody has set, and what is shown elsewhere.

    A record in an attempt's log comes back from there, masked, as a step line.
    """
    if record.levelno < logging.WARNING and f"{record.name}.".startswith(_HELD_PREFIXES):
        return False
    return not getattr(record, "in_attempt_log", False)


def is_of_a_value(_record: logging.LogRecord) -> bool:
    """Keep what is told by a run of a backfill, in the thread that drives it or for one of it."""
    return bool(value_of_backfill.get())


def is_worth_showing(record: logging.LogRecord) -> bool:
    """Keep out what the runs of a backfill tell of a normal course."""
    return record.levelno >= logging.WARNING or not is_of_a_value(record)


class ConsoleHandler(logging.Handler):
    """Writes lines to a stream, and flushes each; a stream that is gone takes none."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream
        self._diverted: Callable[[str], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's lines at once, or hand them to who keeps the terminal."""
        if self._stream is None:
            return
        with suppress(Exception):  # a log never fails what it tells of
            text = f"{self.format(record)}\n"
            if self._diverted is not None:
                self._diverted(text)
                return
            self._stream.write(text)
            self._stream.flush()

    def divert(
        self, take: Callable[[str], None] | None, *, before: Callable[[], None] = lambda: None
    ) -> None:
        """Hand lines to `take` from now on; with None write them again, once `before` is done."""
        with self.lock or nullcontext():
            before()
            self._diverted = take

    def pass_on(self, text: str) -> bool:
        """Hand a text of somebody else's to who keeps the terminal; False if nobody does."""
        with self.lock or nullcontext():
            if self._diverted is None:
                return False
            self._diverted(text)
            return True


class RotatingFile(logging.Handler):
    """Appends lines to a file (0600), each with one write; a full one becomes `NAME.1` and so on.

    Safe for several processes: whoever finds the file renamed opens the new one.
    """

    def __init__(self, path: Path, *, complain: Callable[[str], None]) -> None:
        super().__init__()
        self._path = path
        self._complain = complain
        self._complained = False
        self._file: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record's lines."""
        try:
            self._append(f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))
        except Exception as error:  # noqa: BLE001 - a log never fails what it tells of
            if not self._complained:
                self._complained = True
                reason = getattr(error, "strerror", None) or type(error).__name__
                self._complain(f"the log '{self._path}' is incomplete: {reason.lower()}")

    def _append(self, data: bytes) -> None:
        if self._file is not None and os.fstat(self._file).st_size + len(data) > FILE_BYTES_MAX:
            self._rotate(self._file)
        if self._file is None:
            make_private_folder(self._path.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o600)
        os.write(self._file, data)

    def _rotate(self, file: int) -> None:
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), self._path.stat()):
                for number in range(FILES_KEPT - 1, 0, -1):
                    with suppress(FileNotFoundError):
                        self._numbered(number).replace(self._numbered(number + 1))
                self._path.replace(self._numbered(1))
        os.close(file)
        self._file = None

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def close(self) -> None:
        """Close the file."""
        self.acquire()
        try:
            if self._file is not None:
                os.close(self._file)
                self._file = None
        finally:
            self.release()
        super().close()
