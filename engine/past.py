"""A step as an earlier run left it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.model import StepStatus


class PastStep(NamedTuple):
    """A step of an earlier run, as a decision about it needs it.

    `own_skip` tells a skip by its own condition or `Skip` from one that its upstreams caused;
    `marked` says that a person marked it as done. The rest is as in `engine.resume.Choice`.
    """

    status: StepStatus
    name: str = ""
    note: str = ""
    fingerprint: str = ""
    parts: Mapping[str, str] = {}
    depends_on: tuple[str, ...] = ()
    source_run: int | None = None
    used: int = 0
    retry_at: int | None = None
    key_run: int = 0
    lost: int = 0
    files: Sequence[tuple[str, str]] = ()
    own_skip: bool = False
    marked: bool = False
