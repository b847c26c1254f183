"""What a run is asked for, and what asking means for the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from engine.records import record


@record
class RunRequest:
    """How to run a workflow; the fields are `run`'s options.

    `mark_done` holds steps, each with its `KEY=VALUE` texts; `started_by` is hand, timer
    (`--scheduled`) or library; `slot` is the moment at which its schedule had it due.
    """

    workers: int = 4
    params: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool | None = None
    fresh: bool = False
    resume: str | None = None
    from_step: str | None = None
    once: bool = False
    only: Sequence[str] = ()
    mark_done: Sequence[tuple[str, Sequence[str]]] = ()
    started_by: str = "hand"
    slot: int | None = None
