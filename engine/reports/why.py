"""Why a step of a run stands as it does: one sentence, and the facts in the order of time. Pure.

Neither is masked nor made harmless: they hold texts of users, and are for who shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from engine import notes
from engine.decisions import NO_ATTEMPTS_LEFT
from engine.records import record
from engine.reports.diff_words import because, named
from engine.text import human_duration

if TYPE_CHECKING:
    from engine.usual import Usual
    from store.run_facts import RunFacts, StepFacts

SKIPPED_ABOVE = "dependency skipped: "
NOT_CHOSEN = "not chosen"


@record
class Fact:
    """One fact: when (microseconds since 1970, None if it has no moment of its own) and what.

    `data` has what the text is made of, where that is more than a word.
    """

    at: int | None
    what: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@record
class Answer:
    """Why a step stands as it does: `text` is one sentence, `facts` what it rests on."""

    run_id: int
    workflow: str
    step: str
    status: str
    text: str
    facts: tuple[Fact, ...]


@record
class Around:
    """What a run's record alone does not tell.

    `now` is in microseconds, `moment` writes such a time for people; `before` is the step in the
    run that this one goes on from, `usual` what steps usually take.
    """

    now: int
    moment: Callable[[int], str]
    before: StepFacts | None
    usual: Mapping[str, Usual]


def why(run: RunFacts, step: str, around: Around) -> Answer:
    """Answer for one step of a run."""
    from engine.reports.why_facts import facts

    told = run.steps[step].told
    return Answer(
        run.run["run_id"],
        run.run["workflow"],
        step,
        told.status,
        sentence(run, step, around),
        tuple(facts(run, step, around)),
    )


def sentence(run: RunFacts, step: str, around: Around) -> str:
    """Say in one sentence what became of a step and the cause of it."""
    return f"'{step}' {_PHRASES[run.steps[step].told.status](run, step, around)}"


def _ok(run: RunFacts, step: str, _around: Around) -> str:
    one = run.steps[step]
    told = one.told
    if told.marked_by:
        return f"was not run: {told.marked_by} marked it as done"
    took = human_duration(told.duration_s)
    if told.made > 1:
        text = f"was ok at attempt {told.made}, after {took} with its retries"
    else:
        text = f"ran and was ok in {took}"
    text += f": {told.note}" if told.note and not one.why else ""
    return text + (f"; it ran again because {because(one.why)}" if one.why else "")


def _cached(run: RunFacts, step: str, _around: Around) -> str:
    note = run.steps[step].told.note
    if note.startswith(NOT_CHOSEN):
        return f"was not run: {note}"
    return f"was not run again: {note}"


def _failed(run: RunFacts, step: str, _around: Around) -> str:
    return told_failure(run.steps[step])


def told_failure(one: StepFacts) -> str:
    """Say how a step failed: how many attempts it had, why no more, and the error."""
    given_up = [each.facts for each in one.decisions if each.what == "give up"]
    made, error = one.told.made, first_line(one.told.error) or one.told.note
    if not made:
        return f"failed: {one.told.note}"
    if not given_up:
        return f"failed ({made} attempt{'' if made == 1 else 's'}): {error}"
    last = given_up[-1]
    if last["of"] == 1 and last["why"] in ("", NO_ATTEMPTS_LEFT):
        return f"failed: {error}"
    spent = f"{last['failures']} of {last['of']} attempts"
    more = "" if last["why"] == NO_ATTEMPTS_LEFT or not last["why"] else f"; {last['why']}"
    return f"failed ({spent}{more}): {error}"


def _skipped(run: RunFacts, step: str, _around: Around) -> str:
    one = run.steps[step]
    note, source = one.told.note, one.told.source_run
    again = f", as in run {source}" if source is not None else ""
    if note == NOT_CHOSEN or note.startswith(f"{NOT_CHOSEN}; "):
        return f"was not run: {note}"
    cause = cause_above(run, note)
    if cause is None:
        return f"was skipped{again}: {note}"
    return f"was skipped{again}: {told_of(run, cause)}"


def cause_above(run: RunFacts, note: str) -> str | None:
    """Name the step that a skip comes from, at any distance; None if it is the step's own."""
    seen: set[str] = set()
    name = None
    while (up := named_in(note)) in run.steps and up not in seen:
        assert up is not None
        name = up
        seen.add(up)
        note = run.steps[up].told.note if run.steps[up].told.status == "skipped" else ""
    return name


