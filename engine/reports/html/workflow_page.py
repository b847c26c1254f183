"""One workflow: how its runs went, what its steps usually take, and when it is due next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from engine.records import record
from engine.reports.html import overview, runs_page
from engine.reports.html.bars import plot
from engine.reports.html.markup import EMPTY, Html, joined
from engine.reports.html.shell import crumbs, link, near_text, when
from engine.reports.html.tables import cell, run_bars, runs_table, table
from engine.reports.html.words import badge, count, duration, fact

if TYPE_CHECKING:
    from engine.usual import Usual
    from store.trends import RunRow

PLOT_RUNS = 100
SHOWN_RUNS = 20
STEPS_MAX = 500


@record
class WorkflowFacts:
    """A workflow; `steps` are those of its newest run, at most so many as are shown."""

    row: overview.WorkflowRow
    runs: Sequence[RunRow]
    days: Mapping[str, Mapping[str, int]]
    steps: Sequence[str]
    steps_in_all: int
    usual: Mapping[str, Usual]
    now: datetime
    days_cut: int = 0


def body(facts: WorkflowFacts) -> Html:
    """Give the inside of the page."""
    row = facts.row
    last = badge(facts.runs[0].status) if facts.runs else EMPTY
    return joined(
        [
            crumbs(link("Workflows")),
            Html('<header class="head"><h1>{}</h1>{}</header>').format(row.name, last),
            when(row.description, '<p class="lead">{}</p>'),
            _facts(facts),
            _durations(facts),
            runs_page.days(
                facts.days,
                facts.now,
                row.name,
                note=runs_page.days_note(facts.runs, facts.now, facts.days_cut),
            )
            if facts.runs
            else EMPTY,
            _runs(facts),
            _steps(facts),
        ]
    )


def _facts(facts: WorkflowFacts) -> Html:
    row = facts.row
    took_s = overview.usual(facts.runs)
    lines = [
        fact("Next by its schedule", overview.due(row, facts.now)),
        fact("Schedule", row.schedule if row.due else ""),
        fact("Usually takes", duration(took_s) if took_s is not None else ""),
        fact("Steps", f"{facts.steps_in_all:,}" if facts.steps_in_all else ""),
        fact("What it is", overview.without_file(row.name) if row.gone else ""),
    ]
    found = joined(lines)
    return (
        Html("<section><h2>At a glance</h2><dl>{}</dl></section>").format(found) if found else EMPTY
    )


def _durations(facts: WorkflowFacts) -> Html:
    if not facts.runs:
        return Html('<section><p class="empty">No run yet.</p></section>')
    ends = (facts.runs[-1], facts.runs[0])
    told = tuple(near_text(run.started_us, facts.now, run.zone) for run in ends)
    usual_s = overview.usual(facts.runs)
    drawn = plot(run_bars(facts.runs, facts.now), usual_s, (told[0], told[1]))
    line = "; the dashed line is the median of the last good ones" if usual_s is not None else ""
    return Html(
        '<section><h2>{}</h2><div class="scroll late">{}</div><p class="soft">A cross is a run that'
        " did not go well{}.</p></section>"
    ).format(_how_long(len(facts.runs)), drawn, line)


def _how_long(runs: int) -> str:
    return f"How long the last {count(runs, 'run')} took" if runs > 1 else "How long its run took"


def _runs(facts: WorkflowFacts) -> Html:
    if not facts.runs:
        return EMPTY
    shown = facts.runs[:SHOWN_RUNS]
    more = link("all of them", "runs", workflow=facts.row.name)
    return Html('<section><div class="title"><h2>Last runs</h2>{}</div>{}</section>').format(
        more, runs_table(shown, facts.now, of=facts.row.name)
    )


def _steps(facts: WorkflowFacts) -> Html:
    if not facts.steps:
        return EMPTY
    rows = []
    for step in facts.steps:
        usual_s, made = facts.usual.get(step, (None, 0))
        cells = [
            cell(link(step, "workflows", facts.row.name, "steps", step), "name"),
            cell(duration(usual_s), "num", "usually"),
            cell(f"{made:,}" if made else "–", "num", "from"),
        ]
        rows.append(Html("<tr>{}</tr>").format(joined(cells)))
    cut = facts.steps_in_all - len(facts.steps)
    note = f"{cut:,} more are not shown; search finds them." if cut > 0 else ""
    return Html("<section><h2>Steps</h2>{}{}</section>").format(
        table("Steps", ["Step", "#Usually takes", "#From so many attempts"], rows),
        when(note, '<p class="soft">{}</p>'),
    )
