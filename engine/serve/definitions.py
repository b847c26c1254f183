"""What the project's files define, as the dashboard knows it: read beside the server, at need.

The server shows what it knows. A file that hangs or crashes is told as broken; no page waits.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.definitions import loader
from engine.records import record
from engine.schedule.firings import firings, zone_of
from engine.schedule.reading import read_schedule

if TYPE_CHECKING:
    from engine.ports import Clock

LOAD_S = 10.0  # for one file
AGAIN_S = 300.0  # a file may import others, whose changes its own date does not tell
LOOK_S = 2.0
FIRST_WAIT_S = 0.1  # for who is as quick as the first file
LINE_BYTES_MAX = 1_000_000
FILES_MAX = 1_000

# Our own package may be found only by where the server was started; at the end it hides nothing.
_PROGRAM = """\
import sys
sys.path.append(sys.argv.pop(1))
from engine.serve.loading import main
main(sys.argv[1:])
"""

_Stamp = tuple[tuple[str, int, int], ...]


@record
class Defined:
    """A workflow's file: what it defines, or what is wrong with it; when it is due next."""

    name: str
    description: str = ""
    steps: int = 0
    schedule: str = ""
    calendar: str = ""
    zone: str = ""
    broken: str = ""
    due: datetime | None = None


class Definitions:
    """The workflows of a folder."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Know nothing yet."""
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Defined] = {}
        self._stamp: _Stamp | None = None
        self._loaded_at = self._looked_at = float("-inf")
        self._first = threading.Event()
        self._reading = False
        self._child: subprocess.Popen[bytes] | None = None

    def known(self) -> Mapping[str, Defined]:
        """Give what is known so far, by name.

        Has it read again, in the background, where a file has changed.
        """
        self._refresh()
        if not self._known:
            self._first.wait(FIRST_WAIT_S)
        return self._known

    @property
    def is_whole(self) -> bool:
        """Whether all files have been read once."""
        return self._first.is_set()

    def end(self) -> None:
        """Leave no process behind that is still loading."""
        if self._child is not None:
            _kill(self._child)

    def _refresh(self) -> None:
        with self._lock:
            now = self._clock.now()
            if self._reading or now - self._looked_at < LOOK_S:
                return
            self._looked_at = now
            stamp = _stamp(self._folder)
            overdue = any(
                each.due and each.due <= self._clock.utc() for each in self._known.values()
            )
            if stamp == self._stamp and now - self._loaded_at < AGAIN_S and not overdue:
                return
            self._reading = True
        threading.Thread(target=self._read, args=(stamp,), daemon=True).start()

    def _begun(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child

    def _read(self, stamp: _Stamp) -> None:
        try:
            found: dict[str, Defined] = {}
            names = [name for name, _, _ in stamp]
            for each in load_all(self._folder, names, begun=self._begun):
                found[each.name] = _with_due(each, self._clock.utc())
                self._known = self._known | {each.name: found[each.name]}
            self._known = found
            self._stamp = stamp
        finally:
            self._child = None
            self._loaded_at = self._clock.now()
            self._reading = False
            self._first.set()


def _with_due(defined: Defined, now: datetime) -> Defined:
    if not defined.calendar:
        return defined
    schedule = read_schedule(defined.calendar)
    return replace(defined, due=next(firings(schedule, zone_of(schedule), now), None))


def _stamp(folder: Path) -> _Stamp:
    """Give the files of workflows, and by what a change of them shows."""
    found = []
    with contextlib.suppress(OSError):
        for path in loader.files_of(folder)[:FILES_MAX]:
            with contextlib.suppress(OSError):
                stat = path.stat()
                found.append((path.name, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def load_all(
    folder: Path,
    names: Iterable[str],
    limit_s: float = LOAD_S,
    *,
    begun: Callable[[subprocess.Popen[bytes]], None] = lambda _: None,
) -> Iterator[Defined]:
    """Load files in processes beside this one, each for so long at most; tell each as it comes.

    `begun` is told of each process.
    """
    left = list(names)
    twice = _twice(left)
    for stem in twice:
        yield Defined(stem, broken="two files define it: keep one of them")
    left = [name for name in left if Path(name).stem not in twice]
    while left:
        child = _started(folder, left, limit_s)
        begun(child)
        # Its own alarm ends it before that, unless a file has put that off.
        timer = threading.Timer(limit_s * len(left) + 2, _kill, [child])
        timer.start()
        try:
            for told in _answers(child):
                if left and told.get("file") == left[0]:
                    left.pop(0)
                    if told["told"]:
                        yield Defined(**told["told"])
        finally:
            _end(child)
            timer.cancel()
        if left:  # the file that was being loaded ended the process
            yield Defined(Path(left.pop(0)).stem, broken=_why(child.returncode, limit_s))


def _twice(names: list[str]) -> list[str]:
    stems = [Path(name).stem for name in names]
    return sorted({stem for stem in stems if stems.count(stem) > 1})


def _started(folder: Path, names: list[str], limit_s: float) -> subprocess.Popen[bytes]:
    words = ["-P", "-c", _PROGRAM, str(Path(__file__).parents[2]), str(folder), str(limit_s)]
    return subprocess.Popen(
        [sys.executable, *words, *names],
        cwd=folder.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _answers(child: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Give what a child tells, as it tells it, to its end."""
    assert child.stdout is not None
    while line := child.stdout.readline(LINE_BYTES_MAX):
        try:
            yield json.loads(line)
        except ValueError:
            return


def _end(child: subprocess.Popen[bytes]) -> None:
    """Wait for a child's end, then, while its number is still its own, end what it has started."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    _kill(child)
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _why(code: int, limit_s: float) -> str:
    if code in (-signal.SIGALRM, -signal.SIGKILL):
        return f"it does not load within {limit_s:.0f} s"
    if code < 0:
        return f"loading it ends its process by signal {-code}"
    return f"loading it ends its process with code {code}"
