"""The words the core writes beside its verdicts."""

from __future__ import annotations

NOT_STARTED = "not started"
CANCELLED_BY = "cancelled by "
DEPENDENCY_FAILED = "dependency failed: "  # then the name of the root failure
BEFORE_RETRY = "stopped before its retry"


def stopped(by: str) -> str:
    """Say which signal stopped a run and its attempts."""
    return f"stopped by {by}"


def cancelled(by: str) -> str:
    """Say who had a run cancelled."""
    return f"{CANCELLED_BY}{by}"


def too_many_left(count: int) -> str:
    """Say that a run was stopped because of the threads it had to leave behind."""
    return f"stopped: {threads_left(count)}"


def threads_left(count: int) -> str:
    """Say how many threads there are of which nothing more is wanted."""
    return f"{count} threads of timed-out steps are still running"


def unsure(reason: str) -> str:
    """Add to why an attempt was ended that it is not known to have begun."""
    return f"{reason}; may not have started"


def timed_out(limit_s: float | None) -> str:
    """Say which limit an attempt passed."""
    return f"timed out after {limit_s:g}s"


def still_running(why: str, *, command: bool) -> str:
    """Say of an attempt that would not stop what is left of it."""
    return f"{why}; its {'process' if command else 'thread'} is still running"


def last_line(text: str) -> str:
    """Give the line of an error's text that says most."""
    return text.rstrip().rpartition("\n")[2]