def named_in(note: str) -> str | None:
    """Name the step that a skip's note tells of."""
    for begin in (notes.DEPENDENCY_FAILED, SKIPPED_ABOVE):
        if note.startswith(begin):
            return note.removeprefix(begin)
    return None


def told_of(run: RunFacts, step: str) -> str:
    """Say of a step above another one what became of it."""
    one = run.steps[step]
    if one.told.status == "failed":
        return f"'{step}' {told_failure(one)}"
    note = f" ({one.told.note})" if one.told.note else ""
    return f"'{step}' was {one.told.status}{note}"


def _cancelled(run: RunFacts, _step: str, _around: Around) -> str:
    why = f": {run.run['note']}" if run.run["note"] else ""
    return f"was not started: the run was {run.run['status']}{why}"


def _interrupted(run: RunFacts, step: str, _around: Around) -> str:
    return f"was interrupted: {run.steps[step].told.note or run.run['note']}"


# -- of a run that is on --------------------------------------------------------------------------


def _running(run: RunFacts, step: str, around: Around) -> str:
    last = run.steps[step].tries[-1]
    number = f" (attempt {last.number})" if last.number > 1 else ""
    if last.started_at is None:
        return f"is claimed and waits for a worker{number}: {busy(run, step)}"
    return f"is running{number} {_since(last.started_at, step, around)}"


def _since(started_us: int, step: str, around: Around) -> str:
    for_s = (around.now - started_us) / 1e6
    text = f"since {around.moment(started_us)} ({human_duration(for_s)})"
    usual = around.usual.get(step)
    return text + (f" and usually takes {human_duration(usual[0])}" if usual else "")


def _backing_off(run: RunFacts, step: str, around: Around) -> str:
    one = run.steps[step]
    due = max((each.retry_at or 0 for each in one.tries), default=0) or one.retry_at or around.now
    left_s = (due - around.now) / 1e6
    when = f"due in {human_duration(left_s)}" if left_s > 0 else "which is due"
    error = first_line(one.told.error)
    return f"waits for its retry, {when}" + (f": {error}" if error else "")


def _waiting(run: RunFacts, step: str, around: Around) -> str:
    open_ = [up for up in run.steps[step].upstreams if run.steps[up].told.status in OPEN]
    if not open_:
        return f"is ready and waits for a worker: {busy(run, step)}"
    first, seen = open_[0], {step}
    while first not in seen and run.steps[first].told.status == "waiting":
        seen.add(first)
        further = [up for up in run.steps[first].upstreams if run.steps[up].told.status in OPEN]
        first = further[0] if further else first
    phrase = _PHRASES[run.steps[first].told.status](run, first, around)
    if open_ == [first]:
        return f"waits for '{first}', which {phrase}"
    return f"waits for {named(open_)}; '{first}' {phrase}"


def busy(run: RunFacts, step: str) -> str:
    """Say what holds the workers."""
    held = [name for name, one in run.steps.items() if name != step and one.tries]
    held = [name for name in held if run.steps[name].tries[-1].outcome is None]
    return f"{named(held)} {'runs' if len(held) == 1 else 'run'}" if held else "none is free"


def first_line(text: str) -> str:
    """Give the first line of an error's text."""
    return text.partition("\n")[0]


OPEN = ("waiting", "running", "backing_off")
_Phrase = Callable[["RunFacts", str, Around], str]
_PHRASES: dict[str, _Phrase] = {
    "ok": _ok,
    "cached": _cached,
    "failed": _failed,
    "skipped": _skipped,
    "cancelled": _cancelled,
    "interrupted": _interrupted,
    "running": _running,
    "backing_off": _backing_off,
    "waiting": _waiting,
}


def as_row(answer: Answer, iso: Callable[[int], str]) -> dict[str, Any]:
    """Give an answer as JSON has it."""
    return {
        "run_id": answer.run_id,
        "workflow": answer.workflow,
        "step": answer.step,
        "status": answer.status,
        "answer": answer.text,
        "facts": [
            {
                "at": None if one.at is None else iso(one.at),
                "what": one.what,
                "text": one.text,
                "data": dict(one.data),
            }
            for one in answer.facts
        ],
    }
