"""Tables of runs, as several pages of the dashboard show them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.reports.html.bars import Bar
from engine.reports.html.markup import EMPTY, Html, joined
from engine.reports.html.shell import address, link, near, near_text
from engine.reports.html.words import badge, count, duration, word
from engine.text import cut, only

if TYPE_CHECKING:
    from store.trends import RunRow

NOTE_CHARS = 200

_TABLE = Html(
    '<div class="scroll"><table class="wide"><caption class="hide">{}</caption>'
    "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
)


def table(caption: str, heads: Sequence[str], rows: Iterable[Html]) -> Html:
    """Give a table; a head that begins with `#` is over numbers."""
    drawn = [
        Html('<th scope="col" class="num">{}</th>').format(head[1:])
        if head.startswith("#")
        else Html('<th scope="col">{}</th>').format(head)
        for head in heads
    ]
    return _TABLE.format(caption, joined(drawn), joined(rows))


def cell(value: Any, kind: str = "", head: str = "") -> Html:
    """Give a cell; on a phone, where no heads are shown, it says itself what it is."""
    attributes = [Html(' class="{}"').format(kind) if kind else EMPTY]
    attributes.append(Html(' data-h="{}"').format(head) if head else EMPTY)
    return Html("<td{}>{}</td>").format(joined(attributes), value)


def runs_table(runs: Sequence[RunRow], now: datetime, *, of: str = "") -> Html:
    """Give runs as rows; of one workflow only, its name is left out."""
    heads = ["Run", "Workflow", "Outcome", "Began", "#Took", "Steps", "Note"]
    if of:
        heads.remove("Workflow")
    return table("Runs, newest first", heads, [_run(run, now, of=of) for run in runs])


def _run(run: RunRow, now: datetime, *, of: str) -> Html:
    name = cell(link(run.workflow, "workflows", run.workflow), "name")
    cells = [
        cell(link(f"#{run.run_id}", "runs", run.run_id)),
        EMPTY if of else name,
        cell(badge(run.status)),
        cell(near(run.started_us, now, run.zone), "when"),
        cell(_took(run, now), "num"),
        cell(_steps(run), "", "steps"),
        cell(_note(run), "text soft"),
    ]
    return Html("<tr>{}</tr>").format(joined(cells))


def _took(run: RunRow, now: datetime) -> str:
    """Say what a run took; of one that is on, what it has taken so far."""
    if run.status != "running":
        return duration(run.duration_s)
    return f"{duration(now.timestamp() - run.started_us / 1e6)} so far"


def _steps(run: RunRow) -> str:
    """Say how many steps there are, and of what did not go the plain way how many."""
    parts = [f"{run.steps:,}"]
    for many, what in ((run.failed, "failed"), (run.skipped, "skipped"), (run.cached, "cached")):
        parts += [f"{many:,} {what}"] if many else []
    parts += [count(run.retries, "retry", "retries")] if run.retries else []
    return " · ".join(parts)


def _note(run: RunRow) -> str:
    bound = only(json.loads(run.only_steps or "[]"))
    given = ", ".join(f"{key}={value}" for key, value in _given(run.params).items())
    return cut(" · ".join(filter(None, (bound, given, run.note))), NOTE_CHARS)


def _given(params: str) -> dict[str, str]:
    try:
        found = json.loads(params or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        str(key): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in found.items()
    }


def run_bars(runs: Sequence[RunRow], now: datetime) -> list[Bar]:
    """Give runs, newest first, as bars, oldest first."""
    return [
        Bar(
            address("runs", run.run_id),
            run.status,
            run.duration_s,
            f"run {run.run_id}: {word(run.status)}, {duration(run.duration_s)},"
            f" {near_text(run.started_us, now, run.zone)}",
        )
        for run in reversed(runs)
    ]
