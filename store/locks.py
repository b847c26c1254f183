"""Who is alive: kernel-held locks, one file per workflow beside the store.

A lock dies with its process, so a run that says `running` while its lock is free has no engine.
The file also holds who took it, how far the record of its last run reaches (its head), and, per
worker lane, the attempt begun last: written without a commit, kept by the kernel when the process
is killed. So a reader of a dead run's file knows what had surely started, and what the store has
surely had. A file left behind means nothing, and none is ever removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import mmap
import os
import struct
import threading
import weakref
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from engine.errors import StoreError
from engine.records import record
from store import mounts

_OWNER_SIZE = 480
_HEADER_SIZE = 512
_HEAD = struct.Struct("<qq")  # run, events committed; between the owner and the marks
_MARK = struct.Struct("<qqqq")  # run, step position, attempt number, start in microseconds
_MARK_SIZE, _pack_mark = _MARK.size, _MARK.pack
_MAPPED_SIZE = 1 << 16  # room for 2,032 lanes, more than there can be
# Where space set aside once stays ours: elsewhere a full disk would kill who writes to a mapping.
_MAPPABLE = frozenset({"ext2", "ext3", "ext4", "xfs", "tmpfs"})
RESTORING = ".restore"  # the lock of who puts another store in place: no workflow has this name
_ACQUIRE_TRIES = 6  # a probe by another command holds the lock for microseconds
_ACQUIRE_PAUSE_S = 0.02


@record
class Owner:
    """A process, told apart from any other of this machine, dead or alive."""

    lock: str
    pid: int
    boot_id: str
    started: int  # clock ticks since boot, as /proc gives it

    def engine(self, run_id: int) -> str:
        """The process that runs this run, as its step processes name it in their environment."""
        return f"{self.boot_id}-{self.pid}-{self.started}-{run_id}"

    def to_text(self) -> str:
        """Give the form kept in the store; of the longest name, it still fits a lock's header."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Owner | None:
        """Read what `to_text` gave; None for anything else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None


class Mark(NamedTuple):
    """An attempt that a lane had surely begun, and when (microseconds since 1970)."""

    run_id: int
    step: int
    number: int
    at_us: int


class Head(NamedTuple):
    """How many events of a run had surely been committed."""

    run_id: int
    events: int


def this_process(lock: str) -> Owner:
    """Give the identity of the calling process, holding the lock file named `lock`."""
    pid = os.getpid()
    return Owner(lock, pid, _boot_id(), _started(pid) or 0)


def process_lives(owner: Owner) -> bool:
    """Whether exactly that process still exists on this machine."""
    return owner.boot_id == _boot_id() and _started(owner.pid) == owner.started


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()  # the name may hold anything, also ')'
    return None if fields[0] in {b"Z", b"X"} else int(fields[19])


def folder(store: Path) -> Path:
    """Where the locks of a store lie: beside the file itself, whatever links lead to it."""
    real = Path(os.path.realpath(store))
    return real.with_name(real.name + ".locks")


class RunLock:
    """An exclusive lock for the life of a run; freed by `release` or the process's end."""

    def __init__(self, path: Path, fd: int) -> None:
        """Take over a locked descriptor (see `acquire`)."""
        self.path = path
        self._fd = fd
        self._map: mmap.mmap | None = None
        self._head_run = 0
        _taken.add(self)

    @property
    def name(self) -> str:
        """The file's name, by which a run's row refers to its lock."""
        return self.path.name

    def marks(self) -> list[Mark]:
        """What the last holder's lanes had begun."""
        data = os.pread(self._fd, os.fstat(self._fd).st_size, 0)[_HEADER_SIZE:]
        whole = len(data) - len(data) % _MARK.size
        marks = (Mark(*fields) for fields in _MARK.iter_unpack(data[:whole]))
        return [mark for mark in marks if mark.run_id]

    def begin(self, owner: Owner) -> None:
        """Write who holds the lock, and forget the last holder's marks; the head stays."""
        head = self.head()
        text = owner.to_text().encode().ljust(_OWNER_SIZE - 1) + b"\n"
        if self._map is not None:
            self._map.close()
        os.ftruncate(self._fd, _HEADER_SIZE)  # room once had is kept: the disk may be full
        os.pwrite(self._fd, text[:_OWNER_SIZE] + _HEAD.pack(*head), 0)
        self._map = _mapped(self._fd)

    def head(self) -> Head:
        """How far the record of the last run under this lock reached."""
        return _read_head(self._fd)

    def reached(self, run_id: int, events: int) -> None:
        """Write that so many events of a run are committed, once they are.

        In steps of which each leaves a head that is no further than the truth: a reader may look,
        or the process may be killed, between any two.
        """
        if self._head_run != run_id:
            self._head_run = run_id
            self._put(_HEAD.pack(0, 0), _OWNER_SIZE)
            self._put(_HEAD.pack(run_id, 0), _OWNER_SIZE)
        self._put(_HEAD.pack(run_id, events), _OWNER_SIZE)

    def mark(self, lane: int, mark: Mark | tuple[int, int, int, int]) -> None:
        """Record that `lane` begins an attempt. About a microsecond; a full disk is ignored.

        A system call would let go of the interpreter lock, which a thread gets back only after
        others have had their turn: through the mapping a run of short steps is a fifth quicker.
        """
        # What `_put` does; by another call it takes a tenth longer.
        at = _HEADER_SIZE + lane * _MARK_SIZE
        if self._map is not None and at + _MARK_SIZE <= _MAPPED_SIZE:
            try:
                self._map[at : at + _MARK_SIZE] = _pack_mark(*mark)
            except ValueError:  # released meanwhile
                return
        else:
            self._put(_pack_mark(*mark), at)

    def _put(self, data: bytes, at: int) -> None:
        try:  # not `suppress`: it takes longer than what is in here
            if self._map is not None and at + len(data) <= _MAPPED_SIZE:
                self._map[at : at + len(data)] = data
            else:
                os.pwrite(self._fd, data, at)
        except (OSError, ValueError):  # ValueError: released meanwhile
            return

    def release(self) -> None:
        """Free the lock; a second call does nothing."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)  # also where a child still has the descriptor
        self.forget()

    def forget(self) -> None:
        """Close our hold on the file without freeing the lock for others."""
        if self._map is not None:
            self._map.close()  # it has a descriptor of its own, which holds the lock too
            self._map = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_taken: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    """A child that a step forks must not keep the lock of its dead engine."""
    for lock in list(_taken):
        lock.forget()


os.register_at_fork(after_in_child=_forget_in_child)


def _mapped(fd: int) -> mmap.mmap | None:
    """Map the lock file's marks into memory, where the file system makes that safe."""
    try:
        if mounts.of_device(os.fstat(fd).st_dev) not in _MAPPABLE:
            return None
        os.posix_fallocate(fd, 0, _MAPPED_SIZE)
        return mmap.mmap(fd, _MAPPED_SIZE)
    except (OSError, ValueError):
        return None


