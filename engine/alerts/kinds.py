"""What an alert says by its kind: of an incident, of many at once, or of a workflow. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from engine.alert import AlertKind, AlertRow
from engine.alerts import of_runs
from engine.alerts.content import (
    ERROR_MAX,
    REPEATED,
    Content,
    Facts,
    Part,
    Section,
    of_notice,
)
from engine.alerts.text import duration, moment, one_line, slack_escape, units, visible

ERROR_SHOWN = 160
LINES_MAX = 40
LIST_MAX = 1_700
WAITED_S = 300.0  # less is as good as at once

# Of one, and of many.
_DONE = {
    AlertKind.OPENED: ("opened", "opened"),
    AlertKind.REMINDER: ("goes on", "go on"),
    AlertKind.CLOSED: ("recovered", "recovered"),
}
_WIDTH = max(len(word) for word, _ in _DONE.values())

_NOTICES = {AlertKind.LATE, AlertKind.MISSING, AlertKind.PAUSED}

Incident = Mapping[str, Any]


def of_alert(row: AlertRow) -> Content:
    """Say what an alert says."""
    payload = row.payload
    facts = payload.get("facts") or {}
    match row.kind:
        case AlertKind.OPENED:
            return _opened(of_runs.of_report(payload, repeat=row.repeat), facts)
        case AlertKind.REMINDER:
            return _reminder(of_runs.of_report(payload, repeat=row.repeat), payload, facts)
        case AlertKind.CLOSED:
            return _placed(row, _closed(facts, payload.get("zone"), repeat=row.repeat))
        case AlertKind.DIGEST if facts.get("report"):
            content = _of_many(of_runs.of_report(payload, repeat=row.repeat), payload, facts)
            return _with(content, (("incidents", _kinds(facts)),))
        case AlertKind.DIGEST if set(facts.get("counts") or ()) & _NOTICES:
            return _placed(row, _notices(facts, repeat=row.repeat), is_aging=True)
        case AlertKind.DIGEST:
            return _placed(row, _digest(facts, repeat=row.repeat))
        case AlertKind.RUN:
            return of_runs.of_report(payload, repeat=row.repeat)
    notice = of_notice(str(facts.get("headline", "")), str(facts.get("body", "")))
    ways = [
        Section(str(title), visible(str(command)[:ERROR_MAX]), mono=True)
        for title, command in facts.get("ways") or ()
    ]
    mark = REPEATED if row.repeat else ""
    said = replace(notice, mark=mark, parts=(*notice.parts, *ways))
    return _placed(row, said, is_aging=True)


def _placed(row: AlertRow, content: Content, *, is_aging: bool = False) -> Content:
    """Say on which machine it is, and how old what holds no more, maybe, if it had to wait."""
    pairs: tuple[tuple[str, str], ...] = ()
    if host := one_line(_text(row.payload, "host"), of_runs.VALUE_MAX):
        pairs += (("host", host),)
    if is_aging and row.age_s >= WAITED_S:
        pairs += (("noticed", f"{duration(row.age_s)} ago"),)
    return _with(content, pairs) if pairs else content


def brief(row: AlertRow, content: Content) -> Content:
    """Say in a thread what is new: its first message has been brought up to date."""
    if row.kind is not AlertKind.REMINDER:
        return content
    facts = row.payload.get("facts") or {}
    parts: list[Part] = [
        Section("error", _error(facts), mono=True),
        Facts(_pairs(facts, row.payload.get("zone"))),
    ]
    return replace(content, parts=tuple(parts))


def of_those_apart(row: AlertRow) -> list[tuple[Content, Mapping[str, Any]]]:
    """Say of incidents that a list closes, and that have other first messages, what these become.

    One that told of many is brought up to date once all of them are over.
    """
    facts = row.payload.get("facts") or {}
    shown = facts.get("shown") or ()
    over = {each["incident"]: each for each in shown if each["kind"] == AlertKind.CLOSED}
    zone = row.payload.get("zone")
    found: list[tuple[Content, Mapping[str, Any]]] = []
    for number, thread in (row.apart or {}).items():
        if "many" not in thread and number in over:
            found.append((_closed(over[number], zone, repeat=False), thread))
        elif "many" in thread and (facts.get("counts") or {}).get(AlertKind.CLOSED):
            found.append((all_over(_digest(facts, repeat=False), thread["many"]), thread))
    return found


def all_over(content: Content, count: int) -> Content:
    """Say of many incidents that one message told of that the last has recovered, too."""
    return replace(content, head=f"all {count:,} are over, at last: {content.head}", reason="")


def _opened(content: Content, facts: Incident) -> Content:
    return _with(content, (("incident", _text(facts, "incident")),))


def _reminder(content: Content, payload: Incident, facts: Incident) -> Content:
    """Say that it goes on, in the words of the newest run that failed."""
    at = f": {facts['step']}" if facts.get("step") else ""
    workflow = _text(payload, "workflow") or _text(facts, "workflow")
    head = f"{workflow} still fails{at}, {_counted(facts)} in {duration(facts.get('lasted_s'))}"
    return replace(_with(content, _pairs(facts, payload.get("zone"))), head=head, reason="")


def _closed(facts: Incident, zone: object, *, repeat: bool) -> Content:
    at = f": {facts['step']}" if facts.get("step") else ""
    workflow = _text(facts, "workflow")
    after = f"after {_counted(facts)}, {duration(facts.get('lasted_s'))}"
    head = f"{workflow} recovered {after}{at}"
    if facts.get("gone"):
        head = f"{workflow} no longer has the step {facts.get('step')}, closed {after}"
    error = Section("it failed with", _error(facts), mono=True)
    pairs = Facts(_pairs(facts, zone, goes_on=False))
    return Content(head, REPEATED if repeat else "", "ok", (error, pairs))


def _of_many(content: Content, payload: Incident, facts: Incident) -> Content:
    """Say of a run that failed in many steps, and in none of them for the first time, that."""
    if set(facts.get("counts") or ()) != {AlertKind.REMINDER}:
        return content
    at = f": {payload['first_failure']}" if payload.get("first_failure") else ""
    return replace(content, head=f"{_text(payload, 'workflow')} still fails{at}")


def _with(content: Content, pairs: tuple[tuple[str, str], ...]) -> Content:
    """Put more pairs behind those that are there, or on their own."""
    parts = list(content.parts)
    for at, part in enumerate(parts):
        if isinstance(part, Facts):
            parts[at] = Facts(part.pairs + pairs)
            return replace(content, parts=tuple(parts))
    return replace(content, parts=(*parts, Facts(pairs)))


def _pairs(facts: Incident, zone: object, *, goes_on: bool = True) -> tuple[tuple[str, str], ...]:
    since = f", {facts['since']} since the last message" if facts.get("since") else ""
    opened = moment(_text(facts, "opened"), zone)
    pairs: tuple[tuple[str, str], ...] = (
        ("incident", _text(facts, "incident")),
        ("failures", f"{_text(facts, 'failures')}{since}"),
        ("since" if goes_on else "opened", f"{opened}, run {_text(facts, 'opened_run')}"),
    )
    if closed := _text(facts, "closed_run"):
        pairs += (("closed", f"run {closed}"),)
    return tuple((label, one_line(value, of_runs.VALUE_MAX)) for label, value in pairs)


def _counted(facts: Incident) -> str:
    count = facts.get("failures", 1)
    return f"{count} failure{'s' if count != 1 else ''}"


def _error(facts: Incident) -> str:
    return visible(_text(facts, "error")[:ERROR_MAX]) or "-"


def _text(mapping: Incident, key: str) -> str:
    value = mapping.get(key)
    return "" if value is None else str(value)


# -- many at once ---------------------------------------------------------------------------------


def _digest(facts: Incident, *, repeat: bool) -> Content:
    counts = facts.get("counts") or {}
    workflow = _text(facts, "workflow")
    head = f"{f'{workflow}: ' if workflow else ''}{_kinds(facts, of=' incident')}"
    shown = list(facts.get("shown") or ())
    lines = _fitting(_lines(shown[:LINES_MAX], workflow))
    if (more := sum(counts.values()) - len(lines)) > 0:
        lines.append(f"… and {more:,} more: see `incidents`")
    is_well = set(counts) == {AlertKind.CLOSED}
    parts = (Section("incidents", "\n".join(lines), mono=True),)
    return Content(head, REPEATED if repeat else "", "ok" if is_well else "failed", parts)


def _fitting(lines: Iterable[str]) -> list[str]:
    """Give the first lines that have room in a message, so that what counts the rest has, too."""
    room, kept = LIST_MAX, []
    for line in lines:
        room -= units(slack_escape(line, LIST_MAX)) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def _kinds(facts: Incident, of: str = "") -> str:
    """Say what has become of how many; the first are said to be `of` a kind."""
    counts = facts.get("counts") or {}
    said: list[str] = []
    for kind, (of_one, of_many) in _DONE.items():
        if count := counts.get(kind):
            what = f"{of}{'s' if count > 1 else ''}" if of and not said else ""
            said.append(f"{count:,}{what} {of_one if count == 1 else of_many}")
    return ", ".join(said)


def _lines(shown: Iterable[Incident], workflow: str) -> Iterable[str]:
    for each in shown:
        names = (
            [_text(each, "step")] if workflow else [_text(each, "workflow"), _text(each, "step")]
        )
        name = " / ".join(one_line(name, 60) for name in names if name) or "the run"
        what = f"{_DONE[each['kind']][0]:<{_WIDTH}}"
        yield f"{what}  {name}  {one_line(_text(each, 'error'), ERROR_SHOWN)}"


def _notices(facts: Incident, *, repeat: bool) -> Content:
    """List what is late, missing or paused, in the words that each would have come in."""
    counts = facts.get("counts") or {}
    workflow = _text(facts, "workflow")
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in counts.items())
    head = f"{f'{workflow}: ' if workflow else ''}{sum(counts.values()):,} alerts: {kinds}"
    shown = list(facts.get("shown") or ())[:LINES_MAX]
    lines = _fitting(one_line(_text(each, "headline"), ERROR_SHOWN) for each in shown)
    if (more := sum(counts.values()) - len(lines)) > 0:
        lines.append(f"… and {more:,} more: see `watch`")
    parts = (Section("alerts", "\n".join(lines), mono=True),)
    return Content(head, REPEATED if repeat else "", "", parts)
