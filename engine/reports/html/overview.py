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
    zone: str = ""


@record
class Undelivered:
    """An alert that is not delivered yet."""

    run_id: int
    channel: str
    tries: int
    error: str


@record
class Overview:
    """All that the first page shows; `notices` are sentences with what to do about them."""

    workflows: Sequence[WorkflowRow]
    on: Sequence[RunRow]
    alerts: Sequence[Undelivered]
    alerts_in_all: int
    now: datetime
    notices: Sequence[tuple[str, str]] = ()


def body(facts: Overview) -> Html:
    """Give the inside of the page."""
    return joined(
        [
            Html('<h1 class="hide">Workflows</h1>'),
            *(notice(text, hint) for text, hint in facts.notices),
            _on(facts),
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
        cell(due(row, now), "", "next" if row.due else ""),
    ]
    return Html("<tr>{}</tr>").format(joined(cells))


def due(row: WorkflowRow, now: datetime) -> Html:
    """Say when a workflow is due next, in its zone, or what is wrong with its file."""
    if row.broken:
        told = cut(row.broken.splitlines()[0], 160)
        return Html(
            '<span class="badge s-failed"><i aria-hidden="true">✗</i>broken</span> {}'
        ).format(Html('<small class="soft">{}</small>').format(told))
    if row.due is not None:
        text = row.due.isoformat(timespec="seconds")
        told = human_time(text, now, zone_named(row.zone), says_zone=True)
        return Html('<time datetime="{}" title="{}">{}</time>').format(text, row.schedule, told)
    return Html("{}").format(row.schedule) if row.schedule else EMPTY


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


def _alerts(facts: Overview) -> Html:
    if not facts.alerts_in_all:
        return EMPTY
    heads = ["Run", "To", "#Tries", "Why it did not go"]
    rows = [
        Html("<tr>{}</tr>").format(
            joined(
                [
                    cell(link(f"#{alert.run_id}", "runs", alert.run_id)),
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
