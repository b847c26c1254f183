"""The history of runs: filtered, a page at a time, with a calendar of how the days went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from engine.model import RunStatus
from engine.records import record
from engine.reports.html.bars import calendar
from engine.reports.html.markup import EMPTY, Html, joined
from engine.reports.html.shell import address, link
from engine.reports.html.tables import runs_table
from engine.reports.html.words import word
from engine.zones import is_elsewhere, zone_named

if TYPE_CHECKING:
    from store.trends import RunRow

MOST = 50


@record
class Asked:
    """What a reader wants to see: as it stood in the address, empty where it did not."""

    workflow: str = ""
    status: str = ""
    since: str = ""
    until: str = ""
    before: int | None = None


@record
class RunsFacts:
    """Runs, newest first; `days` counts by day and status; `days_cut` says that not all are."""

    asked: Asked
    runs: Sequence[RunRow]
    more: bool
    days: Mapping[str, Mapping[str, int]]
    workflows: Sequence[str]
    now: datetime
    days_cut: int = 0
    wrong: str = ""


def body(facts: RunsFacts) -> Html:
    """Give the inside of the page."""
    found = (
        runs_table(facts.runs, facts.now)
        if facts.runs
        else Html('<p class="empty">No run is like that.</p>')
    )
    return joined(
        [
            Html("<h1>Runs</h1>"),
            days(
                facts.days,
                facts.now,
                facts.asked.workflow,
                note=days_note(facts.runs, facts.now, facts.days_cut),
            ),
            Html("<section>{}{}{}{}</section>").format(
                _form(facts),
                Html('<p class="notice s-interrupted">{}</p>').format(facts.wrong)
                if facts.wrong
                else EMPTY,
                found,
                _pages(facts),
            ),
        ]
    )


def days(
    found: Mapping[str, Mapping[str, int]], now: datetime, workflow: str = "", *, note: str = ""
) -> Html:
    """Give the calendar of the days, each with a link to its runs."""
    today = now.astimezone().date()
    where = {day: address("runs", workflow=workflow, since=day, until=_after(day)) for day in found}
    told = Html('<p class="soft">{}</p>').format(note) if note else EMPTY
    return Html('<section><h2>Days</h2><div class="scroll late">{}</div>{}</section>').format(
        calendar(found, today, where), told
    )


def days_note(runs: Sequence[RunRow], now: datetime, cut_to: int = 0) -> str:
    """Say what days are counted, and whose they are where runs are shown in other zones."""
    cut = f"Of the last {cut_to:,} runs. " if cut_to else ""
    if named := _named(runs, now):
        cut += f"Days begin by the clock of this machine ({named})."
    return cut.strip()


def _named(runs: Sequence[RunRow], now: datetime) -> str:
    """Name the machine's zone, by which days begin, where runs are shown in others."""
    zones = filter(None, (zone_named(run.zone) for run in runs))
    is_needed = any(is_elsewhere(now.astimezone(zone)) for zone in zones)
    return f"{now.astimezone():%Z}" if is_needed else ""


def _after(day: str) -> str:
    return date.fromordinal(date.fromisoformat(day).toordinal() + 1).isoformat()


def _form(facts: RunsFacts) -> Html:
    asked = facts.asked
    named = _named(facts.runs, facts.now)
    zone = f" ({named})" if named else ""
    fields = [
        _choice("Workflow", "workflow", facts.workflows, asked.workflow, "all"),
        _choice("Outcome", "status", [str(each) for each in RunStatus], asked.status, "any"),
        _day(f"Since{zone}", "since", asked.since),
        _day(f"Before{zone}", "until", asked.until),
    ]
    clear = link("all runs", "runs") if asked != Asked() else EMPTY
    return Html('<form class="ask" action="/runs">{}<button>Show</button>{}</form>').format(
        joined(fields), clear
    )


def _choice(label: str, name: str, words: Sequence[str], chosen: str, without: str) -> Html:
    known = list(words) if not chosen or chosen in words else [chosen, *words]
    options = [Html('<option value="">{}</option>').format(without)]
    options += [
        Html('<option value="{}"{}>{}</option>').format(
            each, Html(" selected") if each == chosen else EMPTY, word(each)
        )
        for each in known
    ]
    return Html('<label>{}<select name="{}">{}</select></label>').format(
        label, name, joined(options)
    )


def _day(label: str, name: str, value: str) -> Html:
    return Html('<label>{}<input type="date" name="{}" value="{}"></label>').format(
        label, name, value
    )


def _pages(facts: RunsFacts) -> Html:
    asked = facts.asked
    kept = {
        "workflow": asked.workflow,
        "status": asked.status,
        "since": asked.since,
        "until": asked.until,
    }
    links = []
    if asked.before is not None:
        links.append(link("newest", "runs", **kept))
    if facts.more:
        links.append(link("older", "runs", **kept, before=facts.runs[-1].run_id))
    if not links:
        return EMPTY
    return Html('<nav class="pages" aria-label="More runs">{}</nav>').format(joined(links))
