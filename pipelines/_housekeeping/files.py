"""Large files that are new: looked for within bounds, and left alone."""

# A walk may see a million files; Path objects would double its time.
# ruff: noqa: PTH100, PTH111, PTH112, PTH116, PTH118

from __future__ import annotations

import heapq
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pipelines._housekeeping.shapes import LargeFile, LargeFiles
from pipelines._machine import disks

SHOWN = 20
ENTRIES_MAX = 1_000_000
LOOK_AT_CLOCK = 1000  # entries between two looks
LATER = frozenset({"/usr", "/nix", "/gnu", "/snap"})  # of packages: looked at last
BLOCK = 512  # what st_blocks counts in, whatever the file system's own blocks are
MB = 1_000_000
DAY_S = 86_400


class Wanted(NamedTuple):
    """Which files count: from this size on disk, changed since this moment."""

    size_bytes: int
    since_s: float


class Bounds(NamedTuple):
    """How far a walk may go: until `clock` says so late, and so many entries."""

    ends_s: float
    entries: int = ENTRIES_MAX
    clock: Callable[[], float] = time.monotonic


def look(ctx: Any) -> LargeFiles:
    """Find the largest new files under the given folders, or on all disks; at lowest priority.

    The step is isolated: the priority of its process is its own.
    """
    _be_polite()
    roots = named(ctx.params["roots"]) or [mount.path for mount in disks.mounts(ctx.paths.home)]
    since_s = datetime.now(UTC).timestamp() - ctx.params["new_days"] * DAY_S
    found = find(
        roots,
        Wanted(ctx.params["large_mb"] * MB, since_s),
        Bounds(time.monotonic() + ctx.params["walk_s"]),
        without=[str(ctx.paths.home)],
    )
    ctx.log.info("looked at %d entries: %d large files", found["looked_at"], found["count"])
    return found


def named(text: str) -> list[str]:
    """Read folders separated by `:`; one that is not there is an error, not an empty one."""
    roots = [os.path.abspath(os.path.expanduser(part)) for part in text.split(":") if part.strip()]
    for root in roots:
        if not os.path.isdir(root):
            raise ValueError(f"'{root}' is not a folder: give existing ones with --set roots=A:B")
    return roots


def find(
    roots: Iterable[str], wanted: Wanted, bounds: Bounds, *, without: Iterable[str] = ()
) -> LargeFiles:
    """Walk the roots together, level by level, each on its own file system, and follow no link."""
    walk = _Walk(wanted, bounds)
    starts = list(roots)
    for path in without:
        with suppress(OSError):
            walk.seen.add(_identity(os.stat(path)))
    walk.go(starts)
    largest = sorted(walk.largest, reverse=True)
    return LargeFiles(
        roots=[shown(root) for root in starts],
        files=[
            LargeFile(
                path=shown(path),
                size_bytes=size,
                changed_at=datetime.fromtimestamp(changed_s, UTC).isoformat(timespec="seconds"),
            )
            for size, path, changed_s in largest
        ],
        count=walk.count,
        total_bytes=walk.total_bytes,
        looked_at=walk.looked_at,
        unread=walk.unread,
        left=len(walk.waiting) + len(walk.later),
    )


def shown(path: str) -> str:
    """Give a path as text, also one that is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _be_polite() -> None:
    import psutil

    os.nice(19)
    with suppress(OSError, psutil.Error):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


class _Walk:
    """One walk: what is still to be opened, and what was found."""

    def __init__(self, wanted: Wanted, bounds: Bounds) -> None:
        self._wanted, self._bounds = wanted, bounds
        self.waiting: deque[tuple[str, int | None]] = deque()  # a folder, and its parent's device
        self.later: deque[tuple[str, int | None]] = deque()
        self.seen: set[tuple[int, int]] = set()  # folders, and files of several names
        self.largest: list[tuple[int, str, float]] = []
        self.count = self.total_bytes = self.looked_at = self.unread = 0

    def go(self, roots: Iterable[str]) -> None:
        self.waiting.extend((root, None) for root in roots)
        while folders := self.waiting or self.later:
            if self.looked_at >= self._bounds.entries or self._is_late():
                return
            path, device = folders.popleft()
            try:
                self._enter(path, device)
            except OSError:
                self.unread += 1

    def _is_late(self) -> bool:
        return self._bounds.clock() >= self._bounds.ends_s

    def _enter(self, path: str, device: int | None) -> None:
        # Looked at before it is opened: opening would have an automounter mount it.
        facts = os.lstat(path) if device is not None else os.stat(path)
        if device not in (None, facts.st_dev) or _identity(facts) in self.seen:
            return
        self.seen.add(_identity(facts))
        link = os.O_NOFOLLOW if device is not None else 0
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | link)
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    self.looked_at += 1
                    if not self.looked_at % LOOK_AT_CLOCK and self._is_late():
                        self.waiting.append((path, device))  # known to be left
                        return
                    self._take(entry, path, facts.st_dev)
        finally:
            os.close(fd)

    def _take(self, entry: os.DirEntry[str], folder: str, device: int) -> None:
        if entry.is_dir(follow_symlinks=False):
            path = os.path.join(folder, entry.name)
            (self.later if path in LATER else self.waiting).append((path, device))
        elif entry.is_file(follow_symlinks=False):
            with suppress(OSError):  # gone meanwhile
                self._weigh(entry.stat(follow_symlinks=False), os.path.join(folder, entry.name))

    def _weigh(self, facts: os.stat_result, path: str) -> None:
        size = facts.st_blocks * BLOCK  # a file may be larger than the room it takes
        # The time of change, not of modification: what was unpacked or copied is new, however old.
        if size < self._wanted.size_bytes or facts.st_ctime < self._wanted.since_s:
            return
        if not stat.S_ISREG(facts.st_mode) or _identity(facts) in self.seen:
            return
        self.seen.add(_identity(facts))
        self.count += 1
        self.total_bytes += size
        heapq.heappush(self.largest, (size, path, facts.st_ctime))
        if len(self.largest) > SHOWN:
            heapq.heappop(self.largest)
