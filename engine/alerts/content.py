"""What an alert says, in order, before any channel's layout. Pure; a report's texts are untrusted.

A reader asks first what failed and why, then what else happened, then how to go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.alerts.text import duration, head, last_line, one_line, tail, visible
from engine.records import record
from engine.text import only

HEADLINE_MAX = 150
ERROR_MAX = 2_400
PARAM_MAX = 300
LINES_SHOWN = 20

GLYPHS = {
    "ok": "✓",
    "failed": "✗",
    "skipped": "–",
    "cached": "=",
    "cancelled": "■",
    "interrupted": "■",
}
_WORST_FIRST = ("failed", "interrupted", "running", "backing_off", "cancelled", "skipped")


@record
class Section:
    """A titled text; `mono` where it is a machine's words (an error, a command)."""

    title: str
    body: str
    mono: bool = False


@record
class StepLine:
    """One step as an alert shows it."""

    name: str
    status: str
    duration: str
    note: str

    def __str__(self) -> str:
        """Give the step as one line of text."""
        words = [GLYPHS.get(self.status, "·"), self.name, self.status, self.duration]
        line = "  ".join(word for word in words if word)
        return f"{line}  ({self.note})" if self.note else line


@record
class Steps:
    """The run's steps in declared order."""

    lines: tuple[StepLine, ...]


@record
class Facts:
    """Short pairs of label and value."""

    pairs: tuple[tuple[str, str], ...]


Part = Section | Steps | Facts


@record
class Content:
    """A whole alert: the headline, a mark that no cut may lose, the outcome, and the parts."""

    head: str
    mark: str
    status: str
    parts: tuple[Part, ...]

    @property
    def headline(self) -> str:
        """One visible line of at most 150 characters."""
        return one_line(self.head, HEADLINE_MAX - len(self.mark)) + self.mark


def of_report(report: Mapping[str, Any], *, repeat: bool = False) -> Content:
    """Say what a run's report says; `repeat` marks an alert that may have been sent before."""
    steps = _steps(report)
    failed = [step for step in steps if step.get("status") == "failed"]
    first = _first_failure(report, failed)
    mark = f" (+{len(failed) - 1} more failed)" if len(failed) > 1 else ""
    mark += " (repeated)" if repeat else ""
    parts: list[Part] = [*_failure(report, first)]
    if steps:
        parts.append(Steps(tuple(_step_line(step) for step in steps)))
    if pairs := _facts(report, steps):
        parts.append(Facts(pairs))
    parts += _rest(report)
    return Content(_head(report, first, steps), mark, _text(report, "status"), tuple(parts))


def of_notice(headline: str, body: str, *, status: str = "") -> Content:
    """Say something that is no run's report: a test, or a store that cannot be written."""
    return Content(headline, "", status, (Section("", visible(body[:ERROR_MAX])),))


