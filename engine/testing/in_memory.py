"""What a run would write to disk, held in memory: output files, attempt logs, big values."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from engine.ancestry import INITIAL
from engine.events import Action, EndStep
from engine.logs import FileLog, LogLine, RunLogs
from engine.outputs import Outputs, Pending, check_mode
from engine.ports import Clock, Paths
from engine.produced import Encoded, OutputFile
from engine.secrets import Secrets

Content = str | bytes
NO_TEMPORARY = Path("/proc/no-temporary")  # what nobody has, for who would remove it


class HeldFiles:
    """The output files of a run: those of its successful steps are in `published`."""

    def __init__(self, paths: Paths, folder: Path | None) -> None:
        """Hold nothing yet; what is published inside of `folder` is also written there."""
        self._paths, self._folder = paths, folder
        self._finished: dict[str, tuple[Content, bytes]] = {}
        self._names = map("held-{}".format, itertools.count(1))
        self.published: dict[str, Content] = {}

    def finish(self, content: Content, data: bytes) -> str:
        """Keep a file until it is published; gives a name for it."""
        name = next(self._names)
        self._finished[name] = content, data
        return name

    def publish(self, files: Iterable[OutputFile]) -> None:
        """Let the files of a successful step be seen."""
        for file in files:
            content, data = self._finished.pop(file.temporary)
            self.published[self._key(Path(file.target))] = content
            if self._is_real(Path(file.target)):
                Path(file.target).write_bytes(data)

    def make_folder_of(self, target: Path) -> None:
        """Make the folder of a file that is to be really there."""
        if self._is_real(target):
            target.parent.mkdir(parents=True, exist_ok=True)

    def _is_real(self, target: Path) -> bool:
        return self._folder is not None and target.is_relative_to(self._folder)

    def _key(self, target: Path) -> str:
        """Name a file as seen from the project; its home is `var`, wherever it is."""
        for place, prefix in ((self._paths.home, Path("var")), (self._paths.root, Path())):
            real = Path(os.path.realpath(place))
            if target.is_relative_to(real):
                return str(prefix / target.relative_to(real))
        return str(target)


class HeldOutputs(Outputs):
    """The output files of one attempt: real ones for who writes them, but on no disk."""

    def __init__(self, held: HeldFiles, *args: Any, **options: Any) -> None:
        """Take what `Outputs` takes, after where the files go."""
        super().__init__(*args, **options)
        self._held = held

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
        text: dict[str, Any] = {} if mode == "wb" else {"encoding": encoding, "newline": newline}
        target = self.target_of(path)
        pending = Pending(self, target, NO_TEMPORARY, None)
        self.take(pending)
        try:
            self._held.make_folder_of(target)
            with _memory() as (fd, own_name):
                with open(own_name, mode, **text) as file:  # noqa: PTH123 - as real outputs do
                    yield file
                with open(fd, "rb", closefd=False) as reading:
                    data = reading.read()
        except BaseException:
            self.forget(pending)
            raise
        content = data if mode == "wb" else data.decode(file.encoding)  # type: ignore[attr-defined]
        name = self._held.finish(content, data)
        sha256 = hashlib.sha256(data).hexdigest()
        self.collect(pending, OutputFile(name, str(target), sha256, len(data)))

    def discard(self) -> None:
        """Refuse further outputs; there are no temporaries."""
        with self._lock:
            self._closed = True
            self._taken.clear()
            self._files.clear()


@contextlib.contextmanager
def _memory() -> Iterator[tuple[int, str]]:
    """Give a file without a place: its descriptor, and a name for it, here and in children."""
    fd = os.memfd_create("kahnban-output")
    try:
        yield fd, f"/proc/{os.getpid()}/fd/{fd}"
    finally:
        os.close(fd)


class HeldLog(FileLog):
    """The log of one attempt, as lines in memory."""

    __slots__ = ("_held",)

    def __init__(self, logs: HeldLogs, step: str, number: int) -> None:
        super().__init__(logs, step, number)
        self._held = logs.lines.setdefault((step, number), [])

    def _put(self, data: bytes) -> None:
        self._held += data.decode().removesuffix("\n").split("\n")
        self._written += len(data)


class HeldLogs(RunLogs):
    """The attempt logs of a run: `lines` as a file would hold them, `texts` without time and kind.

    Both are by step and number of the attempt.
    """

    def __init__(self, *, run_id: int, clock: Clock, secrets: Secrets) -> None:
        """Hold nothing yet."""
        super().__init__(
            Path(os.devnull), run_id=run_id, clock=clock, mask=secrets.mask, forward=self._take
        )
        self.lines: dict[tuple[str, int], list[str]] = {}
        self.texts: dict[tuple[str, int], list[str]] = {}

    def open(self, step: str, number: int) -> HeldLog:
        """Give the log of an attempt."""
        return HeldLog(self, step, number)

    def text(self, step: str, number: int) -> list[str]:
        """Give what an attempt has logged."""
        return self.texts.get((step, number), [])

    def _take(self, line: LogLine) -> None:
        self.texts.setdefault((line.step, line.number), []).append(line.text)


class HeldValues:
    """Implements `engine.ports.Values`: all that was written; `writers` has who wrote each key."""

    def __init__(self, context: Iterable[tuple[str, Encoded]]) -> None:
        """Hold the initial context, which comes before all writers."""
        self._values = {(INITIAL, key): value for key, value in context}
        self.writers: dict[str, list[int]] = {key: [] for _, key in self._values}

    def observe(self, actions: Sequence[Action], now: float) -> None:
        """Take in what steps have written."""
        del now
        for action in actions:
            if type(action) is EndStep:
                for key, value in action.writes:
                    self._values[action.step, key] = value
                    self.writers.setdefault(key, []).append(action.step)

    def load(self, step: int, key: str) -> Encoded:
        """Give a value as stored."""
        return self._values[step, key]
