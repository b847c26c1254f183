"""What the engine hands to its fork server and to a child, and the result that comes back.

From engine to child values may be pickled (over a private descriptor); from child to engine
everything is JSON and raw bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.conditions import Asked
from engine.events import AttemptFinished
from engine.model import AttemptOutcome
from engine.ports import Job, Paths
from engine.produced import Encoded, OutputFile
from engine.records import record
from engine.workers.isolation.frames import Frame, FrameFault


@record
class Order:
    """One isolated step: its name, budget, key, and how it was when the run began.

    `pickled` is the step itself, where there is no file to load it from.
    """

    name: str
    key_run: int
    used: int
    digest: str
    parts: Mapping[str, str]
    pickled: bytes | None = None


@record
class Setup:
    """What a fork server is started with; `orders` is by position."""

    workflow: str
    run_id: int
    source: Path | None
    paths: Paths
    params: Mapping[str, Any]
    orders: Mapping[int, Order]
    slot: datetime | None = None


def result_frame(finished: AttemptFinished) -> tuple[dict[str, Any], list[bytes]]:
    """Give head and blobs of a result."""
    head = {
        "kind": "result",
        "outcome": finished.outcome,
        "finished_at": finished.finished_at,
        "error": finished.error,
        "skip": finished.skip,
        "retryable": finished.retryable,
        "delay_s": finished.delay_s,
        "note": finished.note,
        "policy": finished.policy,
        "asked": finished.asked,
        "writes": [[key, value.codec, value.sha256] for key, value in finished.writes],
        "files": [[f.temporary, f.target, f.sha256, f.size] for f in finished.files],
    }
    return head, [value.data for _, value in finished.writes]


def read_result(frame: Frame, job: Job, started_at: float) -> AttemptFinished:
    """Read a result; raises `FrameFault` for one that no child of ours sends."""
    head = frame.head
    try:
        skip = head["skip"]
        writes = tuple(
            (str(key), Encoded(str(codec), data, str(sha256)))
            for (key, codec, sha256), data in zip(head["writes"], frame.blobs, strict=True)
        )
        return AttemptFinished(
            job.step,
            job.number,
            AttemptOutcome(head["outcome"]),
            started_at,
            max(started_at, float(head["finished_at"])),
            error=str(head["error"]),
            skip=None if skip is None else str(skip),
            retryable=bool(head["retryable"]),
            delay_s=float(head["delay_s"]),
            writes=writes,
            files=tuple(
                OutputFile(str(temporary), str(target), str(sha256), int(size))
                for temporary, target, sha256, size in head["files"]
            ),
            note=str(head["note"]),
            policy=str(head["policy"]),
            asked=_asked(head["asked"]),
        )
    except (KeyError, ValueError, TypeError, IndexError):
        raise FrameFault("its result cannot be read") from None


def _asked(told: list[Any] | None) -> Asked | None:
    if told is None:
        return None
    text, holds, values = told
    read = tuple([(str(name), str(value)) for name, value in values])
    return Asked(None if text is None else str(text), bool(holds), read)
