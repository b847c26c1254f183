"""What a search has found, and the page that says what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.records import record
from engine.reports.html.markup import Html, joined
from engine.reports.html.overview import notice
from engine.reports.html.shell import link
from engine.reports.html.tables import cell, table
from engine.reports.html.words import badge
from engine.text import cut

if TYPE_CHECKING:
    from store.search import Hits


@record
class SearchFacts:
    """What was looked for and found; `run_id` where the word is the number of a run."""

    word: str
    run_id: int | None
    workflows: Sequence[str]
    hits: Hits | None


def body(facts: SearchFacts) -> Html:
    """Give the inside of the page."""
    parts = [Html("<h1>Search</h1>"), *_found(facts)]
    if len(parts) == 1:
        told = f"Nothing holds “{facts.word}”." if facts.word else "Nothing is looked for."
        parts.append(Html('<section><p class="empty">{}</p></section>').format(told))
    where = (
        "Looked through: run numbers, workflows, the steps of each one's newest run, parameters and"
        " notes of the last 5,000 runs, errors of the last failures."
    )
    return joined([*parts, Html("<footer>{}</footer>").format(where)])


def _found(facts: SearchFacts) -> list[Html]:
    parts = []
    if facts.run_id is not None:
        parts.append(_part("Run", joined([link(f"run {facts.run_id}", "runs", facts.run_id)])))
    if facts.workflows:
        names = [
            Html("<li>{}</li>").format(link(name, "workflows", name)) for name in facts.workflows
        ]
        parts.append(_part("Workflows", Html('<ul class="plain">{}</ul>').format(joined(names))))
    hits = facts.hits
    if hits is None:
        return parts
    if hits.steps:
        rows = [
            _row(
                cell(link(step, "workflows", workflow, "steps", step), "name"),
                cell(link(workflow, "workflows", workflow)),
            )
            for workflow, step in hits.steps
        ]
        parts.append(_part("Steps", table("Steps", ["Step", "Workflow"], rows)))
    if hits.runs:
        rows = [
            _row(
                cell(link(f"#{run.run_id}", "runs", run.run_id)),
                cell(link(run.workflow, "workflows", run.workflow)),
                cell(badge(run.status)),
                cell(cut(f"{run.params} {run.note}".removeprefix("{} "), 240), "text soft"),
            )
            for run in hits.runs
        ]
        heads = ["Run", "Workflow", "Outcome", "Parameters, note"]
        parts.append(_part("Runs", table("Runs", heads, rows)))
    if hits.errors:
        rows = [
            _row(
                cell(link(f"#{hit.run_id}", "runs", hit.run_id)),
                cell(link(hit.workflow, "workflows", hit.workflow)),
                cell(link(hit.step, "runs", hit.run_id, "logs", hit.step, hit.number)),
                cell(f"{hit.number:,}", "num", "attempt"),
                cell(cut(hit.error, 240), "text soft"),
            )
            for hit in hits.errors
        ]
        heads = ["Run", "Workflow", "Step", "#Attempt", "Error"]
        parts.append(_part("Errors", table("Errors", heads, rows)))
    return parts


def _part(title: str, found: Html) -> Html:
    return Html("<section><h2>{}</h2>{}</section>").format(title, found)


def _row(*cells: Html) -> Html:
    return Html("<tr>{}</tr>").format(joined(cells))


def problem(title: str, message: str, hint: str = "") -> Html:
    """Give the inside of a page that says what is wrong, and what to do."""
    return Html("<h1>{}</h1>{}").format(title, notice(message, hint))
