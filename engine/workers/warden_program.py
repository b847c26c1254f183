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
from engine.workers.procfs import File, Process

Spares = Callable[[str], bool]

_ROUND_S = 0.02
_SERVER_ROUNDS = 50
_ROUNDS_MAX = 250  # what cannot be killed within five seconds cannot be killed


class LockFiles(NamedTuple):
    """The files that step processes, and engines, of a workflow have open: engines have both."""

    steps: File
    run: File


class StepProcess(NamedTuple):
    """A living step process; `attempt` is RUN/STEP POSITION/NUMBER.

    It is empty for the fork server and what that has forked, None for one that carries no marker.
    """

    process: Process
    attempt: str | None


def left(engine: str, locks: LockFiles | None, spares: Spares) -> list[StepProcess]:
    """Give the living step processes of an engine, less those of attempts that are spared.

    One with the steps lock open and no marker (it has cleared its environment) is one of them too,
    and so is whatever is below one.
    """
    among = procfs.processes()
    among.pop(os.getpid(), None)
    markers = {pid: procfs.marker_of(pid) for pid in among}
    found: dict[int, str | None] = {
        pid: marker.attempt
        for pid, marker in markers.items()
        if marker is not None and marker.engine == engine and not spares(marker.attempt)
    }
    if locks is not None:
        unmarked = [pid for pid, marker in markers.items() if marker is None and pid not in found]
        found |= dict.fromkeys(_holders(locks, unmarked, among))
    found = dict.fromkeys(procfs.below(found, among)) | found
    return [StepProcess(among[pid], found[pid]) for pid in sorted(found)]


def _holders(locks: LockFiles, unmarked: list[int], among: dict[int, Process]) -> set[int]:
    """Give those that an engine has left the steps lock to.

    An engine itself, and what it has forked, is none of them: the next one may be there already.
    """
    opened = {pid: procfs.open_files(pid) for pid in unmarked}
    holding = {pid for pid, files in opened.items() if locks.steps in files}
    engines = {pid for pid in holding if locks.run in opened[pid]}
    return holding - engines - procfs.below(engines, among)


def end_all(engine: str, locks: LockFiles | None, spares: Spares) -> list[StepProcess]:
    """Kill them until none is left; give those that cannot be killed.

    The fork server has a moment to do its part: it finds whatever is below it, by no marker. Were
    it killed first, its orphans would be nobody's.
    """
    found: list[StepProcess] = []
    for turn in range(_ROUNDS_MAX):
        found = left(engine, locks, spares)
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


def watch(engine: str, locks: LockFiles) -> None:
    """Wait for the engine's end: `ok ATTEMPT` spares what that one leaves, `end` all there is."""
    spared: set[str] = set()
    with os.fdopen(0, "rb") as pipe:
        for line in pipe:
            word, _, attempt = line.decode().strip().partition(" ")
            if word == "end":
                return
            spared.add(attempt)
    end_all(engine, locks, spared.__contains__)


def main() -> None:
    """Start from `ENGINE DEVICE INODE DEVICE INODE` on the command line: steps lock, run lock."""
    engine, *numbers = sys.argv[1:]
    steps_device, steps_inode, run_device, run_inode = map(int, numbers)
    watch(engine, LockFiles((steps_device, steps_inode), (run_device, run_inode)))
