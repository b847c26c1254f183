"""A file that only takes up room: given up on a full disk, so that a run's end can be recorded."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from store.connection import Database

SIZE_BYTES = 1 << 20
ROOM = 4  # made only where that many times its size is free


def file_of(store: Path) -> Path:
    """Name the reserve of a store."""
    return Path(os.path.realpath(store) + ".reserve")


def keep(store: Path) -> None:
    """Make the reserve where it is missing and there is room; nothing depends on it."""
    path = file_of(store)
    with contextlib.suppress(OSError):
        if path.exists():
            return
        disk = os.statvfs(path.parent)
        if disk.f_bavail * disk.f_frsize < ROOM * SIZE_BYTES:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        try:
            os.posix_fallocate(fd, 0, SIZE_BYTES)
        except OSError:
            path.unlink()
        finally:
            os.close(fd)


def give_up(database: Database) -> None:
    """Let the room go, and that which the write-ahead log takes up twice."""
    with contextlib.suppress(OSError):
        file_of(database.path).unlink()
    database.checkpoint()
