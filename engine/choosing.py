"""What a run of chosen steps takes over from the run before, and why it cannot be. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from engine import notes
from engine.model import DONE_STEP, ENDED_STEP, StepStatus, TriggerRule
from engine.past import PastStep
from engine.records import record
from engine.resume import NOT_CHOSEN, Choice, Fresh, done_in, mark

_S = StepStatus
_ASKS_FOR_SUCCESS = (TriggerRule.ALL_SUCCESS, TriggerRule.NONE_FAILED)


@record
class Chosen:
    """What was asked for: the steps to run, those marked as done, and where the others stand.

    `marked` says of each what it is given; `past` is by name, of run `run_id`;
    `values_fault(run, step)` says why the values a step left there cannot be used.
    """

    names: frozenset[str]
    marked: Mapping[str, str]
    past: Mapping[str, PastStep]
    run_id: int
    values_fault: Callable[[int, str], str]


class Missing(NamedTuple):
    """A chosen step that cannot be run, the step it lacks, and what is wrong with that."""

    step: str
    upstream: str
    why: str


def choose(steps: Sequence[Fresh], chosen: Chosen) -> list[Choice]:
    """Decide for every step, by position: a step that is not chosen is kept as it was, or left."""
    return [_choose_one(step.name, chosen) for step in steps]


def _choose_one(name: str, chosen: Chosen) -> Choice:
    if name in chosen.names:
        return Choice("run", "chosen")
    if name in chosen.marked:
        return mark(chosen.marked[name])
    old = chosen.past.get(name)
    if old is None:
        return Choice(NOT_CHOSEN, "", status=_S.SKIPPED, note=NOT_CHOSEN)
    source = chosen.run_id if old.source_run is None else old.source_run
    if old.status in DONE_STEP and not (fault := chosen.values_fault(source, name)):
        note = f"{NOT_CHOSEN}; {done_in(old, source)}"
        return Choice("keep", note, status=_S.CACHED, note=note, source_run=source)
    why = fault if old.status in DONE_STEP else _told(old, chosen.run_id)
    return Choice(
        NOT_CHOSEN,
        why,
        status=_S.SKIPPED,
        note=f"{NOT_CHOSEN}; {why}",
        counts_as=_counts_as(old),
        failed_above=_failed_above(old),
    )


def _failed_above(old: PastStep) -> bool:
    """Tell whether a failure had caused the step's skip."""
    is_skip = old.status is _S.SKIPPED and not old.own_skip
    return is_skip and old.note.startswith(notes.DEPENDENCY_FAILED)


def _told(old: PastStep, run_id: int) -> str:
    if old.status not in ENDED_STEP or old.status is _S.CANCELLED:
        return f"not started in run {run_id}"
    return f"{old.status} in run {run_id}"


def _counts_as(old: PastStep) -> StepStatus:
    """Say what the steps after it take it for: as it ended."""
    if old.status in DONE_STEP or old.status not in ENDED_STEP:
        return _S.CANCELLED  # nothing of it can be used
    return old.status


def missing(
    steps: Sequence[Fresh], rules: Sequence[TriggerRule], choices: Sequence[Choice], chosen: Chosen
) -> Missing | None:
    """Give the first chosen step whose trigger rule what is above it can never satisfy.

    An upstream that is not chosen counts as it ended in the run before. One that never ended there
    keeps every step after it from running, one that did not end well those that ask for success;
    so does one whose values are gone, at any distance: steps may read what is far above them.
    """
    sound: set[int] = set()
    for step, rule, choice in zip(steps, rules, choices, strict=True):
        if choice.what != "run":
            continue
        for up in step.upstreams:
            if why := _why_missing(steps[up].name, rule, choices[up], chosen):
                return Missing(step.name, steps[up].name, why)
        if rule in _ASKS_FOR_SUCCESS:
            for up in _above(step, steps, sound):
                if choices[up].what == NOT_CHOSEN and _was_kept(steps[up].name, chosen):
                    return Missing(step.name, steps[up].name, choices[up].why)
    return None


def _above(step: Fresh, steps: Sequence[Fresh], sound: set[int]) -> Iterator[int]:
    """Go through the steps above one, except those that are `sound`, and all above them."""
    pending = list(step.upstreams)
    while pending:
        up = pending.pop()
        if up not in sound:
            yield up
            sound.add(up)
            pending += steps[up].upstreams


def _was_kept(name: str, chosen: Chosen) -> bool:
    return name in chosen.past and chosen.past[name].status in DONE_STEP


def _why_missing(name: str, rule: TriggerRule, up: Choice, chosen: Chosen) -> str:
    if up.what != NOT_CHOSEN:
        return ""
    if name not in chosen.past:
        return "has not run with these parameters"
    ended_badly = up.failed_above or up.counts_as in (_S.FAILED, _S.CANCELLED, _S.INTERRUPTED)
    return up.why if ended_badly and rule in _ASKS_FOR_SUCCESS else ""
