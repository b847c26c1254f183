"""What /proc tells of processes: who is there, whose child, with which marker in its environment.

Reads nothing but /proc and imports nothing of ours: the warden uses it too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

ENGINE_VARIABLE = "KAHNBAN_ENGINE"
ATTEMPT_VARIABLE = "KAHNBAN_ATTEMPT_ID"
_SHOWN_CHARS = 60
_TICKS = os.sysconf("SC_CLK_TCK")  # in a second

File = tuple[int, int]  # device and inode


class Marker(NamedTuple):
    """What every process of an attempt carries in its environment: which engine, which attempt.

    `engine` is `BOOT-PID-START-RUN`, `attempt` is `RUN/STEP POSITION/NUMBER`.
    """

    engine: str
    attempt: str = ""

    def variables(self) -> dict[str, str]:
        """Give it as environment variables."""
        found = {ENGINE_VARIABLE: self.engine, ATTEMPT_VARIABLE: self.attempt}
        return {name: text for name, text in found.items() if text}


class Process(NamedTuple):
    """A living process; `started` (clock ticks since boot) tells it from a later one."""

    pid: int
    parent: int
    group: int
    session: int
    started: int
    name: str


def look_at(pid: int) -> Process | None:
    """Give a process; None if it is gone, or dead and only not yet reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - of each process
            head, _, tail = file.read().rpartition(b")")
    except OSError:
        return None
    fields = tail.split()  # the name before may hold anything, also ')'
    if len(fields) < 20 or fields[0] in b"ZX":
        return None
    name = head.partition(b"(")[2].decode("utf-8", "backslashreplace")
    parent, group, session = map(int, fields[1:4])
    return Process(pid, parent, group, session, int(fields[19]), name)


def ticks_ago(age_s: float) -> float:
    """Give what `started` is of a process of this age; nothing is so young if that is unknown."""
    try:
        with open("/proc/uptime", "rb") as file:  # noqa: PTH123 - as above
            return (float(file.read().split()[0]) - age_s) * _TICKS
    except (OSError, ValueError):
        return float("inf")


def processes() -> dict[int, Process]:
    """Give all living processes, by number."""
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - some hundred names, no paths needed
    except OSError:
        return {}
    found = (look_at(int(name)) for name in names if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def children_of(pid: int, thread: int | None = None) -> list[int]:
    """Give the children of a process, or of one thread of it."""
    try:
        threads = os.listdir(f"/proc/{pid}/task") if thread is None else [thread]  # noqa: PTH208 - as above
        return [child for one in threads for child in _children(pid, one)]
    except OSError:  # not every kernel has it
        if thread is not None:
            return []
    return [process.pid for process in processes().values() if process.parent == pid]


def _children(pid: int, thread: int | str) -> list[int]:
    with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123 - as above
        return [int(word) for word in file.read().split()]


def below(tops: Iterable[int], among: Mapping[int, Process]) -> set[int]:
    """Give all descendants of `tops`, at any distance."""
    children: dict[int, list[int]] = {}
    for process in among.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    stack = list(tops)
    while stack:
        for child in children.get(stack.pop(), ()):
            if child not in found:
                found.add(child)
                stack.append(child)
    return found


def marker_of(pid: int) -> Marker | None:
    """Give the marker of a process, as it was started; None without one, or if it is not ours."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - of each process
            data = file.read()
    except OSError:
        return None
    if ENGINE_VARIABLE.encode() not in data:
        return None
    found = {}
    for entry in data.split(b"\0"):
        name, _, text = entry.partition(b"=")
        found[name] = text.decode("utf-8", "backslashreplace")
    engine = found.get(ENGINE_VARIABLE.encode())
    return Marker(engine, found.get(ATTEMPT_VARIABLE.encode(), "")) if engine else None


def open_files(pid: int) -> set[File]:
    """Give what a process has open; nothing if it is gone or may not be looked at."""
    folder = f"/proc/{pid}/fd"
    found = set()
    with suppress(OSError):
        for descriptor in os.listdir(folder):  # noqa: PTH208 - of each process
            with suppress(OSError):
                status = os.stat(f"{folder}/{descriptor}")  # noqa: PTH116 - as above
                found.add((status.st_dev, status.st_ino))
    return found


def send(process: Process, number: signal.Signals) -> bool:
    """Signal exactly this process; false if it is gone or may not be signalled."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except PermissionError:  # no such call in this sandbox: the number has to do
        return _send_by_number(process, number)
    except OSError:
        return False
    try:
        found = look_at(process.pid)
        if found is None or found.started != process.started:
            return False
        signal.pidfd_send_signal(pidfd, number)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(pidfd)


def _send_by_number(process: Process, number: signal.Signals) -> bool:
    found = look_at(process.pid)
    if found is None or found.started != process.started:
        return False
    try:
        os.kill(process.pid, number)
    except OSError:
        return False
    return True


def shown(processes: Iterable[Process]) -> str:
    """Name processes for people: `123 (sleep 60), 124 (cat)`."""
    return ", ".join(f"{process.pid} ({command_of(process)})" for process in processes)


def command_of(process: Process) -> str:
    """Give its command line, cut; its name where that cannot be read."""
    try:
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:  # noqa: PTH123 - as above
            words = file.read(4 * _SHOWN_CHARS).rstrip(b"\0").split(b"\0")
    except OSError:
        words = []
    text = b" ".join(words).decode("utf-8", "backslashreplace").strip() or process.name
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
