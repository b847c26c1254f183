"""The warden: a tiny process that outlives its engine by a moment and takes its steps along.

It waits at a pipe that nobody but the engine holds open; the kernel closes it at the engine's
death, however that comes. Then every process with the engine's marker, or with the run's steps lock
open, is killed, again until none is left. Run as `python -I -S`: it imports procfs and nothing else
of ours.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

from engine.workers import procfs
from engine.workers.procfs import Process

Spares = Callable[[str], bool]

_ROUND_S = 0.02
_SERVER_ROUNDS = 50
_ROUNDS_MAX = 250  # what cannot be killed within five seconds cannot be killed


class StepProcess(NamedTuple):
    """A living step process; `attempt` is RUN/STEP POSITION/NUMBER.

    It is empty for the fork server and what that has forked, None for one that carries no marker.
    """

    process: Process
    attempt: str | None


def left(engine: str, lock: tuple[int, int] | None, spares: Spares) -> list[StepProcess]:
    """Give the living step processes of an engine, less those of attempts that are spared.

    One with the lock open and no marker (it has cleared its environment) is one of them too, and
    so is whatever is below one.
    """
    among = procfs.processes()
    among.pop(os.getpid(), None)
    markers = {pid: procfs.marker_of(pid) for pid in among}
    found: dict[int, str | None] = {
        pid: marker.attempt
        for pid, marker in markers.items()
        if marker is not None and marker.engine == engine and not spares(marker.attempt)
    }
    if lock is not None:
        unmarked = [pid for pid, marker in markers.items() if marker is None and pid not in found]
        # The engine itself holds it too, as long as it lives.
        holders = procfs.holders(lock, unmarked)
        found |= {pid: None for pid in holders if not _is(among[pid], engine)}
    found = dict.fromkeys(procfs.below(found, among)) | found
    return [StepProcess(among[pid], found[pid]) for pid in sorted(found)]


def _is(process: Process, engine: str) -> bool:
    return engine.endswith(f"-{process.pid}-{process.started}")


def end_all(engine: str, lock: tuple[int, int] | None, spares: Spares) -> list[StepProcess]:
    """Kill them until none is left; give those that cannot be killed.

    The fork server has a moment to do its part: it finds whatever is below it, by no marker. Were
    it killed first, its orphans would be nobody's.
    """
    found: list[StepProcess] = []
    for turn in range(_ROUNDS_MAX):
        found = left(engine, lock, spares)
        if not found:
            break
        for process, attempt in found:
            if attempt != "" or turn >= _SERVER_ROUNDS:
                procfs.send(process, signal.SIGKILL)
        pause()
    return found


def pause() -> None:
    """Wait for a moment, without the clock: this is a program of its own."""
    select.select([], [], [], _ROUND_S)


def watch(engine: str, lock: tuple[int, int] | None) -> None:
    """Wait for the engine's end: `ok ATTEMPT` spares what that one leaves, `end` all there is."""
    spared: set[str] = set()
    with os.fdopen(0, "rb") as pipe:
        for line in pipe:
            word, _, attempt = line.decode().strip().partition(" ")
            if word == "end":
                return
            spared.add(attempt)
    end_all(engine, lock, spared.__contains__)


def main() -> None:
    """Start from `ENGINE DEVICE INODE` on the command line."""
    engine, device, inode = sys.argv[1:]
    watch(engine, (int(device), int(inode)))
