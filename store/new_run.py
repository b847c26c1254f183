"""What is recorded when a run begins, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import NamedTuple

from engine.graph import NO_EDGES, Edges
from engine.model import StepStatus
from engine.produced import Encoded
from engine.records import record

ITSELF = -1  # as `backfill`: the number of the run that is being begun
OWN_KEY = -1  # as `key_run`: the number of the run that is being begun
TALLIED = ("ok", "failed", "skipped", "cached")  # statuses that a run's row counts steps of


@record
class NewSteps:
    """The steps of a definition as they are recorded; sequences are by position.

    Steps that are made alike share their `parts`, as one object.
    """

    names: Sequence[str] = ()
    fingerprints: Sequence[str] = ()
    parts: Sequence[Mapping[str, str]] = ()
    upstreams: Edges = NO_EDGES

    def __len__(self) -> int:
        """How many there are."""
        return len(self.names)


class TakenOver(NamedTuple):
    """A step that a run does not start afresh.

    Either it has ended as the run begins (`status`, with `source_run` for a cached one), or `used`
    attempts of its budget are spent and its retry is due at `retry_at` (microseconds). `key_run`
    stands for the run in its idempotency key; `lost` counts attempts lost with their engine; `why`
    says why a step that had ended well is redone.
    """

    position: int
    status: StepStatus | None = None
    note: str = ""
    source_run: int | None = None
    used: int = 0
    retry_at: int | None = None
    key_run: int = 0
    lost: int = 0
    why: str = ""


class Reused(NamedTuple):
    """Steps that end `cached` as a run begins, all from one run: what a `TakenOver` each would say.

    Nothing else of their past is taken over.
    """

    source_run: int
    note: str
    positions: Sequence[int]


class Marked(NamedTuple):
    """A step that a person marked as done, with the values it is given."""

    position: int
    by: str
    outputs: Sequence[tuple[str, Encoded]]


@record
class NewRun:
    """All that is recorded when a run begins. Times in microseconds since 1970 UTC.

    `only_steps` is a JSON list of step names, or empty; `backfill` the run it is a part of, or
    `ITSELF`. What was decided holds for a workflow whose newest run was `after`: a later one of
    these parameters, or of any (unless `beside`), that is on refuses it. `weights` is by what its
    ready steps are ordered: microseconds by position, or nothing. `reason` says why it began as
    it did, `choices`, as JSON, what becomes of its steps by that; `versions` are those of what the
    engine runs on. `slot` is the moment at which its schedule had it due, or that of the run it
    goes on from, `zone` the name of that in which its times are shown, if it is not the machine's.
    `limits` says, as JSON, after how long it and its steps are late.
    """

    workflow: str
    params: str
    started_at: int
    started_by: str
    user: str
    host: str
    owner: str
    workers: int
    context_sha256: str = ""
    resumed_from: int | None = None
    root_run: int | None = None
    note: str = ""
    only_steps: str = ""
    backfill: int | None = None
    after: int | None = None
    beside: bool = False
    steps: NewSteps = NewSteps()
    reused: Sequence[Reused] = ()
    taken_over: Sequence[TakenOver] = ()
    marked: Sequence[Marked] = ()
    context: Sequence[tuple[str, Encoded]] = ()
    weights: Sequence[int] = ()
    reason: str = ""
    choices: str = "{}"
    versions: Mapping[str, str] = field(default_factory=dict)
    slot: int | None = None
    zone: str | None = None
    limits: str | None = None
