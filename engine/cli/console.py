"""What the command shows: log lines on stderr and in the rotating file, results on stdout.

Text lines read `HH:MM:SS LEVEL message`, what a step says `HH:MM:SS LEVEL [STEP] text`; in the file
date and offset stand with the time. Under journald a priority prefix takes the place of the time.
Showing never fails the command: a full disk or a closed pipe costs lines, not the run.
"""

from __future__ import annotations

import codecs
import io
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import tzinfo
from pathlib import Path
from typing import Any, TextIO

from engine.cli.log_lines import (
    HELD_LOGGERS,
    ConsoleHandler,
    JsonFormatter,
    LineFormatter,
    RotatingFile,
    is_of_a_value,
    is_wanted,
    is_worth_showing,
)
from engine.cli.pasted import pasteable
from engine.cli.step_output import original_of
from engine.errors import EngineError
from engine.logs import LogLine, ScopeHandler
from engine.text import printable_json, printable_lines

LINES_LOGGER = "engine.lines"


def under_journald(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Tell whether `stream` goes to the journal, as systemd says it in JOURNAL_STREAM."""
    device, colon, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    if stream is None or not colon:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def wants_colour(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Tell whether to colour: only on a terminal, and never against NO_COLOR."""
    if stream is None or environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


class Console:
    """The logging of one command, from `setup` to `close`; `shown` is what goes to the terminal."""

    def __init__(self, shown: ConsoleHandler, handlers: list[logging.Handler]) -> None:
        self.shown = shown
        self._handlers = handlers
        root = logging.getLogger()
        self._levels = {root: root.level}
        self._scopes = ScopeHandler()
        for handler in (self._scopes, *handlers):  # in this order, see `is_wanted`
            handler.addFilter(is_wanted)
            root.addHandler(handler)
        root.setLevel(logging.INFO)
        for name in HELD_LOGGERS:
            held = logging.getLogger(name)
            self._levels[held] = held.level
            held.setLevel(logging.WARNING)

    def line(self, line: LogLine) -> None:
        """Show a line of an attempt's log: what `RunLogs` forwards to."""
        level = logging.getLevelNamesMapping().get(line.stream, logging.INFO)
        record = logging.LogRecord(LINES_LOGGER, level, "", 0, line.text, None, None)
        record.created = line.at.timestamp()
        record.__dict__.update(
            run=line.run_id,
            step=line.step,
            attempt=line.number,
            stream=line.stream,
            said_by_step=True,
        )
        for handler in self._handlers:
            if level >= handler.level:
                handler.handle(record)

    def tell_times_in(self, zone: tzinfo | None) -> None:
        """Give times in a zone from now on; without one, in the machine's."""
        for handler in self._handlers:
            if isinstance(handler.formatter, LineFormatter):
                handler.formatter.zone = zone

    def follow_values(self, log_file: Path, mask: Callable[[str], str]) -> None:
        """Keep the lines of a backfill's runs in a file of their own; show their warnings only."""
        for handler in self._handlers:
            handler.addFilter(is_worth_showing)
        kept = RotatingFile(log_file, complain=lambda text: _complain(self.shown, text))
        kept.setLevel(logging.INFO)
        kept.setFormatter(LineFormatter(mask, kept=True))
        kept.addFilter(is_of_a_value)
        kept.addFilter(is_wanted)
        self._handlers.append(kept)
        logging.getLogger().addHandler(kept)

    def close(self) -> None:
        """Take the set-up back."""
        root = logging.getLogger()
        for handler in (self._scopes, *self._handlers):
            root.removeHandler(handler)
            handler.close()
        for logger, level in self._levels.items():
            logger.setLevel(level)


def setup(
    *,
    log_file: Path | None,
    quiet: bool,
    json_lines: bool,
    journald: bool,
    mask: Callable[[str], str],
    stream: TextIO | None = None,
) -> Console:
    """Set up logging: to stderr (only errors if `quiet`) and to `log_file`, all of it masked."""
    stream = stream or original_of(sys.stderr)
    shown = ConsoleHandler(stream)
    shown.setLevel(logging.ERROR if quiet else logging.INFO)
    if json_lines:
        shown.setFormatter(JsonFormatter(mask))
    else:
        colour = not journald and wants_colour(stream, os.environ)
        shown.setFormatter(LineFormatter(mask, journald=journald, colour=colour))
    handlers: list[logging.Handler] = [shown]
    if log_file is not None:
        kept = RotatingFile(log_file, complain=lambda text: _complain(shown, text))
        kept.setLevel(logging.INFO)
        kept.setFormatter(JsonFormatter(mask) if json_lines else LineFormatter(mask, kept=True))
        handlers.append(kept)
    return Console(shown, handlers)


def _complain(shown: logging.Handler, text: str) -> None:
    """Say what is wrong with a log, unless only errors are shown."""
    if shown.level <= logging.WARNING:
        shown.handle(logging.LogRecord("engine.cli", logging.WARNING, "", 0, text, None, None))


# -- results on stdout ----------------------------------------------------------------------------


PLAINLY = "kahnban.plainly"
_PLAIN = str.maketrans("✓✗–↻∅▶⏱■○●◆…→─│━·", "+x-=0>~#oo#~>-|#.")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Give a sign of ours that the terminal lacks as one that it has, as wide as the sign."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(_PLAIN)
    return lacking.encode("ascii", "backslashreplace").decode("ascii"), error.end


def prepare_streams() -> None:
    """Make printing safe: no character that a terminal lacks, and no missing stream, raises."""
    codecs.register_error(PLAINLY, _plainly)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open for the whole command
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAINLY)


