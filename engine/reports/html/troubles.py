"""Open incidents, as the pages of the dashboard show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from engine.records import record
from engine.reports.html.markup import EMPTY, Html, joined
from engine.reports.html.shell import link
from engine.reports.html.tables import cell, table
from engine.reports.html.words import count
from engine.text import cut, human_time
from engine.zones import zone_named


@record
class Trouble:
    """An incident that is open: since when, its failures, the last of them and its error."""

    workflow: str
    step: str
    since: str
    failures: int
    last_run: int
    error: str
    zone: str | None = None


def troubles_table(
    troubles: Sequence[Trouble], in_all: int, now: datetime, *, of: str = ""
) -> Html:
    """Give them as a table under its heading; of one workflow only, its name is left out."""
    if not troubles:
        return EMPTY
    heads = ["Workflow", "Step", "Since", "#Failures", "Last run", "Error"]
    if of:
        heads.remove("Workflow")
    told = count(in_all, "open incident")
    rows = [_row(each, now, of=of) for each in troubles]
    more = f"{in_all - len(rows):,} more: see `incidents`." if in_all > len(rows) else ""
    return Html("<section><h2>{}</h2>{}{}</section>").format(
        told,
        table("Open incidents, the oldest first", heads, rows),
        Html('<p class="soft">{}</p>').format(more) if more else EMPTY,
    )


def _row(trouble: Trouble, now: datetime, *, of: str) -> Html:
    since = human_time(trouble.since, now, zone_named(trouble.zone), says_zone=True)
    step = link(trouble.step, "workflows", trouble.workflow, "steps", trouble.step)
    cells = [
        EMPTY if of else cell(link(trouble.workflow, "workflows", trouble.workflow), "name"),
        cell(step if trouble.step else Html('<span class="soft">the run</span>'), "words"),
        cell(since, "when", "since"),
        cell(f"{trouble.failures:,}", "num", "failures"),
        cell(link(f"#{trouble.last_run}", "runs", trouble.last_run), "", "last run"),
        cell(cut(trouble.error, 200), "text soft"),
    ]
    return Html("<tr>{}</tr>").format(joined(cells))