def _read_head(fd: int) -> Head:
    data = os.pread(fd, _HEAD.size, _OWNER_SIZE)
    if len(data) < _HEAD.size or data.isspace():  # an owner's line filled it, before there were any
        return Head(0, 0)
    return Head(*_HEAD.unpack(data))


def heads(store: Path) -> Iterator[tuple[str, Head]]:
    """Name of each lock file beside a store, and how far the record of its last run reached."""
    place = folder(store)
    if not place.is_dir():
        return
    for path in sorted(place.glob("*.lock")):
        head = head_of(path)
        if head.run_id > 0:
            yield path.name, head


def head_of(path: Path) -> Head:
    """How far the record of the last run under a lock file reached, if it can be read."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return _read_head(fd)
        finally:
            os.close(fd)
    return Head(0, 0)


def forget_heads(store: Path) -> None:
    """Let no run be remembered: the store that is there now is the truth from here on."""
    for path in folder(store).glob("*.lock"):
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if os.fstat(fd).st_size > _OWNER_SIZE:
                    os.pwrite(fd, _HEAD.pack(0, 0), _OWNER_SIZE)
                    os.fsync(fd)  # one that came back after a power cut would look like a loss
            finally:
                os.close(fd)


def acquire(store: Path, name: str) -> RunLock | None:
    """Take the lock called `name`, or None if another holds it.

    Raises `StoreError` where the lock file cannot be made or the file system has no locks.
    """
    path = folder(store) / f"{name}.lock"
    for _ in range(_ACQUIRE_TRIES):
        fd = _open(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            threading.Event().wait(_ACQUIRE_PAUSE_S)
            continue
        except OSError as error:
            os.close(fd)
            raise _lock_error(path, error) from None
        if _same_file(fd, path):
            with contextlib.suppress(OSError):  # the last holder is not the one who holds it now
                os.pwrite(fd, b" " * _OWNER_SIZE, 0)
            return RunLock(path, fd)
        os.close(fd)
    return None


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _lock_error(path, error) from None


def _lock_error(path: Path, error: OSError) -> StoreError:
    if error.errno in {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}:
        hint = "keep the store on a local disk: this file system has no locks"
    else:
        hint = "make the store's folder writable for this user, or name another with --store"
    return StoreError(f"cannot lock '{path}': {error.strerror}", hint=hint)


def _same_file(fd: int, path: Path) -> bool:
    """Whether the path still leads to the file locked; it may have been replaced meanwhile."""
    mine = os.fstat(fd)
    try:
        there = path.stat()
    except OSError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def held(store: Path, name: str) -> bool:
    """Whether somebody holds the lock file `name` (with its ending); looks without creating it."""
    return is_refused(folder(store) / name, fcntl.LOCK_SH)


def is_refused(path: Path, kind: int) -> bool:
    """Whether what others hold keeps this process from locking a file so; makes nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def held_names(store: Path) -> Iterator[str]:
    """Names of the lock files that somebody holds now."""
    place = folder(store)
    if place.is_dir():
        for path in sorted(place.iterdir()):
            if path.name.endswith(".lock") and held(store, path.name):
                yield path.name


