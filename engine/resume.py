"""What a continued run takes over from the run before it, and why the rest is done again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from typing import NamedTuple

from engine.model import DONE_STEP, StepStatus
from engine.past import PastStep
from engine.records import record

MARKED = "marked as done"
NOT_CHOSEN = "not chosen"
LOST_MAX = 3  # attempts lost with their engine in a row, before the step is held responsible


class Fresh(NamedTuple):
    """A step as the definition has it now."""

    name: str
    upstreams: tuple[int, ...]
    fingerprint: str
    parts: Mapping[str, str]
    depends_on: Sequence[str] = ()


class Choice(NamedTuple):
    """What becomes of a step, and `why`: `what` is reuse, redo, new, or marked as done.

    Of a run of chosen steps it is run, keep, or not chosen; then `counts_as` is what the steps
    after it take it for, and `failed_above` says that a failure had caused its skip. A step with a
    `status` has ended as the run begins; a redone one starts with `used` attempts spent and is not
    tried before `retry_at`. `own_key` says that its idempotency key is the new run's, not
    `key_run`'s.
    """

    what: str
    why: str
    status: StepStatus | None = None
    note: str = ""
    source_run: int | None = None
    used: int = 0
    retry_at: int | None = None
    key_run: int = 0
    own_key: bool = False
    lost: int = 0
    counts_as: StepStatus | None = None
    failed_above: bool = False


@record
class Rules:
    """How to judge: `file_matches(target, sha256)`, how parts differ, what must be redone.

    `values_fault(run, step)` says what is wrong with the values that a step left in a run; it is
    asked about steps that have nothing else against them. `marked` says of each step that is marked
    as done what it is given.
    """

    run_id: int
    file_matches: Callable[[str, str], bool]
    values_fault: Callable[[int, str], str]
    difference: Callable[[Mapping[str, str], Mapping[str, str]], str]
    forced: str | None = None
    marked: Mapping[str, str] = field(default_factory=dict)


def mark(given: str) -> Choice:
    """Take a step as done because a person says so; `given` shows its values."""
    return Choice(MARKED, given, status=StepStatus.OK)


Kept = list["Choice | None"]
"""By position what becomes of steps that are as they were, with all above them; None: to decide."""


def keep(done: Sequence[int], downstreams: Sequence[Sequence[int]], key_run: int) -> Kept:
    """Keep the steps that were done in run `done[i]`, unless one above them was not (0).

    `key_run` is the run in their idempotency keys.
    """
    kept: Kept = [_reuse(run, key_run, is_marked=False) if run else None for run in done]
    pending = [step for step, run in enumerate(done) if not run]
    while pending:
        for down in downstreams[pending.pop()]:
            if kept[down] is not None:
                kept[down] = None
                pending.append(down)
    return kept


def choose(
    steps: Sequence[Fresh] | Mapping[int, Fresh],
    order: Sequence[int],
    past: Mapping[str, PastStep],
    rules: Rules,
    kept: Sequence[Choice | None] = (),
) -> list[Choice]:
    """Decide for every step that is not `kept`, by position; `order` is a dependency order.

    A step is reused if it was `ok` (or skipped by itself) in the chain, is the same, has its files
    and values as they were, and none of its upstreams, at any distance, runs again. One that was
    marked as done minds no upstream, unless that is the one asked for, or after it.
    """
    choices: list[Choice | None] = list(kept) or [None] * len(order)
    forced = [False] * len(order)
    anew = [""] * len(order)  # what gives the steps after it to do again, if anything
    for position in order:
        if choices[position] is not None:
            continue
        step = steps[position]
        old = past.get(step.name)
        above = None
        for up in step.upstreams:
            if anew[up]:
                above = anew[up]
                break
        if rules.forced is not None:
            forced[position] = step.name == rules.forced or any(forced[up] for up in step.upstreams)
        if step.name in rules.marked:
            choice = mark(rules.marked[step.name])
            above = f"'{step.name}' is marked as done"
        elif old is None:
            choice = Choice("new", "new step")
        else:
            holds = old.marked and not forced[position]
            choice = _choose_one(step, old, None if holds else above, rules)
        choices[position] = choice
        is_kept = choice.what in ("reuse", MARKED)
        anew[position] = (above or "") if is_kept else f"'{step.name}' runs again"
    return [choice for choice in choices if choice is not None]


def alike(choices: Sequence[Choice]) -> Iterable[tuple[Choice, list[int]]]:
    """Give each choice with the positions of its steps: one is most steps' of a big run."""
    positions: dict[int, list[int]] = {}
    for position, choice in enumerate(choices):
        if (some := positions.get(id(choice))) is None:
            positions[id(choice)] = [position]
        else:
            some.append(position)
    return [(choices[some[0]], some) for some in positions.values()]


