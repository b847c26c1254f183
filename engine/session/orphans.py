"""Step processes that have outlived their engine: found, named and ended before a run goes on."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import NamedTuple

from engine.errors import AlreadyRunning
from engine.workers import procfs, warden_program
from engine.workers.warden_program import LockFiles, StepProcess
from store import locks, steps_lock
from store.connection import Database
from store.reconcile import Found, live_attempts, open_runs

logger = logging.getLogger("engine.run")

ROUNDS_MAX = 250  # some seconds: then somebody has to look


class _Dead(NamedTuple):
    """A run whose engine is dead: its attempts without an outcome, by marker, and their steps."""

    found: Found
    owner: locks.Owner
    live: dict[str, str]


def end_orphans(database: Database, mine: locks.RunLock | None) -> None:
    """End what still runs of attempts that were live when their engine died.

    What a step that had ended well has left in the background is left alone. Raises
    `AlreadyRunning` if one cannot be ended.
    """
    for found in open_runs(database):
        owner = locks.Owner.from_text(found.owner)
        if owner is None or steps_lock.files_of(_path(database, owner)) is None:
            continue
        dead = _Dead(found, owner, live_attempts(database, found.run_id))
        if mine is not None and owner.lock == mine.name:
            _end(database, dead, mine)
            continue
        if locks.alive(database.path, found.run_id, found.owner):
            continue
        lock = locks.acquire(database.path, owner.lock.removesuffix(".lock"))
        if lock is None:
            continue
        try:
            _end(database, dead, lock)
        finally:
            lock.release()


def _end(database: Database, dead: _Dead, lock: locks.RunLock) -> None:
    if not locks.left_behind(lock, dead.found.run_id, dead.owner):
        return
    files = steps_lock.files_of(_path(database, dead.owner)) if dead.live else None
    held = None if files is None else LockFiles(*files)
    seen: dict[tuple[int, int], str] = {}
    for _ in range(ROUNDS_MAX):
        left = warden_program.left(
            dead.owner.engine(dead.found.run_id), held, lambda attempt: _is_spared(dead, attempt)
        )
        _kill(dead, left, seen)
        if not left and not _is_held_unseen(database, dead):
            break
        warden_program.pause()
    else:
        raise _still_running(dead, left)
    for text in seen.values():
        logger.warning(
            "run %d of %s: %s outlived its engine: ended",
            dead.found.run_id,
            dead.found.workflow,
            text,
        )


def _path(database: Database, owner: locks.Owner) -> Path:
    return locks.folder(database.path) / owner.lock


def _is_spared(dead: _Dead, attempt: str) -> bool:
    return bool(attempt) and attempt not in dead.live


def _kill(dead: _Dead, left: list[StepProcess], seen: dict[tuple[int, int], str]) -> None:
    for process, attempt in left:
        step = f" of step '{dead.live[attempt]}'" if attempt else ""
        text = f"process {procfs.shown([process])}{step}"
        seen.setdefault((process.pid, process.started), text)
        procfs.send(process, signal.SIGKILL)


def _is_held_unseen(database: Database, dead: _Dead) -> bool:
    """Whether the steps lock is held by nobody that can be seen, such as another user's process."""
    files = steps_lock.files_of(_path(database, dead.owner))
    if not dead.live or files is None or not steps_lock.is_held(database.path, dead.owner.lock):
        return False
    return not any(files[0] in procfs.open_files(pid) for pid in procfs.processes())


def _still_running(dead: _Dead, left: list[StepProcess]) -> AlreadyRunning:
    who = procfs.shown([each.process for each in left]) or "one that this user may not see"
    return AlreadyRunning(
        f"run {dead.found.run_id} of '{dead.found.workflow}': its engine died, but a process of its"
        f" steps still runs and cannot be ended: {who}",
        hint="end it as its user or as root, then try again",
    )
