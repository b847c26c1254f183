"""The page of one run: what its reader wants to know first comes first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.model import AttemptOutcome
from engine.reports.html.about import about_run, changes, values
from engine.reports.html.critical import Link, critical_path
from engine.reports.html.facts import PageFacts
from engine.reports.html.graph_picture import graph_picture
from engine.reports.html.layout import document, section
from engine.reports.html.markup import EMPTY, Html, joined, lines
from engine.reports.html.step_table import ERROR_LINES_MAX, chosen, filter_form, step_table
from engine.reports.html.timeline import Times, axis_of, legend, path_told, timeline
from engine.reports.html.words import against, badge, clock_time, count, duration, tone, word
from engine.text import only, printable

__all__ = ["PageFacts", "body", "document_of", "title"]

_ON = "running"
_LOST = str(AttemptOutcome.ABANDONED)
_STEADY_RUNS = 3  # of fewer, no spread is told


def document_of(facts: PageFacts) -> str:
    """Give the whole page as one file."""
    return document(title(facts), body(facts))


def title(facts: PageFacts) -> str:
    """Give what a browser's tab says."""
    report = facts.report
    return printable(f"{report['workflow']}, run {report['run_id']}: {word(report['status'])}")


def body(facts: PageFacts) -> Html:
    """Give the inside of the page, also for one that is shown anew while the run is on."""
    path = _path(facts)
    sections = [
        ("changes", changes(facts) if facts.report["status"] != "ok" else EMPTY),
        ("graph", _graph(facts, path)),
        ("timeline", _timeline(facts, path)),
        ("steps", _steps(facts, path)),
        ("changes", changes(facts) if facts.report["status"] == "ok" else EMPTY),
        ("values", values(facts)),
        ("run", about_run(facts)),
    ]
    shown = [(name, part) for name, part in sections if part]
    link = Html('<a href="#{}">{}</a>')
    names = {"graph": "Graph", "timeline": "Timeline", "steps": "Steps"}
    names |= {"changes": "Changes", "values": "Values", "run": "About this run"}
    links = joined(link.format(name, names[name]) for name, _ in shown)
    return joined(
        [
            _head(facts),
            Html('<nav class="parts" aria-label="parts of this page">{}</nav>\n').format(links),
            _failure(facts),
            *(part for _, part in shown),
            _foot(facts),
        ]
    )


# -- the head -------------------------------------------------------------------------------------


def _head(facts: PageFacts) -> Html:
    report = facts.report
    counts = joined(
        Html('<span class="badge {}">{} {}</span>').format(
            tone(status), f"{number:,}", word(status)
        )
        for status, number in report["counts"].items()
    )
    total = report.get("steps_in_all") or len(report["steps"])
    bound = only(report.get("only_steps") or ())
    return Html(
        '<header><p class="soft">Run {run}{bound}</p><div class="head"><h1>{name}</h1>{badge}</div>'
        '<p class="lead">{when}</p><p class="counts"><span>{steps}</span>{counts}</p>{note}'
        "</header>\n"
    ).format(
        run=report["run_id"],
        bound=f", {bound}" if bound else "",
        name=report["workflow"],
        badge=badge(report["status"]),
        when=_when(facts),
        steps=count(total, "step") if total else "no steps",
        counts=counts,
        note=_note(report["note"]),
    )


def _note(note: str) -> Html:
    """Give the run's note; one of several lines, such as where a definition is wrong, as it is."""
    if not note:
        return EMPTY
    return Html("<pre>{}</pre>" if "\n" in note else "<p>{}</p>").format(lines(note))


def _when(facts: PageFacts) -> Html:
    """Tell when the run was and how long it took, against what it usually takes."""
    report, usual = facts.report, facts.usual
    started = clock_time(report["started"], facts.zone)
    took = _took_s(facts)
    how = "running for" if report["status"] == _ON else "took"
    parts = [Html("started {}").format(started)]
    if took is not None:
        parts.append(Html("{} <strong>{}</strong>").format(how, duration(took)))
    if usual is not None and report["status"] != "skipped":
        text = against(took, usual.usual_s) if report["status"] == "ok" else ""
        text = text or f"usually {duration(usual.usual_s)}"
        if usual.of >= _STEADY_RUNS:
            text += f" (mostly {duration(usual.low_s)} to {duration(usual.high_s)}"
            text += f" in the last {usual.of} good runs)"
        parts.append(Html.escape(text))
    return joined(parts, " · ")


def _took_s(facts: PageFacts) -> float | None:
    report = facts.report
    if report["duration_s"] is not None:
        return float(report["duration_s"])
    if report["status"] != _ON:
        return None
    return max(0.0, facts.now.timestamp() - _start(report))


def _start(report: Mapping[str, Any]) -> float:
    at = datetime.fromisoformat(report["started"])
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


# -- what went wrong ------------------------------------------------------------------------------


