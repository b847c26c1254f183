"""The table of a run's steps: each with its figures against its usual ones, and why it failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.reports.html.markup import EMPTY, Html, broken, joined, lines
from engine.reports.html.words import badge, count, duration, times, word
from engine.reports.terminal import interesting
from engine.text import cut

FILTER_FROM = 12  # steps: fewer are seen at a glance
ROWS_MAX = 1_000
ERROR_LINES_MAX = 40
NOTE_CHARS_MAX = 150
DETAILS_CHARS_MAX = 150_000  # of all errors and logs: where a thousand steps fail, one tells most
_SLOW = 1.5  # times its usual: marked, if it is worth a thought
_SLOW_S = 0.5

_TABLE = Html(
    '<table class="steps"><thead><tr><th scope="col">Step<th scope="col">Status'
    '<th scope="col" class="num">Attempts<th scope="col" class="num">Took'
    '<th scope="col" class="num">Usually<th scope="col" class="num">Began'
    '<th scope="col">Note</thead>{}</table>'
)
_ROW = Html(
    '<tbody id="s{at}" data-s="{status}"><tr><th scope="row">{name}<td>{badge}'
    '<td class="num">{attempts}<td class="num">{took}<td class="num">{usual}'
    '<td class="num">{began}<td class="note">{note}{more}</tbody>\n'
)
_MORE = Html('<tr class="more"><td colspan="7">{}')
_LEFT_OUT = Html('<p class="soft">Errors and log lines of {} are not told here: see the logs.</p>')
_DETAILS = Html("<details{}><summary>{}</summary><pre>{}</pre></details>")


def chosen(report: Mapping[str, Any], path: Iterable[int]) -> list[int]:
    """Choose the steps that are told: of very many those worth a look, and the critical path."""
    steps = report["steps"]
    worth = interesting(steps, report["first_failure"], ROWS_MAX)
    if len(worth) == len(steps):
        return list(range(len(steps)))
    kept = set(map(id, worth))
    return sorted({*path, *(at for at, step in enumerate(steps) if id(step) in kept)})


def step_table(report: Mapping[str, Any], shown: Sequence[int]) -> Html:
    """Give the table; the first failure, which is told in full above it, is not told again."""
    begun, steps, first = _moment(report["started"]), report["steps"], report["first_failure"]
    rows, left, left_out = [], DETAILS_CHARS_MAX, 0
    for at in shown:
        step, more = steps[at], EMPTY
        if step["name"] != first and (step.get("error") or step.get("last_lines")):
            more = _more(step) if left > 0 else EMPTY
            left -= len(more)
            left_out += not more
        rows.append(_row(at, step, begun, more))
    table = Html('<div class="scroll">{}</div>').format(_TABLE.format(joined(rows)))
    return table + (_LEFT_OUT.format(count(left_out, "more step")) if left_out else EMPTY)


def filter_form(steps: Sequence[Mapping[str, Any]]) -> Html:
    """Give what chooses among many steps; it is shown where scripts run."""
    if len(steps) < FILTER_FROM:
        return EMPTY
    counts = Counter(step["status"] for step in steps)
    option = Html('<option value="{}">{} ({:,})</option>')
    options = [option.format(status, word(status), number) for status, number in counts.items()]
    return Html(
        '<form class="filter" role="search"><label><span class="hide">text</span><input'
        ' type="search" name="text" placeholder="name, note or error" autocomplete="off"></label>'
        '<label><span class="hide">status</span><select name="status"><option value="">'
        'any status</option>{}</select></label><output aria-live="polite">{} shown</output></form>'
    ).format(joined(options), f"{len(steps):,}")


def _row(at: int, step: Mapping[str, Any], begun: datetime | None, more: Html) -> Html:
    made = step.get("attempts") or 0
    took, usual = step.get("duration_s"), step.get("expected_s")
    took = took if made else None
    return _ROW.format(
        at=at,
        status=step["status"],
        name=_name(step),
        badge=badge(step["status"]),
        attempts=made or "",
        took=_took(took, usual if made == 1 else None),  # what is usual is so of one attempt
        usual=duration(usual) if usual else "",
        began=_began(step.get("started"), begun),
        note=_note(step),
        more=more,
    )


def _name(step: Mapping[str, Any]) -> Html | str:
    """Give a step's name; it leads somewhere where there is more to see (`href`)."""
    to, name = step.get("href"), step["name"]
    return Html('<a href="{}">{}</a>').format(to, name) if to else str(name)


def _took(took_s: float | None, usual_s: float | None) -> Html | str:
    """Give what a step took, marked where that is far beyond its usual."""
    if took_s is None:
        return ""
    if usual_s and took_s > _SLOW * usual_s and took_s - usual_s > _SLOW_S:
        return Html('{} <span class="slow s-failed">{}</span>').format(
            duration(took_s), times(took_s / usual_s)
        )
    return duration(took_s)


def _began(started: str | None, begun: datetime | None) -> str:
    at = _moment(started)
    if at is None or begun is None:
        return ""
    return f"+{duration((at - begun).total_seconds())}"


def _moment(iso: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(iso) if iso else None
    except ValueError:
        return None


def _note(step: Mapping[str, Any]) -> Html:
    """Give the note, with where its outcome comes from if it does not say so."""
    note = step.get("note") or ""
    for fact in (step.get("source_run") and f"run {step['source_run']}", step.get("marked_by")):
        if fact and fact not in note:
            note += f"{'; ' if note else ''}from {fact}"
    return broken(cut(note, NOTE_CHARS_MAX))


def _more(step: Mapping[str, Any]) -> Html:
    """Give what there is to unfold: the last error, and the log's last lines."""
    parts = []
    if error := step.get("error"):
        parts.append(_DETAILS.format(EMPTY, "error", lines(error, ERROR_LINES_MAX)))
    if last := step.get("last_lines"):
        title = "last lines of its log" if len(last) > 1 else "last line of its log"
        parts.append(_DETAILS.format(EMPTY, title, lines("\n".join(last))))
    return _MORE.format(joined(parts)) if parts else EMPTY
