"""`why` and `diff`: what was decided about a step, and what is other between two runs."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from engine.cli import project
from engine.cli.console import print_json, print_result
from engine.cli.reading import load_reading, reading_history
from engine.clock import SystemClock
from engine.errors import UsageError
from engine.moments import instant, microseconds
from engine.naming import did_you_mean
from engine.secrets import masked
from engine.text import printable
from engine.zones import only_if_twice

if TYPE_CHECKING:
    from engine.reports.diff_words import Change
    from engine.reports.why import Answer
    from store.history import History
    from store.run_facts import RunFacts, StepFacts

FINE_US = 60_000_000  # where all took less, times are told to the millisecond


def why(parsed: argparse.Namespace) -> int:
    """Say why a step of a run stands as it does."""
    from engine.reports.why import Around, as_row
    from engine.reports.why import why as answer_for
    from engine.session.zones import zone_of_run

    load_reading()
    paths = project.paths_of(parsed)
    secrets = project.secrets_of(paths)
    now = SystemClock().utc()
    with reading_history(paths) as history:
        run = history.facts(history.find(parsed.run))
        _check_step(run, parsed.step)
        zone = zone_of_run(run.run)
        usual = history.usual(run.run["workflow"], before=run.run["run_id"])
        around = Around(
            now=microseconds(now),
            moment=lambda us: _moment(us, now, zone),
            before=_before(history, run, parsed.step),
            usual=usual,
        )
        answer = answer_for(run, parsed.step, around)
    if parsed.json:
        print_json(masked(as_row(answer, _iso), secrets))
    else:
        for line in _lines(answer, now, zone):
            print_result(printable(secrets.mask(line)))
    return 0


def _check_step(run: RunFacts, step: str) -> None:
    if step in run.steps:
        return
    number, names = run.run["run_id"], list(run.steps)
    if not names:
        note = f": {run.run['note']}" if run.run["note"] else ""
        raise UsageError(f"run {number} began no step{note}", hint=f"see `show {number}`")
    guess = did_you_mean(step, names)
    raise UsageError(
        f"run {number} has no step '{step}'{f' ({guess})' if guess else ''}",
        hint=f"its steps: {', '.join(names[:20])}",
    )


def _before(history: History, run: RunFacts, step: str) -> StepFacts | None:
    """Give the step as it was in the run that this one goes on from, if that is still there."""
    past = run.run["resumed_from"]
    if past is None:
        return None
    try:
        return history.facts(past).steps.get(step)
    except UsageError:
        return None


def _lines(answer: Answer, now: datetime, zone: tzinfo | None) -> list[str]:
    times = [fact.at for fact in answer.facts if fact.at is not None]
    finely = bool(times) and max(times) - min(times) < FINE_US
    moments = [
        "" if one.at is None else _moment(one.at, now, zone, finely=finely) for one in answer.facts
    ]
    wide = max(map(len, moments), default=0)
    rows = zip(moments, answer.facts, strict=True)
    head = f"{answer.text} (times: {zone})" if zone and any(moments) else answer.text
    return [head, *(f"  {moment:{wide}}  {fact.text}" for moment, fact in rows)]


def _moment(us: int, now: datetime, zone: tzinfo | None, *, finely: bool = False) -> str:
    """Give a time in the zone, without one the machine's; with its date if not today's."""
    at = instant(us).astimezone(zone)
    day = "" if at.date() == now.astimezone(zone).date() else f"{at:%Y-%m-%d} "
    fine = f".{at.microsecond // 1000:03}" if finely else ""
    return f"{day}{at:%H:%M:%S}{fine}{only_if_twice(at, zone)}"


def _iso(us: int) -> str:
    return instant(us).isoformat(timespec="milliseconds")[:-6] + "Z"


# -- two runs -------------------------------------------------------------------------------------

_TITLES = {
    "workflow": "what it is",
    "definition": "definition",
    "parameters": "parameters",
    "context": "initial context",
    "environment": "environment",
    "begin": "how it began",
    "outcome": "outcome",
    "status": "steps",
    "attempts": "attempts",
    "decisions": "decisions",
    "duration": "durations",
    "outputs": "outputs",
}


def diff(parsed: argparse.Namespace) -> int:
    """Say what differs between two runs."""
    from engine.reports.diff import changes

    load_reading()
    paths = project.paths_of(parsed)
    secrets = project.secrets_of(paths)
    with reading_history(paths) as history:
        old, new = history.find(parsed.old), history.find(parsed.new)
        first, second = history.facts(old), history.facts(new)
        spreads = history.spreads(second.run["workflow"], new)
    found = [
        replace(
            change,
            line=secrets.mask(change.line),
            old=masked(change.old, secrets),
            new=masked(change.new, secrets),
        )
        for change in changes(first, second, spreads)
    ]
    if parsed.json:
        print_json({"old": old, "new": new, "changes": [_row(change) for change in found]})
        return 0
    for line in _told(first, second, found):
        print_result(printable(line))
    return 0


def _row(change: Change) -> dict[str, Any]:
    return {
        "area": change.area,
        "text": change.line,
        "steps": list(change.steps),
        "old": change.old,
        "new": change.new,
    }


def _told(first: RunFacts, second: RunFacts, found: list[Change]) -> list[str]:
    old, new = first.run["run_id"], second.run["run_id"]
    if old == new:
        return [f"run {old} is one and the same run: there is nothing to compare"]
    if not found:
        return [f"runs {old} and {new} of '{second.run['workflow']}' differ in nothing"]
    lines = [f"run {new} of '{second.run['workflow']}', against run {old}:"]
    for area, title in _TITLES.items():
        told = [change.line for change in found if change.area == area]
        lines += [f"  {title}", *(f"    {line}" for line in told)] if told else []
    return lines
