"""What an answer rests on: how a step came to be where it stands, in the order of time. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.notes import NOT_STARTED
from engine.reports.diff_words import NAMED_MAX, because, named
from engine.reports.why import (
    NOT_CHOSEN,
    OPEN,
    Around,
    Fact,
    first_line,
    named_in,
    told_failure,
)
from engine.reports.why_order import went_first
from engine.text import human_duration

if TYPE_CHECKING:
    from store.run_facts import RunFacts, StepFacts, Try

WAITED_US = 50_000  # a shorter wait for a worker is none
LONG_US = 1_000_000  # a shorter one for anything else is none
_CUT_SHORT = ("cancelled", "interrupted")
_OUTCOMES = {
    "ok": "ok",
    "failed": "failed",
    "timed_out": "timed out",
    "cancelled": "taken back before it began",
    "interrupted": "interrupted",
    "abandoned": "lost with its engine",
}


def facts(run: RunFacts, step: str, around: Around) -> Iterator[Fact]:
    """Give the facts about one step of a run."""
    one = run.steps[step]
    yield from _begin(run, one, around)
    began = run_began(run)
    if not one.told.marked_by and one.told.status not in ("cached", "waiting"):
        yield from _ready(run, one, began)
    due = ready_at(run, one, began)
    for each in one.tries:
        yield from _attempt(run, one, each, due)
        due = each.retry_at or due
    yield from _end(run, one)
    yield from _followed(run, step)


def run_began(run: RunFacts) -> int:
    """Give when the run began, in microseconds."""
    return _us(run.run["started_at"]) or 0


def _us(iso: str | None) -> int | None:
    if iso is None:
        return None
    moment = datetime.fromisoformat(iso)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


# -- before its turn ------------------------------------------------------------------------------


def _begin(run: RunFacts, one: StepFacts, around: Around) -> Iterator[Fact]:
    row, began = run.run, run_began(run)
    number = row["run_id"]
    how = f"went on from run {row['resumed_from']}" if row["resumed_from"] else "began anew"
    if row["reason"] is None:
        why = "why, and what was decided in it, was not recorded then"
        yield Fact(began, "begun", f"run {number} {how}; {why}")
    else:
        reason = f": {row['reason']}" if row["reason"] else ""
        yield Fact(began, "begun", f"run {number} {how}{reason}")
    if one.told.marked_by:
        yield Fact(began, "marked", f"{one.told.marked_by} marked it as done")
    elif row["resumed_from"] and one.told.status != "cached" and not one.told.source_run:
        yield Fact(began, "redone", _redone(row["resumed_from"], one, around))
    if one.used and not one.told.marked_by:
        failures = f"{one.used} failure{'' if one.used == 1 else 's'}"
        yield Fact(began, "budget", f"{failures} of earlier runs count against its retries")


def _redone(run_id: int, one: StepFacts, around: Around) -> str:
    if one.why:
        return f"it is done again, as {because(one.why)}"
    if around.before is None:
        return f"run {run_id} did not have it"
    told = around.before.told
    if told.status == "failed":
        return f"it is done again, as in run {run_id} it {told_failure(around.before)}"
    note = f" ({told.note})" if told.note else ""
    return f"it had not ended well: in run {run_id} it was {told.status.replace('_', ' ')}{note}"


def _ready(run: RunFacts, one: StepFacts, began: int) -> Iterator[Fact]:
    if one.told.note.startswith(NOT_CHOSEN):
        return
    if not one.upstreams:
        if one.tries:
            yield Fact(began, "ready", "it depends on nothing")
        return
    not_ended = OPEN if one.tries else (*OPEN, *_CUT_SHORT)  # a step that is to tidy up may follow
    if any(run.steps[up].told.status in not_ended for up in one.upstreams):
        return
    last = max(one.upstreams, key=lambda up: _ended_at(run.steps[up]) or began)
    at = _ended_at(run.steps[last])
    status = run.steps[last].told.status
    if at is None:
        yield Fact(began, "ready", "all that it depends on was there from the start")
    elif len(one.upstreams) == 1:
        yield Fact(at, "ready", f"'{last}' had ended, {status}", {"upstream": last})
    else:
        count = len(one.upstreams)
        text = f"the last of {count} it depends on had ended: '{last}', {status}"
        yield Fact(at, "ready", text, {"upstream": last})


def ready_at(run: RunFacts, one: StepFacts, began: int) -> int:
    """Give when the last of what a step depends on had ended, or the run began."""
    return max((_ended_at(run.steps[up]) or began for up in one.upstreams), default=began)


def _ended_at(one: StepFacts) -> int | None:
    if one.told.status == "ok" and one.tries:
        return one.tries[-1].finished_at
    return _us(one.told.finished_at)


# -- its attempts ---------------------------------------------------------------------------------


def _attempt(run: RunFacts, one: StepFacts, each: Try, due: int) -> Iterator[Fact]:
    begun, ended = each.started_at, each.finished_at
    yield from _waited(run, one, due, begun)
    if each.outcome is None:
        if begun is not None:
            yield Fact(begun, "attempt", f"attempt {each.number} began", _told(each))
        return
    decided = [made for made in one.decisions if made.facts.get("attempt") == each.number]
    asked = [made.facts for made in decided if made.what == "condition"]
    for told in asked:
        yield Fact(begun, "condition", _decision("condition", told), told)
    if all(told["holds"] for told in asked):
        yield Fact(begun, "attempt", _outcome(one, each), _told(each))
    for made in decided:
        if made.what != "condition":
            text = _decision(made.what, made.facts)
            if made.what == "retry" and each is one.tries[-1]:
                text = text.replace(": retried after", ": to be retried after", 1)
            yield Fact(ended, made.what, text, made.facts)


def _told(each: Try) -> dict[str, Any]:
    took_s = None
    if each.started_at is not None and each.finished_at is not None:
        took_s = (each.finished_at - each.started_at) / 1e6
    told = {"number": each.number, "outcome": each.outcome, "duration_s": took_s}
    return {**told, "error": each.error}


def _outcome(one: StepFacts, each: Try) -> str:
    took = ""
    if each.started_at is not None and each.finished_at is not None:
        took = f" after {human_duration((each.finished_at - each.started_at) / 1e6)}"
    error = f": {first_line(each.error)}" if each.error else ""
    skips = each.outcome == "ok" and one.told.status == "skipped"
    outcome = "ended" if skips else _OUTCOMES[each.outcome or ""]
    return f"attempt {each.number}: {outcome}{took}{error}"


def _waited(run: RunFacts, one: StepFacts, due: int, begun: int | None) -> Iterator[Fact]:
    """Tell of a wait for a worker, and what held them; else of one that is long."""
    if begun is None or begun - due <= WAITED_US:
        return
    took = human_duration((begun - due) / 1e6)
    holders = _holders(run, one, due, begun)
    if len(holders) >= run.run["workers"]:
        data = {"seconds": (begun - due) / 1e6, "steps": holders[:NAMED_MAX]}
        yield Fact(due, "waited", f"waited {took} for a worker: {named(holders)} ran", data)
        yield from went_first(run, one.told.step, due, begun)
    elif begun - due > LONG_US:
        seconds = {"seconds": (begun - due) / 1e6}
        yield Fact(due, "waited", f"waited {took} for its start", seconds)


def _holders(run: RunFacts, one: StepFacts, since: int, until: int) -> list[str]:
    """Name the steps whose attempts ran in a time, those that held a worker longest first."""
    held: dict[str, int] = defaultdict(int)
    for name, other in run.steps.items():
        for each in other.tries if other is not one else ():
            if each.started_at is not None:
                ended = until if each.finished_at is None else each.finished_at
                held[name] += max(0, min(until, ended) - max(since, each.started_at))
    return sorted(filter(held.__getitem__, held), key=lambda name: -held[name])


def _decision(what: str, told: Mapping[str, Any]) -> str:
    if what == "condition":
        text = (
            "its condition" if told["condition"] is None else f"its condition, {told['condition']},"
        )
        read = ", ".join(f"{name} is {value}" for name, value in told["values"].items())
        return f"{text} {'held' if told['holds'] else 'did not hold'}{f' ({read})' if read else ''}"
    if what == "skip":
        return f"it asked to be skipped: {told['said']}"
    if what == "hold":
        return f"its retry waits: attempt {told['attempt']} could not be stopped and still runs"
    spent = f"{told['error']}, failure {told['failures']} of {told['of']}"
    if what == "retry":
        policy = f" ({told['policy']})" if told["policy"] else ""
        return f"{spent}: retried after {human_duration(told['delay_s'])}{policy}"
    why = f", as {told['why']}" if told["why"] else ""
    return f"{spent}: given up{why}"


# -- its end, and after ---------------------------------------------------------------------------


def _end(run: RunFacts, one: StepFacts) -> Iterator[Fact]:
    told = one.told
    if told.status in OPEN or told.marked_by:
        return
    at = _us(told.finished_at)
    for decided in one.decisions:
        if decided.what == "rule":
            yield Fact(at, "rule", _rule(decided.facts), decided.facts)
    note = f": {told.note}" if told.note not in ("", NOT_STARTED) and not one.why else ""
    if told.status == "cached":
        yield Fact(run_began(run), "cached", f"its values are those of run {told.source_run}{note}")
    elif _says_why(one):
        yield Fact(at, told.status, f"so it {_BECAME.get(told.status, told.status)}")
    elif told.status != "ok" or note:
        became = "it was ok" if told.status == "ok" else f"it {_BECAME[told.status]}"
        # Of a dead engine it is not known when.
        known = at if told.status in _CUT_SHORT else at or run_began(run)
        yield Fact(known, told.status, f"{became}{note}")


_BECAME = {
    "failed": "failed",
    "skipped": "was skipped",
    "cancelled": "was not started",
    "interrupted": "was interrupted",
}


def _says_why(one: StepFacts) -> bool:
    """Whether a decision says already why the step ended as it did."""
    if one.told.status == "failed":
        return any(made.what == "give up" for made in one.decisions)
    if one.told.status != "skipped":
        return False
    return any(
        made.what in ("rule", "skip") or (made.what == "condition" and not made.facts["holds"])
        for made in one.decisions
    )


def _rule(told: Mapping[str, Any]) -> str:
    seen: dict[str, list[str]] = defaultdict(list)
    for name, status in told["upstreams"].items():
        seen[status].append(name)
    parts = [f"{named(names)} {_saw(status, names)}" for status, names in seen.items()]
    more = f", and {told['more']:,} more like these" if told["more"] else ""
    return f"its trigger rule is {told['rule']}, and {', '.join(parts)}{more}"


def _saw(status: str, names: Sequence[str]) -> str:
    return "failed" if status == "failed" else f"{_were(names)} {status}"


def _followed(run: RunFacts, step: str) -> Iterator[Fact]:
    if skipped := _skipped_after(run, step):
        text = f"because of it {named(skipped)} {_were(skipped)} skipped"
        yield Fact(None, "followed", text, {"skipped": skipped})
    redone = [name for name, one in run.steps.items() if one.why == f"'{step}' runs again"]
    if redone:
        text = f"because of it {named(redone)} {_were(redone)} done again"
        yield Fact(None, "followed", text, {"redone": redone})


def _skipped_after(run: RunFacts, step: str) -> list[str]:
    """Name the steps whose skips come from a step, at any distance, as declared."""
    after: dict[str, list[str]] = defaultdict(list)
    for name, one in run.steps.items():
        if one.told.status == "skipped" and (up := named_in(one.told.note)):
            after[up].append(name)
    found: set[str] = set()
    pending = [step]
    while pending:
        for name in after[pending.pop()]:
            if name not in found:
                found.add(name)
                pending.append(name)
    return [name for name in run.steps if name in found]


def _were(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"
