"""All that a run's page shows, gathered by `engine.session.pages`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from engine.graph import Graph
from engine.records import record
from engine.usual import Spread


class Attempt(NamedTuple):
    """An attempt of the step at a place in the report; its times are seconds since 1970.

    `outcome` is None while it runs; `retry_at` is when the next one is due.
    """

    step: int
    number: int
    outcome: str | None
    started: float | None
    finished: float | None
    retry_at: float | None


class Value(NamedTuple):
    """A context value that a step ('' for the initial context) wrote, and how it begins."""

    step: str
    key: str
    size_bytes: int
    preview: str


@record
class PageFacts:
    """A run as its page tells it.

    `report` is that of `engine.session.reporting`, all texts in it masked. `graph` has the report's
    steps in their order; it is None where the report has not all. `values_in_all` counts those of
    which `values` shows some. `changes` tells what is other than in `good_run`, the last that went
    well. Times are shown in `zone`, without it in that of this machine.
    """

    report: Mapping[str, Any]
    attempts: Sequence[Attempt]
    graph: Graph | None
    now: datetime
    workers: int = 0
    usual: Spread | None = None
    values: Sequence[Value] = ()
    values_in_all: int = 0
    good_run: int | None = None
    changes: Sequence[str] = ()
    version: str = ""
    zone: tzinfo | None = None
