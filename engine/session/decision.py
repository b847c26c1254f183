"""What is decided about one invocation, and what it is decided from: the steps of a run before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine import notes, resume
from engine.model import StepStatus
from engine.records import record
from engine.resume import Choice

if TYPE_CHECKING:
    from store.past import PastRun


@record
class Decision:
    """What this invocation does.

    `past` is the run continued, None to start anew; `nothing` says that there is nothing to do.
    `choices` is by position; `gone` names steps that the definition no longer has, `only` the steps
    that the run is bound to. `weights` is what ready steps are ordered by, see `Plan`.
    """

    reason: str
    params: Mapping[str, Any]
    past: PastRun | None = None
    choices: Sequence[Choice] = ()
    gone: tuple[str, ...] = ()
    nothing: bool = False
    unfinished: int | None = None
    only: tuple[str, ...] = ()
    weights: Sequence[int] = ()


def old_steps(past: PastRun | None) -> dict[str, resume.Past]:
    """Give the steps of an earlier run, if there is one, by name."""
    if past is None:
        return {}
    names = [step.name for step in past.steps]
    return {
        step.name: resume.Past(
            status=step.status,
            note=step.note,
            parts=step.parts,
            fingerprint=step.fingerprint,
            depends_on=[names[up] for up in step.upstreams],
            source_run=step.source_run,
            used=step.used,
            retry_at=step.retry_at,
            key_run=step.key_run,
            lost=step.lost,
            files=step.files,
            own_skip=step.own_skip,
            failed_above=step.status is StepStatus.SKIPPED
            and not step.own_skip
            and step.note.startswith(notes.DEPENDENCY_FAILED),
            marked=step.marked,
        )
        for step in past.steps
    }
