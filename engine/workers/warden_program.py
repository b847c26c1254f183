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
from collections.abc import Set as AbstractSet

from engine.workers import procfs
from engine.workers.procfs import Marker, Process

_ROUND_S = 0.02
_ROUNDS_MAX = 250  # what cannot be killed within five seconds cannot be killed


def left(engine: str, lock: tuple[int, int] | None, spared: AbstractSet[str]) -> list[Process]:
    """Give the living step processes of an engine, less those of the attempts in `spared`.

    One with the lock open and no marker (it has cleared its environment) is one of them too.
    """
    among = procfs.processes()
    among.pop(os.getpid(), None)
    markers = {pid: procfs.marker_of(pid) for pid in among}
    found = {pid for pid, marker in markers.items() if _counts(marker, engine, spared)}
    if lock is not None:
        unmarked = [pid for pid, marker in markers.items() if marker is None and pid not in found]
        # The engine itself holds it too, as long as it lives.
        found |= {pid for pid in procfs.holders(lock, unmarked) if not _is(among[pid], engine)}
    return [among[pid] for pid in sorted(found)]


def _counts(marker: Marker | None, engine: str, spared: AbstractSet[str]) -> bool:
    return marker is not None and marker.engine == engine and marker.attempt not in spared


def _is(process: Process, engine: str) -> bool:
    return engine.endswith(f"-{process.pid}-{process.started}")


def end_all(engine: str, lock: tuple[int, int] | None, spared: AbstractSet[str]) -> list[Process]:
    """Kill them until none is left; give those that cannot be killed."""
    found: list[Process] = []
    for _ in range(_ROUNDS_MAX):
        found = left(engine, lock, spared)
        if not found:
            break
        for process in found:
            procfs.send(process, signal.SIGKILL)
        select.select([], [], [], _ROUND_S)
    return found


def watch(engine: str, lock: tuple[int, int] | None) -> None:
    """Wait for the engine's end: `ok ATTEMPT` spares what that one leaves, `end` all there is."""
    spared = set()
    with os.fdopen(0, "rb") as pipe:
        for line in pipe:
            word, _, attempt = line.decode().strip().partition(" ")
            if word == "end":
                return
            spared.add(attempt)
    end_all(engine, lock, spared)


def main() -> None:
    """Start from `ENGINE DEVICE INODE` on the command line."""
    engine, device, inode = sys.argv[1:]
    watch(engine, (int(device), int(inode)))
