"""Runs that must not be on at once: the lock they share, and what the second is told."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from engine.errors import AlreadyRunning
from engine.model import Definition
from engine.session.zones import zone_of_run

if TYPE_CHECKING:
    from store.history import History


_ON_MAX = 10_000


def lock_name(definition: Definition, params_text: str) -> str:
    """Name the lock that two runs which must not overlap share."""
    if definition.overlap == "params":
        return f"{definition.name}@{hashlib.sha256(params_text.encode()).hexdigest()[:16]}"
    return definition.name


def lane_lock_name(workflow: str, lane: int) -> str:
    """Name the lock of a lane of a backfill, in which one run comes after the other."""
    return f"{workflow}@backfill-{lane}"


def running_now(
    history: History, workflow: str, params: str, *, beside: bool
) -> list[dict[str, Any]]:
    """Runs of a workflow that are on and that one with `params` must not overlap, newest first.

    Those of equal parameters are; the others too, but for a backfill's, unless it may run `beside`.
    """
    return [
        run
        for run in history.runs(workflow=workflow, on=True, limit=_ON_MAX)
        if run["params"] == params or not (beside or _is_part(run))
    ]


def _is_part(run: Mapping[str, Any]) -> bool:
    """Whether a run belongs to a backfill, and is not that itself."""
    return run["backfill"] not in (None, run["run_id"])


def _local(started: str, zone: tzinfo | None) -> str:
    return datetime.fromisoformat(started).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def already_running(
    history: History, workflow: str, params: str, *, beside: bool
) -> AlreadyRunning:
    """Make the error for a second run at once, naming the first."""
    running = running_now(history, workflow, params, beside=beside)
    if not running:
        return AlreadyRunning(
            f"a run of '{workflow}' is just starting or ending",
            hint="try again in a moment",
        )
    first = running[0]
    since = _local(first["started_at"], zone_of_run(first))
    return AlreadyRunning(
        f"run {first['run_id']} of '{workflow}' is on since {since}",
        hint=f"look at it with `show {first['run_id']}`, or wait until it has ended",
    )
