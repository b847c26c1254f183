"""Fail-points: named places where a test ends, halts, fails or holds up this process.

A point that is not armed costs a look into an empty table. Nothing here reads the environment by
itself: who starts a command hands it to `arm`.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from engine.errors import UsageError

VARIABLE = "KAHNBAN_FAILPOINTS"
NAMES = (
    "run-begun",  # its row is committed, nothing is claimed
    "tick-before-commit",  # all of a tick is written, but not committed
    "tick-after-commit",  # committed, nothing of it carried out
    "before-publish",  # a success is committed, its files are not at their targets
    "after-rename",  # they are, and the store does not know
    "attempt-begun",  # marked in the lock file, its body not begun
    "command-begun",  # its process runs, and nothing here knows of it yet
    "attempt-ended",  # its result not yet handed to the loop
    "run-ended",  # its end is committed
    "report-written",  # no alert is sent
    "alert-claimed",  # not sent
    "alert-sent",  # not recorded
    "before-checkpoint",
    "upgrade-before-copy",
    "upgrade-after-copy",
    "migration-statement",  # one is done, nothing is committed
)


class FailpointRaised(Exception):
    """What the action `raise` raises."""


class _Armed(NamedTuple):
    act: Callable[[], None]
    hit: int
    hits: Iterator[int]  # counts for all threads: taking the next number is one operation


_armed: dict[str, _Armed] = {}


def failpoint(name: str) -> None:
    """Do what is armed here, if anything is."""
    if _armed:
        _reach(name)


def _reach(name: str) -> None:
    armed = _armed.get(name)
    if armed is not None and next(armed.hits) == armed.hit:
        armed.act()


def arm(environ: Mapping[str, str]) -> None:
    """Arm what `KAHNBAN_FAILPOINTS` asks for, and that alone; counting begins anew.

    Its words, with commas between them, are `NAME:kill`, `NAME:stop`, `NAME:raise` or
    `NAME:sleep=SECONDS`, each with `@N` for the N-th time the point is reached. Raises
    `UsageError` for any other: a misspelt fail-point would test nothing.
    """
    _armed.clear()
    text = environ.get(VARIABLE, "")
    if text:
        _armed.update(_parse(word.strip()) for word in text.split(","))


def _parse(word: str) -> tuple[str, _Armed]:
    import re  # only where something is armed

    action = r"kill|stop|raise|sleep=(?P<seconds>\d+(?:\.\d+)?)"
    match = re.fullmatch(rf"(?P<name>[^:@]*):(?P<action>{action})(?:@(?P<hit>[1-9]\d*))?", word)
    if match is None:
        raise UsageError(
            f"{VARIABLE} has no fail-point in {word!r}",
            hint="write NAME:kill, NAME:stop, NAME:raise or NAME:sleep=SECONDS, then @N if wanted",
        )
    name = match["name"]
    if name not in NAMES:
        raise UsageError(f"there is no fail-point {name!r}", hint=f"one of {', '.join(NAMES)}")
    seconds = match["seconds"]
    act = _ACTIONS[match["action"]] if seconds is None else lambda: _sleep(float(seconds))
    return name, _Armed(act, int(match["hit"] or 1), itertools.count(1))


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise() -> None:
    raise FailpointRaised("raised by a fail-point")


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


_ACTIONS: dict[str, Callable[[], None]] = {"kill": _kill, "stop": _stop, "raise": _raise}
