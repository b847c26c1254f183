"""What a step logged and printed, and which logs a run has."""

from __future__ import annotations

from collections.abc import Sequence

from engine.records import record
from engine.reports.html.markup import EMPTY, Html, joined
from engine.reports.html.shell import address, crumbs, link
from engine.reports.html.tables import cell, table
from engine.reports.html.words import badge
from engine.text import human_size


@record
class LogFile:
    """The log of an attempt."""

    step: str
    number: int
    size_bytes: int


@record
class LogsFacts:
    """The logs of a run, in the order of its steps; `in_all` counts those not shown, too."""

    run_id: int
    workflow: str
    logs: Sequence[LogFile]
    in_all: int


@record
class LogFacts:
    """The log of one attempt: its text from a place on, and where what is added begins.

    `before` is how much of it is not shown; `end` is None once nothing is added any more.
    """

    run_id: int
    workflow: str
    step: str
    number: int
    attempts: int
    status: str
    text: str
    before: int
    end: int | None


def list_body(facts: LogsFacts) -> Html:
    """Give the inside of the page that lists a run's logs."""
    rows = [
        Html("<tr>{}</tr>").format(
            joined(
                [
                    cell(
                        link(log.step, "runs", facts.run_id, "logs", log.step, log.number), "name"
                    ),
                    cell(f"{log.number}", "num", "attempt"),
                    cell(human_size(log.size_bytes), "num"),
                    cell(link("history", "workflows", facts.workflow, "steps", log.step)),
                ]
            )
        )
        for log in facts.logs
    ]
    found = (
        table("Logs", ["Step", "#Attempt", "#Size", ""], rows)
        if rows
        else Html('<p class="empty">Nothing was logged or printed.</p>')
    )
    more = facts.in_all - len(facts.logs)
    note = Html('<p class="soft">{}</p>').format(f"{more:,} more are not shown.") if more else EMPTY
    return Html("{}<h1>Logs</h1><section>{}{}</section>").format(_way(facts), found, note)


def body(facts: LogFacts) -> Html:
    """Give the inside of the page of one log; its end is followed while the attempt runs."""
    place = ("runs", facts.run_id, "logs", facts.step, facts.number)
    follow = EMPTY
    if facts.end is not None:
        follow = Html(' data-next="{}" data-every="1000"').format(address(*place, at=facts.end))
    others = [
        link(f"attempt {each}", "runs", facts.run_id, "logs", facts.step, each)
        for each in range(max(1, facts.attempts - 9), facts.attempts + 1)
        if each != facts.number
    ]
    history = link("history of this step", "workflows", facts.workflow, "steps", facts.step)
    cut = ""
    if facts.before:
        cut = f"The first {human_size(facts.before)} are not shown: see `logs {facts.run_id}`."
    shown = Html('<pre class="log" tabindex="0" aria-label="Log"{}>{}</pre>').format(
        follow, _shown(facts.text)
    )
    empty = Html('<p class="empty">Nothing was logged or printed.</p>')
    return joined(
        [
            _way(facts),
            Html('<header class="head"><h1>{}</h1>{}</header>').format(
                f"{facts.step}, attempt {facts.number}", badge(facts.status)
            ),
            Html('<nav class="parts" aria-label="Other logs">{}{}</nav>').format(
                joined(others), history
            ),
            Html("<section>{}{}</section>").format(
                Html('<p class="soft">{}</p>').format(cut) if cut else EMPTY,
                shown if facts.text or facts.end is not None else empty,
            ),
        ]
    )


def _shown(text: str) -> Html:
    """Give lines that are made harmless already, for the inside of a `<pre>`."""
    return joined((Html.escape(line) for line in text.split("\n")), "\n")


def _way(facts: LogFacts | LogsFacts) -> Html:
    return crumbs(
        link("Workflows"),
        link(facts.workflow, "workflows", facts.workflow),
        link(f"run {facts.run_id}", "runs", facts.run_id),
        link("logs", "runs", facts.run_id, "logs"),
    )
