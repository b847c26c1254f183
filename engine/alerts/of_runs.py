"""What a run's report comes to in an alert. Pure; a report's texts are untrusted.

A reader asks first what failed and why, then how that compares with other days and how to go on,
then what else happened. A report may lack any key: it is told what there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from engine.alerts.content import (
    ERROR_MAX,
    REPEATED,
    Content,
    Facts,
    Part,
    Section,
    StepLine,
    Steps,
)
from engine.alerts.text import duration, head, last_line, moment, one_line, tail, visible
from engine.text import only

VALUE_MAX = 300
LINES_SHOWN = 20
CHANGES_SHOWN = 10
PARAMS_SHOWN = 20
FAR_OFF = 1.5  # times what is usual, or as much less
FAR_OFF_S = 0.5

Report = Mapping[str, Any]


def of_report(report: Report, *, repeat: bool = False) -> Content:
    """Say what a run's report says; `repeat` marks an alert that may have been sent before."""
    steps = _steps(report)
    counts = _counts(report, steps)
    first = _first_failure(report, steps) or _stopped(report, steps)
    failed = dict(counts).get("failed", 0)
    mark = f" (+{failed - 1:,} more failed)" if failed > 1 else ""
    mark += REPEATED if repeat else ""
    parts: list[Part] = [*_failure(report, first)]
    if pairs := _facts(report, counts):
        parts.append(Facts(pairs))
    parts += _way_on(report)
    if steps and steps != [first]:
        parts.append(Steps(tuple(_step_line(step, told=first) for step in steps), counts))
    parts += _rest(report)
    happened, why = _head(report, first, steps)
    return Content(happened, mark, _text(report, "status"), tuple(parts), why)


def _steps(report: Report) -> list[Report]:
    steps = report.get("steps")
    if not isinstance(steps, list):
        return []
    return [step for step in steps if isinstance(step, Mapping)]


def _text(mapping: Report, key: str) -> str:
    value = mapping.get(key)
    return "" if value is None else str(value)


def _counts(report: Report, steps: list[Report]) -> tuple[tuple[str, int], ...]:
    counts = report.get("counts")
    if not isinstance(counts, Mapping) or not counts:
        counts = Counter(_text(step, "status") for step in steps)
    return tuple((str(status), int(number)) for status, number in counts.items() if number)


def _stopped(report: Report, steps: list[Report]) -> Report | None:
    """Give the first step that was running as the run was stopped, or its engine died."""
    stopped = (step for step in steps if step.get("status") == "interrupted")
    return next(stopped, None) if report.get("status") == "interrupted" else None


def _first_failure(report: Report, steps: list[Report]) -> Report | None:
    failed = [step for step in steps if step.get("status") == "failed"]
    name = report.get("first_failure")
    named = (step for step in steps if name is not None and step.get("name") == name)
    return next(named, failed[0] if failed else None)


# -- what happened --------------------------------------------------------------------------------


def _head(report: Report, first: Report | None, steps: list[Report]) -> tuple[str, str]:
    """Give what happened, and why, as far as the headline tells it."""
    status = _text(report, "status")
    bound = _bound(report)
    name = f"{_text(report, 'workflow') or 'a run'}{f' ({bound})' if bound else ''}"
    said = f"{name} {status}".strip()
    if status == "ok":
        took = duration(report.get("duration_s"))
        previous = _text(report, "previous_status")
        recovered = f", was {previous} before" if previous in {"failed", "interrupted"} else ""
        return f"{said} in {took}{recovered}" if took else said + recovered, ""
    if status == "failed" and first is not None:
        return ": ".join(word for word in (said, _text(first, "name")) if word), _why(first)
    if (stopped := _stopped(report, steps)) is not None:
        count = dict(_counts(report, steps)).get("interrupted", 1)
        more = f" and {count - 1:,} more" if count > 1 else ""
        said += f" at {_text(stopped, 'name')}{more}"
    return said, _text(report, "note").strip().partition("\n")[0]  # what follows is the place


def _why(step: Report) -> str:
    return last_line(_text(step, "error")) or _text(step, "note")


def _bound(report: Report) -> str:
    """Name the steps that a run was bound to, if it was: its outcome is not the workflow's."""
    steps = report.get("only_steps")
    return only([str(step) for step in steps]) if isinstance(steps, list) else ""


def _failure(report: Report, first: Report | None) -> Iterable[Section]:
    if first is not None and first.get("status") == "interrupted":
        body = _ending("\n".join(_last_lines(first))) or "it has logged nothing"
        yield _about("was running", report, first, body)
    elif first is not None and report.get("status") != "ok":
        yield _about("failed first", report, first, visible(head(_why(first), ERROR_MAX)))
        before = _text(first, "error").strip().rpartition("\n")[0]
        if said := "\n".join(_last_lines(first)):
            yield Section("last lines of its log", _ending(said), mono=True, ending=True)
        elif before:
            yield Section("lines before it", _ending(before), mono=True, ending=True)
    note = _text(report, "note").strip()
    if note:
        yield Section("note", _ending(note), ending=True)


