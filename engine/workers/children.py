"""Child processes that a step's function has started, known by the thread they come from."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_ROUNDING_S = 0.05  # ages are known to a hundredth of a second


def end_children(thread: int, *, age_s: float, number: signal.Signals) -> None:
    """Signal what a thread of ours has started in its last `age_s` seconds, and theirs in turn.

    Younger only: a lane's thread has served other attempts before, and what those left behind in
    the background is not this one's.
    """
    try:
        uptime_s = float(Path("/proc/uptime").read_text("ascii").split()[0])
    except (OSError, ValueError):
        return
    pending = list(_children("self", str(thread)))
    while pending:
        pid = pending.pop()
        begun_s = _begun(pid)
        if begun_s is None or uptime_s - begun_s > age_s + _ROUNDING_S:
            continue
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                pending.extend(_children(pid, task.name))
        with suppress(ProcessLookupError, PermissionError):
            os.kill(int(pid), number)


def _children(pid: str, task: str) -> Iterator[str]:
    with suppress(OSError):  # it has ended, or this kernel does not tell
        yield from Path(f"/proc/{pid}/task/{task}/children").read_text("ascii").split()


def _begun(pid: str) -> float | None:
    """Give when a process began, in seconds since the machine did."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19]) / _TICKS
