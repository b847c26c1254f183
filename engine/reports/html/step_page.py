"""A step's history: what it took in the last runs, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from engine.records import record
from engine.reports.html.bars import Bar, plot
from engine.reports.html.markup import Html, joined
from engine.reports.html.shell import address, crumbs, link, near, near_text
from engine.reports.html.tables import cell, table
from engine.reports.html.words import badge, count, duration, word
from engine.text import cut
from engine.usual import median

if TYPE_CHECKING:
    from store.trends import StepPast

MOST = 200
ROWS = 50


@record
class StepFacts:
    """A step of a workflow in its last runs, newest first."""

    workflow: str
    step: str
    past: Sequence[StepPast]
    now: datetime


def body(facts: StepFacts) -> Html:
    """Give the inside of the page."""
    past = facts.past
    took = [each.duration_s for each in past if each.status == "ok" and each.duration_s is not None]
    bars = [_bar(each, facts.now) for each in reversed(past)]
    ends = [near_text(each.started_us, facts.now, each.zone) for each in (past[-1], past[0])]
    tries = [each for each in past if each.attempts]
    retried = sum(each.attempts > 1 for each in tries)
    failed = sum(each.status == "failed" for each in past)
    lead = f"{failed} of {count(len(past), 'run')} failed; {retried} with retries"
    usual = f"; usually {duration(median(took))}" if took else ""
    return joined(
        [
            crumbs(link("Workflows"), link(facts.workflow, "workflows", facts.workflow)),
            Html('<header class="head"><h1>{}</h1>{}</header><p class="lead">{}</p>').format(
                facts.step, badge(past[0].status), lead + usual
            ),
            Html(
                '<section><h2>How long its last attempt took</h2><div class="scroll late">{}</div>'
                '<p class="soft">A cross is a failure{}.</p></section>'
            ).format(
                plot(bars, median(took) if took else None, (ends[0], ends[1])),
                "; the dashed line is the median of what went well" if took else "",
            ),
            _runs(facts),
        ]
    )


def _bar(past: StepPast, now: datetime) -> Bar:
    return Bar(
        address("runs", past.run_id),
        past.status,
        past.duration_s,
        f"run {past.run_id}: {word(past.status)}, {duration(past.duration_s)},"
        f" {near_text(past.started_us, now, past.zone)}",
    )


def _runs(facts: StepFacts) -> Html:
    rows = []
    for past in facts.past[:ROWS]:
        log: object = ""
        if past.attempts:
            log = link("log", "runs", past.run_id, "logs", facts.step, past.attempts)
        cells = [
            cell(link(f"#{past.run_id}", "runs", past.run_id)),
            cell(badge(past.status)),
            cell(near(past.started_us, facts.now, past.zone), "when"),
            cell(duration(past.duration_s), "num"),
            cell(f"{past.attempts:,}", "num", "attempts"),
            cell(cut(past.error or past.note, 300), "text soft"),
            cell(log),
        ]
        rows.append(Html("<tr>{}</tr>").format(joined(cells)))
    heads = ["Run", "Outcome", "Began", "#Took", "#Attempts", "Error or note", "Log"]
    return Html("<section><h2>Its last runs</h2>{}</section>").format(
        table("Runs of this step, newest first", heads, rows)
    )