def shown(text: str) -> str:
    """Give what others wrote, several lines perhaps, so that no terminal obeys it."""
    return "\n".join(printable_lines(text))


def complain(error: EngineError, mask: Callable[[str], str]) -> None:
    """Print what is wrong, each fault with its hint, masked and harmless: it may quote anything."""
    coloured = wants_colour(sys.stderr, os.environ)
    for message, hint in error.complaints():
        for word, code, text in (("error", 31, message), ("hint", 36, pasteable(hint))):
            if text:
                head = f"\x1b[{code}m{word}:\x1b[0m" if coloured else f"{word}:"
                sys.stderr.write(f"{head} {shown(mask(text))}\n")


def print_result(text: str) -> None:
    """Print a result on stdout; raises as `print_parts` does."""
    print_parts((text, "\n"))


def print_parts(parts: Iterable[str]) -> bool:
    """Print a result as it comes; False once the reader has seen enough (`| head`): no error.

    Raises `EngineError` where it cannot be written for another reason, such as a full disk.
    """
    try:
        for part in parts:
            sys.stdout.write(part)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
        return False
    except OSError as error:
        _discard_stdout()
        reason = (error.strerror or str(error)).lower()
        raise EngineError(
            f"cannot write to standard output: {reason}", hint="make room there, or pipe it on"
        ) from error
    return True


def finish_output() -> None:
    """Flush stdout at the command's end, so that the interpreter has nothing left to fail on."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _discard_stdout()


def _discard_stdout() -> None:
    """Send what is still buffered, and all that follows, nowhere."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        sys.stdout.flush()


def say_undelivered(count: int) -> None:
    """Say, beside a result, that alerts wait to be sent."""
    if count:
        said = f"{count} alert{'s' if count > 1 else ''} undelivered: see `alerts`"
        sys.stderr.write(f"{pasteable(said)}\n")


def say_lost(told: str) -> None:
    """Say, beside a result, that the store has lost what was recorded in it."""
    if told:
        see = pasteable("see `db verify`")
        sys.stderr.write(f"the store has lost what was recorded: {told}; {see}\n")


def width() -> int:
    """Columns of the terminal, 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def colour() -> bool:
    """Whether results are coloured."""
    return wants_colour(sys.stdout, os.environ)


def print_json(value: Any) -> None:
    """Print a result as JSON; what JSON lacks becomes text."""
    print_result(printable_json(json.dumps(value, ensure_ascii=False, indent=2, default=str)))