def _about(title: str, report: Report, step: Report, body: str) -> Section:
    return Section(
        title,
        body,
        mono=True,
        ending=step.get("status") == "interrupted",
        subject=one_line(_text(step, "name"), 100),
        aside=_effort(report, step),
    )


def _last_lines(step: Report) -> list[str]:
    """Give the end of a step's log without the line of the error, which stands above it."""
    lines = step.get("last_lines")
    found = [str(line) for line in lines[-LINES_SHOWN:]] if isinstance(lines, list) else []
    why = _why(step)
    return found[:-1] if found and why and found[-1].rstrip().endswith(why) else found


def _ending(text: str) -> str:
    return visible(tail(text.strip("\n"), ERROR_MAX))


def _effort(report: Report, step: Report) -> str:
    attempts = step.get("attempts")
    words = []
    if isinstance(attempts, int) and attempts > 0:
        words.append(f"{attempts} attempt{'s' if attempts > 1 else ''}")
    if took := _against(step.get("duration_s"), report.get("first_usual")):
        words.append(took)
    return ", ".join(words)


def _against(seconds: Any, usual: Any) -> str:
    """Give a duration against what is usual, as `41.0s, usually 12.0s (8.0s to 15.0s)`."""
    took, expected = duration(seconds), _usual(usual)
    return f"{took}, usually {expected}" if took and expected else took


def _usual(usual: Any) -> str:
    if not isinstance(usual, list | tuple) or len(usual) != 3:
        return ""
    low, middle, high = (duration(value) for value in usual)
    return f"{middle} ({low} to {high})" if low != high else middle


def _step_line(step: Report, *, told: Report | None) -> StepLine:
    took = step.get("duration_s") or None  # a step that did not run took no time
    usual = step.get("expected_s") if step is not told else None
    note = _text(step, "note")  # of the failure that is told it is its error
    return StepLine(
        one_line(_text(step, "name"), 100),
        one_line(_text(step, "status"), 20),
        duration(took),
        duration(usual) if _is_far_off(took, usual) else "",
        "" if step is told and step.get("status") == "failed" else one_line(note, 120),
    )


def _is_far_off(took: Any, usual: Any) -> bool:
    if not duration(took) or not duration(usual):
        return False
    less, more = sorted((float(took), float(usual)))
    return more > FAR_OFF * less and more - less >= FAR_OFF_S


# -- facts, and the way on ------------------------------------------------------------------------


def _facts(report: Report, counts: tuple[tuple[str, int], ...]) -> tuple[tuple[str, str], ...]:
    threads = report.get("threads_left")
    run, continued = _text(report, "run_id"), _text(report, "resumed_from")
    is_ok = report.get("status") == "ok"  # then the title says how long it took
    is_told = bool(counts) and not is_ok
    pairs = (
        ("steps", ", ".join(f"{number:,} {status}" for status, number in counts)),
        ("usual duration", _usual(report.get("usual")) if is_ok else ""),
        ("duration", _against(report.get("duration_s"), report.get("usual")) if is_told else ""),
        ("last success", _last_success(report)),
        ("run", f"{run}, continues run {continued}" if continued else run),
        ("slot", moment(_text(report, "slot"), report.get("zone"))),
        ("started", moment(_text(report, "started"), report.get("zone"))),
        ("threads left running", str(threads) if threads else ""),
        ("host", _text(report, "host")),
        ("user", _text(report, "user")),
    )
    return tuple((label, one_line(value, VALUE_MAX)) for label, value in pairs if value)


def _last_success(report: Report) -> str:
    """Tell of the last run that went well to those whose run did not."""
    last = report.get("last_success")
    if not isinstance(last, Mapping) or report.get("status") in {"ok", "skipped"}:
        return ""
    number = _text(last, "run_id")
    if not number:
        return "none"
    return f"{moment(_text(last, 'finished'), report.get('zone'))}, run {number}"


def _way_on(report: Report) -> Iterable[Section]:
    if command := _text(report, "resume_command"):
        title = "to run them again" if _bound(report) else "to go on"
        yield Section(title, visible(command[:ERROR_MAX]), mono=True)
    changes = report.get("changes")
    if isinstance(changes, list | tuple) and changes:
        lines = [one_line(str(line), VALUE_MAX) for line in changes[:CHANGES_SHOWN]]
        if len(changes) > CHANGES_SHOWN:
            lines.append(f"… and {len(changes) - CHANGES_SHOWN:,} more")
        yield Section("changed since the last success", "\n".join(lines))


def _rest(report: Report) -> Iterable[Section]:
    params = report.get("params")
    if isinstance(params, Mapping) and params:
        lines = [
            f"{one_line(str(name), 100)} = {one_line(str(value), VALUE_MAX)}"
            for name, value in list(params.items())[:PARAMS_SHOWN]
        ]
        if len(params) > PARAMS_SHOWN:
            lines.append(f"… and {len(params) - PARAMS_SHOWN:,} more")
        yield Section("parameters", "\n".join(lines))
    key = "page" if report.get("page") else "report"
    paths = [
        f"{label}: {one_line(_text(report, key), 1_000)}"
        for label, key in (("report", key), ("log", "log"))
        if report.get(key)
    ]
    if paths:
        yield Section("files", "\n".join(paths))