def _steps(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    steps = report.get("steps")
    if not isinstance(steps, list):
        return []
    return [step for step in steps if isinstance(step, Mapping)]


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    return "" if value is None else str(value)


def _first_failure(
    report: Mapping[str, Any], failed: list[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    name = report.get("first_failure")
    named = (step for step in _steps(report) if name is not None and step.get("name") == name)
    return next(named, failed[0] if failed else None)


def _head(
    report: Mapping[str, Any],
    first: Mapping[str, Any] | None,
    steps: list[Mapping[str, Any]],
) -> str:
    status = _text(report, "status")
    bound = _bound(report)
    name = f"{_text(report, 'workflow') or 'a run'}{f' ({bound})' if bound else ''}"
    said = f"{name} {status}".strip()
    if status == "ok":
        took = duration(report.get("duration_s"))
        previous = _text(report, "previous_status")
        recovered = f", was {previous} before" if previous in {"failed", "interrupted"} else ""
        return f"{said} in {took}{recovered}" if took else said + recovered
    if status == "failed" and first is not None:
        why = last_line(_text(first, "error")) or _text(first, "note")
        return ": ".join(word for word in (said, _text(first, "name"), why) if word)
    stopped = [_text(step, "name") for step in steps if step.get("status") == "interrupted"]
    if stopped:
        more = f" and {len(stopped) - 1} more" if len(stopped) > 1 else ""
        said += f" at {stopped[0]}{more}"
    note = last_line(_text(report, "note"))
    return f"{said}: {note}" if note else said


def _bound(report: Mapping[str, Any]) -> str:
    """Name the steps that a run was bound to, if it was: its outcome is not the workflow's."""
    steps = report.get("only_steps")
    return only([str(step) for step in steps]) if isinstance(steps, list) else ""


def _failure(report: Mapping[str, Any], first: Mapping[str, Any] | None) -> Iterable[Section]:
    if first is not None and report.get("status") != "ok":
        error = _text(first, "error").strip()
        why = last_line(error) or _text(first, "note")
        yield Section(
            f"failed first: {one_line(_text(first, 'name'), 100)}{_effort(first)}",
            visible(head(why, ERROR_MAX)),
            mono=True,
        )
        lines = first.get("last_lines")
        if isinstance(lines, list) and lines:
            said = "\n".join(str(line) for line in lines[-LINES_SHOWN:])
            yield Section("last lines of its log", _ending(said), mono=True)
        elif "\n" in error:
            yield Section("the whole error", _ending(error), mono=True)
    note = _text(report, "note").strip()
    if note:
        yield Section("note", _ending(note))


def _ending(text: str) -> str:
    return visible(tail(text.strip("\n"), ERROR_MAX))


def _effort(step: Mapping[str, Any]) -> str:
    attempts = step.get("attempts")
    words = []
    if isinstance(attempts, int) and attempts > 0:
        words.append(f"{attempts} attempt{'s' if attempts > 1 else ''}")
    if took := duration(step.get("duration_s")):
        words.append(took)
    return f" ({', '.join(words)})" if words else ""


def _step_line(step: Mapping[str, Any]) -> StepLine:
    return StepLine(
        one_line(_text(step, "name"), 100),
        one_line(_text(step, "status"), 20),
        duration(step.get("duration_s") or None),  # a step that did not run took no time
        one_line(_text(step, "note"), 120),
    )


def _facts(
    report: Mapping[str, Any], steps: list[Mapping[str, Any]]
) -> tuple[tuple[str, str], ...]:
    threads = report.get("threads_left")
    pairs = (
        ("steps", _counts(report, steps)),
        ("duration", duration(report.get("duration_s"))),
        ("started", _text(report, "started")),
        ("run", _text(report, "run_id")),
        ("continues run", _text(report, "resumed_from")),
        ("run before", _text(report, "previous_status")),
        ("threads left running", str(threads) if threads else ""),
        ("host", _text(report, "host")),
        ("user", _text(report, "user")),
    )
    return tuple((label, one_line(value, PARAM_MAX)) for label, value in pairs if value)


def _counts(report: Mapping[str, Any], steps: list[Mapping[str, Any]]) -> str:
    counts = report.get("counts")
    if not isinstance(counts, Mapping) or not counts:
        return tally(_text(step, "status") for step in steps)
    return ", ".join(f"{number} {status}" for status, number in counts.items() if number)


def tally(statuses: Iterable[str]) -> str:
    """Count statuses, as `3 ok, 1 failed`, in order of first appearance."""
    counts: dict[str, int] = {}
    for status in statuses:
        counts[status] = counts.get(status, 0) + 1
    return ", ".join(f"{number} {status}" for status, number in counts.items())


def _rest(report: Mapping[str, Any]) -> Iterable[Section]:
    params = report.get("params")
    if isinstance(params, Mapping) and params:
        lines = (
            f"{one_line(str(name), 100)} = {one_line(str(value), PARAM_MAX)}"
            for name, value in params.items()
        )
        yield Section("parameters", "\n".join(lines))
    if command := _text(report, "resume_command"):
        title = "to run them again" if _bound(report) else "to go on"
        yield Section(title, visible(command[:ERROR_MAX]), mono=True)
    paths = [
        f"{label}: {one_line(_text(report, key), 1_000)}"
        for label, key in (("report", "report"), ("log", "log"))
        if report.get(key)
    ]
    if paths:
        yield Section("files", "\n".join(paths))


def worst_first(lines: tuple[StepLine, ...]) -> list[StepLine]:
    """Order steps by how much they matter to a reader who sees only the first ones."""
    rank = {status: position for position, status in enumerate(_WORST_FIRST)}
    return sorted(lines, key=lambda line: rank.get(line.status, len(rank)))
