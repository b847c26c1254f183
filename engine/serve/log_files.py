"""The logs of attempts, as far as a page may hold them: by names the store knows, and no link.

A log is opened by its name in the run's folder, never by what an address says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.logs import attempt_of, escape, log_name
from engine.serve.looking import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT_BYTES_MAX = 256_000  # of a page, and of what is added at once
FILES_MAX = 100_000  # of a folder, that are looked through


class Chunk(NamedTuple):
    """A part of a log, in whole lines, and where it begins and ends."""

    text: str
    begin: int
    end: int


@contextmanager
def folder_of(home: Path, workflow: str, run_id: int) -> Iterator[int | None]:
    """Open the folder of a run's logs, step by step from home on, and follow no link on the way."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    opened: list[int] = []
    try:
        with suppress(OSError):
            opened.append(os.open(home, flags))
            for name in ("logs", workflow, str(run_id)):
                if name in ("", ".", "..") or "/" in name or "\0" in name:
                    break
                opened.append(os.open(name, flags | os.O_NOFOLLOW, dir_fd=opened[-1]))
        yield opened[-1] if len(opened) == 4 else None
    finally:
        for each in opened:
            os.close(each)


def names_in(folder: int | None) -> dict[tuple[str, int], int]:
    """Give the size of each log in a run's folder, by step and attempt."""
    found: dict[tuple[str, int], int] = {}
    if folder is None:
        return found
    with os.scandir(folder) as entries:
        for at, entry in enumerate(entries):
            log = attempt_of(entry.name)
            if at >= FILES_MAX:
                break
            if log and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    found[log] = entry.stat(follow_symlinks=False).st_size
    return found


def read(
    folder: int | None, step: str, number: int, at: int | None, mask: Callable[[str], str]
) -> Chunk:
    """Give a log from a place on, or, without one, its end; masked and made harmless."""
    name = log_name(step, number)
    if folder is None or "/" in name or "\0" in name:
        return Chunk("", 0, 0)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        return Chunk("", 0, 0)
    except OSError as error:
        told = f"the log of '{step}' cannot be read: {error.strerror}"
        raise Problem(404, "Not here", told) from error
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise Problem(404, "Not here", f"the log of '{step}' is no file")
        begin = max(0, found.st_size - TEXT_BYTES_MAX) if at is None else at
        data = os.pread(file, TEXT_BYTES_MAX, begin) if begin < found.st_size else b""
    finally:
        os.close(file)
    if at is None and begin and b"\n" in data:  # begin with a whole line
        cut = data.index(b"\n") + 1
        begin, data = begin + cut, data[cut:]
    whole = data.rfind(b"\n") + 1
    if not whole and len(data) == TEXT_BYTES_MAX:
        whole = len(data)
    text = data[:whole].decode("utf-8", "backslashreplace")
    lines = "\n".join(escape(line) for line in mask(text).split("\n"))
    return Chunk(lines, begin, begin + whole)