def alive(store: Path, run_id: int, owner_text: str) -> bool:
    """Whether the engine behind a run still runs, by the `owner` that its row names.

    The kernel's answer counts; a lock that cannot be looked at falls back to the process.
    """
    owner = Owner.from_text(owner_text)
    if owner is None:
        return False
    path = folder(store) / owner.lock
    if not os.access(path, os.R_OK):
        return process_lives(owner)
    if held(store, owner.lock) and _holder_is(path, owner):
        return True
    return _holds_a_lost_file(owner, run_id, head_of(path))


def left_behind(lock: RunLock, run_id: int, owner: Owner | None) -> bool:
    """Whether a run that says `running` has no engine any more, now that its lock is ours."""
    return owner is None or not _holds_a_lost_file(owner, run_id, lock.head())


def _holds_a_lost_file(owner: Owner, run_id: int, head: Head) -> bool:
    """Whether an engine lives and holds a lock file that somebody has removed.

    The one in its place knows nothing of the run. A process that lives on after its run, as a
    program that calls the engine does, has left a lock file that does.
    """
    return head.run_id != run_id and owner.pid != os.getpid() and process_lives(owner)


def _holder_is(path: Path, owner: Owner) -> bool:
    """Whether the file names `owner`: the lock may be held by a later run."""
    try:
        with path.open("rb") as file:
            header = file.read(_OWNER_SIZE)
    except OSError:
        return True
    return Owner.from_text(header.decode("utf-8", "replace")) == owner
