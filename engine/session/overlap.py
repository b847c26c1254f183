"""Runs that must not be on at once: the lock they share, and what the second is told."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from engine.errors import AlreadyRunning
from engine.model import Definition

if TYPE_CHECKING:
    from store.history import History


def lock_name(definition: Definition, params_text: str) -> str:
    """Name the lock that two runs which must not overlap share."""
    if definition.overlap == "params":
        return f"{definition.name}@{hashlib.sha256(params_text.encode()).hexdigest()[:16]}"
    return definition.name


def running_now(
    history: History, workflow: str, *, params: str | None = None
) -> list[dict[str, Any]]:
    """Runs of a workflow that are on (with `params`, of those only), newest first."""
    return [
        run
        for run in history.runs(workflow=workflow, limit=20)
        if run["status"] == "running" and params in (None, run["params"])
    ]


def already_running(
    history: History, workflow: str, *, params: str | None = None
) -> AlreadyRunning:
    """Make the error for a second run at once, naming the first."""
    running = running_now(history, workflow, params=params)
    if not running:
        return AlreadyRunning(
            f"a run of '{workflow}' is just starting or ending",
            hint="try again in a moment",
        )
    first = running[0]
    return AlreadyRunning(
        f"run {first['run_id']} of '{workflow}' is on since {first['started_at']}",
        hint=f"look at it with `show {first['run_id']}`, or wait until it has ended",
    )
