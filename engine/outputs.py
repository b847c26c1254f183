"""Files a step writes: a temporary beside the target, renamed once the success is committed.

A target appears whole or not at all. `Outputs` collects what one attempt wrote, `publish` does the
renames (again, if a crash came between), `matches` tells on resume whether a file still is what
was recorded. The store's own files are never opened here: closing any handle on them would drop
SQLite's locks.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import threading
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine.errors import StoreError, SupersededError, UsageError
from engine.produced import OutputFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MODES = frozenset({"w", "wt", "wb"})
TEMPORARY_PREFIX = ".kahnban-"
NEW_FILE_MODE = 0o666  # what `open` asks for; the umask takes its part

_URL_OPTIONS = re.compile(r"\?\w+=[^/]*\Z")  # any other `?` is part of the name


class Pending:
    """One output on its way: written at `temporary`, meant for `target`."""

    def __init__(self, outputs: Outputs, target: Path, temporary: Path, mode: int | None) -> None:
        self.target = target
        self.temporary = temporary
        self._outputs = outputs
        self._mode = mode

    def finish(self) -> OutputFile:
        """Make the written file durable, measure it and collect it for publishing.

        Raises `UsageError` if nothing was written there, `SupersededError` if the attempt has
        been closed; the temporary is then gone.
        """
        try:
            self._outputs.refuse_closed()
            sha256, size = self._seal()
        except BaseException:
            self.abandon()
            raise
        file = OutputFile(str(self.temporary), str(self.target), sha256, size)
        self._outputs.collect(self, file)
        return file

    def _seal(self) -> tuple[str, int]:
        # Opened anew by name: a tool may have replaced the file rather than written into it.
        try:
            file = _open_regular(self.temporary)
        except FileNotFoundError:
            raise UsageError(
                f"output '{self.target}' was not written",
                hint="write to the file that was handed out; it becomes the target at success",
            ) from None
        with file:
            fd = file.fileno()
            if self._mode is not None:
                os.fchmod(fd, self._mode)
            os.fsync(fd)
            _sync_folder(self.temporary.parent)  # its name too, before the success is committed
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return sha256, os.fstat(fd).st_size

    def abandon(self) -> None:
        """Remove the temporary; the target may then be written again in this attempt."""
        self._outputs.forget(self)
        _unlink(self.temporary)


class Outputs:
    """The output files of one attempt; safe to close from another thread."""

    def __init__(
        self,
        root: Path,
        label: str,
        store_url: str = "",
        *,
        reject: Callable[[str], bool] = lambda _: False,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        """Take relative paths from `root`; `label` (run-step-attempt) marks the temporaries.

        `reject` says whether a path, which is recorded, holds a secret; `announce` is told of each
        temporary before it is made.
        """
        self._announce = announce
        self._root = root
        self._reject = reject
        self._label = label
        self._store_file = store_file(store_url)
        self._lock = threading.Lock()
        self._taken: dict[Path, Pending] = {}
        self._files: list[OutputFile] = []
        self._closed = False

    @property
    def files(self) -> tuple[OutputFile, ...]:
        """What is ready to be published, in the order in which it was finished."""
        with self._lock:
            return tuple(self._files)

    @contextlib.contextmanager
    def open(
        self,
        path: str | os.PathLike[str],
        mode: str = "w",
        *,
        encoding: str | None = "utf-8",
        newline: str | None = None,
    ) -> Iterator[IO[Any]]:
        """Give a file to write; leaving the block without an exception collects it."""
        check_mode(path, mode)
        text = {} if mode == "wb" else {"encoding": encoding, "newline": newline}
        pending = self.begin(path)
        try:
            with open(pending.temporary, mode, **text) as file:  # type: ignore[call-overload]  # noqa: PTH123 - text, as the store keeps it
                yield file
        except BaseException:
            pending.abandon()
            raise
        pending.finish()

    def begin(self, path: str | os.PathLike[str], *, create: bool = True) -> Pending:
        """Check the target, make its folders and, unless told not to, the empty temporary.

        Raises `UsageError` for a folder, for a target of this attempt and for the store's files.
        """
        target = self.target_of(path)
        mode = _mode_of(target)
        # The process id keeps apart two engines that write for the same target at once.
        digest = hashlib.sha256(os.fsencode(target)).hexdigest()[:8]
        name = f"{TEMPORARY_PREFIX}{self._label}-{os.getpid()}-{digest}.tmp"
        pending = Pending(self, target, target.parent / name, mode)
        self.take(pending)
        try:
            if self._announce is not None:
                self._announce(str(pending.temporary))
            _make_folders(target.parent)
            if create:
                _create(pending.temporary, mode)
        except BaseException:
            self.forget(pending)
            raise
        return pending

    def take(self, pending: Pending) -> None:
        """Let nothing else of this attempt write for its target."""
        with self._lock:
            self.refuse_closed()
            if pending.target in self._taken:
                raise UsageError(
                    f"output '{pending.target}' is written twice in one attempt",
                    hint="write it once, or give the second one another name",
                )
            self._taken[pending.target] = pending

    def target_of(self, path: str | os.PathLike[str]) -> Path:
        """Give the file that `path` means. Raises `UsageError` if it cannot be an output."""
        # A link is followed, as `open` would: what it points to is replaced, not the link.
        target = Path(os.path.realpath(self._root / os.fspath(path)))
        # Only what the step chose: the project's own place is in every path.
        if self._reject(str(target).removeprefix(f"{os.path.realpath(self._root)}{os.sep}")):
            raise UsageError(
                "the path of an output holds a registered secret",
                hint="paths are recorded as they are; name the file after something else",
            )
        if target.is_dir():
            raise UsageError(f"output '{target}' is a folder", hint="name a file inside it")
        own = self._store_file
        if own and target.parent == own.parent and target.name.startswith(own.name):
            raise UsageError(
                f"output '{target}' belongs to the store '{own}'", hint="choose another name"
            )
        return target

    def collect(self, pending: Pending, file: OutputFile) -> None:
        """Take a finished file in, unless the attempt has been closed meanwhile."""
        with self._lock:
            if not self._closed:
                self._files.append(file)
                return
        _unlink(pending.temporary)
        with self._lock:
            self.refuse_closed()

    def forget(self, pending: Pending) -> None:
        """Let go of a target that was not finished."""
        with self._lock:
            if self._taken.get(pending.target) is pending:
                del self._taken[pending.target]

    def discard(self) -> None:
        """Remove every temporary, finished or not, and refuse further outputs."""
        with self._lock:
            self._closed = True
            taken = list(self._taken.values())
            self._taken.clear()
            self._files.clear()
        for pending in taken:
            _unlink(pending.temporary)

    def refuse_closed(self) -> None:
        """Raise `SupersededError` once the attempt has been closed."""
        if self._closed:
            raise SupersededError(
                "the attempt is over: its outputs no longer count",
                hint="end the step's work within its timeout",
            )


def check_mode(path: str | os.PathLike[str], mode: str) -> None:
    """Raise `UsageError` for a mode that does not write a whole file."""
    if mode not in MODES:
        raise UsageError(
            f"output '{os.fspath(path)}' cannot be opened with mode {mode!r}",
            hint='use "w" for text or "wb" for bytes',
        )


def publish(files: Iterable[OutputFile]) -> None:
    """Rename temporaries to their targets, in order, and make the folders durable.

    May be repeated: a file whose temporary is gone and whose target has the recorded sha256 is
    done. Raises `StoreError` if neither is there, or the machine refuses.
    """
    folders: dict[str, None] = {}
    for file in files:
        try:
            os.replace(file.temporary, file.target)  # noqa: PTH105 - text, as the store keeps it
        except FileNotFoundError:
            if not matches(file.target, file.sha256):
                raise StoreError(
                    f"output '{file.target}' is lost: its temporary '{file.temporary}' is gone",
                    hint="run the step again",
                ) from None
        except OSError as error:
            raise _cannot_publish(file.target, error) from error
        folders[os.path.dirname(file.target)] = None  # noqa: PTH120 - text, as the store keeps it
    for folder in folders:
        try:
            _sync_folder(folder)
        except OSError as error:
            raise _cannot_publish(folder, error) from error


def _cannot_publish(target: str, error: OSError) -> StoreError:
    return StoreError(
        f"cannot publish output '{target}': {error.strerror or error}",
        hint="make room or access there, then run the workflow again",
    )


def discard(files: Iterable[OutputFile]) -> None:
    """Remove the temporaries of an attempt that does not count."""
    for file in files:
        _unlink(Path(file.temporary))


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Digest a regular file's bytes; raises `OSError` for anything else, links included."""
    with _open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matches(target: str | os.PathLike[str], sha256: str) -> bool:
    """Tell whether `target` is there and unaltered."""
    try:
        return file_sha256(target) == sha256
    except OSError:
        return False


def store_file(url: str) -> Path | None:
    """Give the database file that a store's URL names, None if it names none."""
    scheme, separator, rest = url.partition(":///")
    if not separator or scheme.partition("+")[0] != "sqlite":
        return None
    name = _URL_OPTIONS.sub("", rest).removeprefix("file:")
    return Path(os.path.realpath(name)) if name and name != ":memory:" else None


def _open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return open(fd, "rb")  # noqa: PTH123 - a descriptor, not a path
    os.close(fd)
    raise OSError(f"'{os.fspath(path)}' is not a regular file")


def _mode_of(target: Path) -> int | None:
    try:
        return stat.S_IMODE(target.stat().st_mode) & 0o777
    except FileNotFoundError:
        return None


def _create(temporary: Path, mode: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # A replaced file's own mode is set at the end; until then nobody else may read along.
    wanted = NEW_FILE_MODE if mode is None else 0o600
    try:
        fd = os.open(temporary, flags, wanted)
    except FileExistsError:
        # Left by an engine of the same process id that died: no living one has this name.
        _unlink(temporary)
        fd = os.open(temporary, flags, wanted)
    os.close(fd)


def _make_folders(folder: Path) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        _sync_folder(new.parent)


def _sync_folder(folder: str | os.PathLike[str]) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
