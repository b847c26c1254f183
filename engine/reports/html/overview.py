"""The first page of the dashboard: every workflow, how it went lately, when it is due next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from engine.naming import BACKFILL_SUFFIX
from engine.records import record
from engine.reports.html.bars import strip
from engine.reports.html.markup import EMPTY, Html, joined
from engine.reports.html.shell import link, near, when
from engine.reports.html.tables import cell, run_bars, runs_table, table
from engine.reports.html.troubles import Trouble, troubles_table
from engine.reports.html.words import badge, count, duration
from engine.text import cut, human_time
from engine.usual import MEDIAN_OF, median
from engine.zones import zone_named

if TYPE_CHECKING:
    from store.trends import RunRow

STRIP_RUNS = 30


@record
class WorkflowRow:
    """A workflow: its last runs, newest first; what its file says, if it is known."""

    name: str
    runs: Sequence[RunRow] = ()
    description: str = ""
    schedule: str = ""
    due: datetime | None = None
    broken: str = ""
    gone: bool = False
    paused: str = ""
    missing: str = ""
    zone: str = ""


@record
class Undelivered:
    """An alert that is not delivered yet."""

    run_id: int | None
    channel: str
    tries: int
    error: str
    workflow: str = ""


@record
class Overview:
    """All that the first page shows; `notices` are sentences with what to do about them."""

    workflows: Sequence[WorkflowRow]
    on: Sequence[RunRow]
    alerts: Sequence[Undelivered]
    alerts_in_all: int
    now: datetime
    notices: Sequence[tuple[str, str]] = ()
    troubles: Sequence[Trouble] = ()
    troubles_in_all: int = 0


def body(facts: Overview) -> Html:
    """Give the inside of the page."""
    return joined(
        [
            Html('<h1 class="hide">Workflows</h1>'),
            *(notice(text, hint) for text, hint in facts.notices),
            _on(facts),
            troubles_table(facts.troubles, facts.troubles_in_all, facts.now),
            _workflows(facts),
            _alerts(facts),
        ]
    )


def notice(text: str, hint: str = "") -> Html:
    """Give a sentence that stands out, and below it what to do."""
    return Html('<div class="notice s-interrupted"><p>{}</p>{}</div>').format(
        text, when(hint, "<p>{}</p>")
    )


def _on(facts: Overview) -> Html:
    if not facts.on:
        return EMPTY
    head = Html("<section><h2>{}</h2>{}</section>")
    return head.format(count(len(facts.on), "run") + " on now", runs_table(facts.on, facts.now))


def _workflows(facts: Overview) -> Html:
    if not facts.workflows:
        told = "There is none yet: `init` makes a first."
        return Html('<section><h2>Workflows</h2><p class="empty">{}</p></section>').format(told)
    heads = ["Workflow", "Last run", f"Last {STRIP_RUNS} runs", "#Usually", "Next by its schedule"]
    rows = [_workflow(row, facts.now) for row in facts.workflows]
    return Html("<section><h2>Workflows</h2>{}</section>").format(table("Workflows", heads, rows))


def _workflow(row: WorkflowRow, now: datetime) -> Html:
    last = EMPTY
    if row.runs:
        run = row.runs[0]
        last = Html("{} {}").format(
            Html('<a class="plain" href="/runs/{}">{}</a>').format(run.run_id, badge(run.status)),
            Html('<span class="soft">{}</span>').format(near(run.started_us, now, run.zone)),
        )
    about = without_file(row.name) if row.gone else row.description
    name = Html("{}{}").format(
        link(row.name, "workflows", row.name), when(cut(about, 120), "<small>{}</small>")
    )
    took_s = usual(row.runs)
    cells = [
        cell(name, "name"),
        cell(last or Html('<span class="soft">no run yet</span>'), "when"),
        cell(strip(run_bars(row.runs, now), STRIP_RUNS) if row.runs else EMPTY, "full"),
        cell("" if took_s is None else duration(took_s), "num", "usually" if took_s else ""),
        cell(due(row, now), "words", "" if row.paused or row.missing or not row.due else "next"),
    ]
    return Html("<tr>{}</tr>").format(joined(cells))


def due(row: WorkflowRow, now: datetime) -> Html:
    """Say when a workflow is due next, in its zone, or what keeps it from that; what never came."""
    parts = []
    if row.missing:
        parts.append(_marked("failed", "!", "missing", row.missing))
    if row.broken:
        parts.append(_marked("failed", "✗", "broken", row.broken.splitlines()[0]))
    elif row.paused:
        parts.append(_marked("skipped", "–", "paused", row.paused.removeprefix("paused ")))
    elif row.due is not None:
        text = row.due.isoformat(timespec="seconds")
        told = human_time(text, now, zone_named(row.zone), says_zone=True)
        shape = Html('<time datetime="{}" title="{}">{}</time>')
        parts.append(shape.format(text, row.schedule, told))
    elif row.schedule:
        parts.append(Html("{}").format(row.schedule))
    return joined(parts, "<br>")


def _marked(status: str, sign: str, word: str, told: str) -> Html:
    """Give a badge, and beside it what is told of it."""
    return Html(
        '<span class="badge s-{}"><i aria-hidden="true">{}</i>{}</span>'
        ' <small class="soft">{}</small>'
    ).format(status, sign, word, cut(told, 160))


def without_file(name: str) -> str:
    """Say what a workflow is that no file defines: a backfill's own runs are of such a one."""
    of = name.removesuffix(BACKFILL_SUFFIX)
    return "no file defines it any more" if of == name else f"the backfills of {of}"


def usual(runs: Sequence[RunRow]) -> float | None:
    """Give what a workflow usually takes: the median of the last whole runs, ok."""
    good = [
        run.duration_s
        for run in runs
        if (run.status, run.cached, run.only_steps) == ("ok", 0, "") and run.duration_s is not None
    ]
    return median(good[:MEDIAN_OF]) if good else None


def _of(alert: Undelivered) -> Html:
    """Say what an alert is of: a run, or a workflow."""
    if alert.run_id is None:
        return link(alert.workflow, "workflows", alert.workflow)
    return link(f"#{alert.run_id}", "runs", alert.run_id)


def _alerts(facts: Overview) -> Html:
    if not facts.alerts_in_all:
        return EMPTY
    heads = ["Of", "To", "#Tries", "Why it did not go"]
    rows = [
        Html("<tr>{}</tr>").format(
            joined(
                [
                    cell(_of(alert)),
                    cell(alert.channel),
                    cell(str(alert.tries), "num"),
                    cell(cut(alert.error, 200), "text soft"),
                ]
            )
        )
        for alert in facts.alerts
    ]
    told = count(facts.alerts_in_all, "alert") + " undelivered"
    return Html("<section><h2>{}</h2>{}</section>").format(
        told, table("Undelivered alerts", heads, rows)
    )