def _failure(facts: PageFacts) -> Html:
    """Tell what failed first and how to go on; of a run that was cut short, what was under way."""
    report = facts.report
    steps = {step["name"]: (at, step) for at, step in enumerate(report["steps"])}
    parts = []
    if (first := report["first_failure"]) in steps:
        parts.append(_failed_step(*steps[first]))
    cut_short = [(at, one) for at, one in steps.values() if one["status"] == "interrupted"]
    if cut_short:
        links = joined((_step_link(at, step) for at, step in cut_short[:20]), ", ")
        more = f" and {len(cut_short) - 20:,} more" if len(cut_short) > 20 else ""
        what = "Under way when it ended" if first not in steps else "Also under way when it ended"
        parts.append(Html("<h3>{}</h3><p>{}{}</p>").format(what, links, more))
    if command := report["resume_command"]:
        how = "To run them again" if report["only_steps"] else "To go on from there"
        if report["status"] != _ON:
            shape = Html('<h3>{}</h3><code class="command">{}</code>')
            parts.append(shape.format(how, command))
    if not parts:
        return EMPTY
    shape = Html('<section class="bad s-failed" aria-label="what went wrong">{}</section>\n')
    return shape.format(joined(parts))


def _failed_step(at: int, step: Mapping[str, Any]) -> Html:
    made = step["attempts"] or 0
    parts = [
        Html("<h2>{} failed after {}, {}</h2>").format(
            _step_link(at, step), count(made, "attempt"), duration(step["duration_s"])
        ),
        Html("<pre>{}</pre>").format(lines(step["error"] or step["note"], ERROR_LINES_MAX)),
    ]
    if last := step["last_lines"]:
        what = "Last lines of its log" if len(last) > 1 else "Last line of its log"
        parts.append(Html("<h3>{}</h3><pre>{}</pre>").format(what, lines("\n".join(last))))
    if step["log"]:
        parts.append(Html('<p class="soft">log: <code>{}</code></p>').format(step["log"]))
    return joined(parts)


def _step_link(at: int, step: Mapping[str, Any]) -> Html:
    return Html('<a href="#s{}">{}</a>').format(at, step["name"])


# -- graph, timeline, steps -----------------------------------------------------------------------


def _path(facts: PageFacts) -> list[Link]:
    if facts.graph is None:
        return []
    return critical_path(
        facts.attempts, facts.graph, facts.workers, (_start(facts.report), _end(facts))
    )


def _end(facts: PageFacts) -> float:
    """Give when the run ended: now if it is on, and what is known last of one that died."""
    report = facts.report
    if report["status"] == _ON:
        return facts.now.timestamp()
    if report["finished"]:
        return datetime.fromisoformat(report["finished"]).timestamp()
    known = [at for one in facts.attempts for at in (one.started, one.finished) if at is not None]
    return max(known, default=_start(report))


def _graph(facts: PageFacts, path: list[Link]) -> Html:
    if facts.graph is None:
        text = "The run has so many steps that its graph is not drawn."
        return section("graph", "Graph", Html('<p class="soft">{}</p>').format(text))
    if not facts.report["steps"]:
        return EMPTY
    steps = facts.report["steps"]
    picture, nodes = graph_picture(facts.graph, steps, [link.step for link in path])
    beside: Any = EMPTY
    if nodes < len(steps):
        text = f"{count(len(steps), 'step')} as {count(nodes, 'node')}: those alike share one"
        beside = Html('<p class="soft">{}</p>').format(text)
    shape = Html('<div class="graph" tabindex="0" role="region" aria-label="graph">{}</div>')
    return section("graph", "Graph", shape.format(picture), beside)


def _timeline(facts: PageFacts, path: list[Link]) -> Html:
    if not any(one.started is not None for one in facts.attempts):
        return EMPTY
    start, end = _start(facts.report), _end(facts)
    due = [one.retry_at for one in facts.attempts if one.retry_at and one.retry_at < end + 60]
    last = max([end, *(due if facts.report["status"] == _ON else ())])
    attempts = facts.attempts
    if facts.report["status"] != _ON and any(one.outcome is None for one in attempts):
        attempts = [one._replace(outcome=one.outcome or _LOST) for one in attempts]
        end = last = last + max(last - start, 1.0) / 8  # when they were lost is not known
    axis = axis_of(start, last)
    times = Times(facts.report["steps"], attempts, axis, end, path)
    is_late = any(one.outcome == "timed_out" for one in facts.attempts)
    hatched = _PATTERN if is_late else EMPTY
    parts = Html("{}{}{}").format(path_told(times), hatched, timeline(times))
    return section("timeline", "Timeline", parts, legend(times))


_PATTERN = Html(
    '<svg class="hide" aria-hidden="true"><defs><pattern id="late" width="6" height="6"'
    ' patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path d="M0 0V6" class="late-line s-failed"/></pattern></defs></svg>'
)


def _steps(facts: PageFacts, path: list[Link]) -> Html:
    report = facts.report
    steps = report["steps"]
    if not steps:
        return EMPTY
    shown = chosen(report, [link.step for link in path])
    total = report.get("steps_in_all") or len(steps)
    beside: Any = filter_form([steps[at] for at in shown])
    if total > len(shown):
        text = f"{len(shown):,} of {total:,}: first what did not go well, then what took longest"
        beside = Html('<p class="soft">{}</p>{}').format(text, beside)
    return section("steps", "Steps", step_table(report, shown), beside)


def _foot(facts: PageFacts) -> Html:
    made = clock_time(facts.now.isoformat(timespec="seconds"), facts.zone)
    return Html("<footer>kahnban {} · as of {}</footer>").format(facts.version, made)