def _choose_one(step: Fresh, old: PastStep, again: str | None, rules: Rules) -> Choice:
    settled = old.status in DONE_STEP
    own_skip = old.status is StepStatus.SKIPPED and old.own_skip
    if not settled and not own_skip:
        return _unsettled(old, rules, again)
    source = old.source_run if old.source_run is not None else rules.run_id
    why = _why_again(step, old, again, rules)
    if settled and not why:
        why = rules.values_fault(source, step.name)
    if why:
        return Choice("redo", why, own_key=settled, key_run=old.key_run)
    if own_skip:
        return Choice(
            "reuse",
            f"skipped: {old.note}",
            status=StepStatus.SKIPPED,
            note=old.note,
            source_run=source,
        )
    return _reuse(source, old.key_run, is_marked=old.marked)


@lru_cache(maxsize=64)  # of a hundred thousand steps that are reused nearly all are for one reason
def _reuse(source: int, key_run: int, *, is_marked: bool) -> Choice:
    done = _done_in(source, is_marked=is_marked)
    return Choice(
        "reuse", done, status=StepStatus.CACHED, note=done, source_run=source, key_run=key_run
    )


def done_in(step: PastStep, run_id: int) -> str:
    """Say in which run a reused step was done, and how."""
    return _done_in(run_id, is_marked=step.marked)


def _done_in(run_id: int, *, is_marked: bool) -> str:
    return f"{MARKED if is_marked else StepStatus.OK} in run {run_id}"


def _why_again(step: Fresh, old: PastStep, again: str | None, rules: Rules) -> str:
    if step.name == rules.forced:
        return "asked for"
    if again is not None:
        return again
    if step.fingerprint != old.fingerprint:
        parts = dict(old.parts)
        covered = parts.pop("upstreams", None)  # as in stores of earlier versions
        changed = rules.difference(parts, step.parts)
        if changed or covered is None:
            return changed or "it changed"
    if step.depends_on != old.depends_on and set(step.depends_on) != set(old.depends_on):
        return "upstreams changed"
    for target, sha256 in old.files:
        if not rules.file_matches(target, sha256):
            return f"its file '{target}' is gone or altered"
    return ""


def _unsettled(old: PastStep, rules: Rules, again: str | None) -> Choice:
    """Redo a step that had not ended well; what it waits for comes before any wait of its own."""
    run = rules.run_id
    if old.status is StepStatus.FAILED:
        return Choice("redo", f"failed in run {run}", key_run=old.key_run)
    if old.lost >= LOST_MAX and again is None:
        note = (
            f"its last {old.lost} attempts all ended with the engine's death; "
            "it may be what kills it"
        )
        return Choice("redo", note, status=StepStatus.FAILED, note=note, key_run=old.key_run)
    why = {
        StepStatus.INTERRUPTED: f"interrupted in run {run}",
        StepStatus.SKIPPED: f"skipped in run {run} ({old.note})",
    }.get(old.status, f"not started in run {run}")
    retry_at = old.retry_at if again is None else None
    if retry_at is not None:
        why = f"was waiting for its retry in run {run}"
    return Choice(
        "redo",
        why,
        used=old.used,
        retry_at=retry_at,
        key_run=old.key_run,
        lost=old.lost,
    )
