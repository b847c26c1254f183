"""Whether a step process of a dead engine still lives: a lock that step processes share.

Beside a workflow's `NAME.lock`, which dies with the engine, lies `NAME.steps`: the engine holds a
shared lock on it and hands the descriptor to every step process. Once the engine is dead the kernel
still tells of those that live, by no number that could be somebody else's by now.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from engine.errors import StoreError
from store import locks

SUFFIX = ".steps"

File = tuple[int, int]  # device and inode, by which an open descriptor of it is known


class StepsLock:
    """The shared lock of one run's step processes; `fd` is what they are handed."""

    def __init__(self, path: Path) -> None:
        """Take it. Raises `StoreError` where the file cannot be made or locked."""
        self.path = path
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self.fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open '{path}': {error.strerror}") from None
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH)  # one who looks holds it for microseconds
        except OSError as error:
            os.close(self.fd)
            raise StoreError(f"cannot lock '{path}': {error.strerror}") from None

    def close(self) -> None:
        """Let go of it; those that were handed it keep it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def of(lock: locks.RunLock) -> StepsLock:
    """Take the one that belongs to a run's lock."""
    return StepsLock(lock.path.with_suffix(SUFFIX))


def files_of(lock: Path) -> tuple[File, File] | None:
    """Give the steps lock's file and that of the run's `lock` beside it; None without both."""
    try:
        return _file(lock.with_suffix(SUFFIX)), _file(lock)
    except OSError:
        return None


def _file(path: Path) -> File:
    status = path.stat()
    return status.st_dev, status.st_ino


def is_held(store: Path, lock_name: str) -> bool:
    """Whether a process of a run under the lock file `lock_name` holds it; makes nothing."""
    return locks.is_refused(_path(store, lock_name), fcntl.LOCK_EX)


def _path(store: Path, lock_name: str) -> Path:
    return (locks.folder(store) / lock_name).with_suffix(SUFFIX)
