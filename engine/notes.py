"""The words the core writes beside its verdicts."""

from __future__ import annotations

NOT_STARTED = "not started"
BEFORE_RETRY = "stopped before its retry"


def stopped(by: str, *, known: bool = True) -> str:
    """Say who stopped an attempt, and whether it is `known` that it had begun."""
    return f"stopped by {by}" if known else f"stopped by {by}; may not have started"


def timed_out(limit_s: float | None) -> str:
    """Say which limit an attempt passed."""
    return f"timed out after {limit_s:g}s"


def still_running(why: str, *, command: bool) -> str:
    """Say of an attempt that would not stop what is left of it."""
    return f"{why}; its {'process' if command else 'thread'} is still running"


def last_line(text: str) -> str:
    """Give the line of an error's text that says most."""
    return text.rstrip().rpartition("\n")[2]
