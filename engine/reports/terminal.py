"""What people read in a terminal: tables of a run, of runs and of plans, and what failed.

All texts that come from steps are made printable; every line is cut to the given width, except
paths, parameters, sums, errors and commands, which must stay whole to be of use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from heapq import nsmallest
from typing import Any

from engine.model import StepStatus
from engine.reports.grid import Cell, Column, grid, paint
from engine.text import cut, human_duration, human_time, only, printable, printable_lines
from engine.zones import zone_named

ROWS_MAX = 50  # more steps than that: only those worth a look
ERROR_LINES_MAX = 40
SLOW = 2.0  # times what it usually takes: a step that runs so long is marked
OTHERS_MAX = 5

# Status: sign, colour, and how early it is shown where not all steps are.
LOOKS = {
    "ok": ("✓", "green", 7),
    "failed": ("✗", "red", 0),
    "skipped": ("–", "dim", 6),
    "cached": ("↻", "cyan", 8),
    "cancelled": ("∅", "yellow", 5),
    "interrupted": ("!", "yellow", 1),
    "running": ("▶", "cyan", 2),
    "backing_off": ("⏱", "yellow", 3),
    "ready": ("·", "dim", 5),
    "waiting": ("·", "dim", 5),
    "dry-run": ("○", "cyan", 4),
}
UNKNOWN = ("?", "", 4)
_RETRIED = 4  # ok, but not at once

STEP_HEAD = (
    Column("STEP", least=8),
    Column("STATUS"),
    Column("ATTEMPTS", right=True, drop=3),
    Column("DURATION", right=True, drop=2),
    Column("EXPECTED", right=True, drop=4),
    Column("NOTE", least=12, drop=1),
)
PREVIEW_HEAD = (Column("STEP", least=8), Column("WHAT"), Column("WHY", least=12, drop=1))
PLAN_HEAD = (
    Column("STEP", least=8),
    Column("WHAT", least=12),
    Column("EXPECTED", right=True, drop=2),
    Column("WHY", least=12, drop=1),
)

Row = Mapping[str, Any]


def table(
    report: Row, *, now: datetime | None = None, width: int = 80, colour: bool = False
) -> str:
    """Give the table at a run's end, then one line that sums it up; of one that is on, at `now`.

    Of more than 50 steps those that failed, wait, were retried or took longest are shown; all that
    are there are, where the report itself says that it has not all (`steps_in_all`).
    """
    steps = shown = report["steps"]
    if "steps_in_all" not in report:
        shown = interesting(steps, report.get("first_failure"))
    lines: list[str] = []
    if shown:
        rows = [_step_row(step, now) for step in shown]
        lines += grid(STEP_HEAD, rows, width=width, colour=colour)
        if len(shown) < _in_all(report):
            rest = Counter(_counts(report))
            rest.subtract(step["status"] for step in shown)
            how = f" (all: --limit {_in_all(report)})" if "steps_in_all" in report else ""
            more = f"… and {_in_all(report) - len(shown)} more{how}: {_counted(rest)}"
            lines.append(paint(cut(more, width), "dim", on=colour))
        lines.append("")
    lines += _summary(report, now, width, colour=colour)
    return "\n".join(lines)


def _step_row(step: Row, now: datetime | None) -> list[str | Cell]:
    status = step["status"]
    sign, colour, _ = LOOKS.get(status, UNKNOWN)
    made = step.get("attempts") or 0
    ran = made > 0 and step.get("duration_s") is not None
    expected = step.get("expected_s")
    taken = Cell(human_duration(step["duration_s"]) if ran else "–")
    if status == "running" and (elapsed := elapsed_s(step.get("started"), now)) is not None:
        is_slow = expected is not None and elapsed > max(1.0, SLOW * expected)
        taken = Cell(human_duration(elapsed), "yellow" if is_slow else "")
    return [
        step["name"],
        Cell(f"{sign} {status}", colour),
        str(made) if made else "–",
        taken,
        "" if expected is None else human_duration(expected),
        _remark(step),
    ]


def elapsed_s(started: str | None, now: datetime | None) -> float | None:
    """Give the seconds that what is still on has taken."""
    if not started or now is None:
        return None
    return max(0.0, (now - datetime.fromisoformat(started)).total_seconds())


def _remark(step: Row) -> str:
    """Give the step's note; a failure without one is told by the last line of its error."""
    if step.get("note"):
        return str(step["note"])
    if step["status"] in {"failed", "interrupted", "backing_off"}:
        return next(reversed(printable_lines(step.get("error") or "")), "").strip()
    source = step.get("source_run")
    return f"from run {source}" if step["status"] == "cached" and source else ""


def _in_all(report: Row) -> int:
    return int(report.get("steps_in_all") or len(report["steps"]))


def _counts(report: Row) -> Mapping[str, int]:
    return report.get("counts") or Counter(step["status"] for step in report["steps"])


def interesting(steps: Sequence[Row], first: str | None, most: int = ROWS_MAX) -> Sequence[Row]:
    """Give at most so many steps, in their order: what did not go well before what took longest.

    `first` names the step that failed first.
    """
    if len(steps) <= most:
        return steps

    def rank(position: int) -> tuple[int, float, int]:
        step = steps[position]
        _, _, order = LOOKS.get(step["status"], UNKNOWN)
        if step["name"] == first:
            order = -1
        elif step["status"] == "ok" and (step.get("attempts") or 0) > 1:
            order = _RETRIED
        return order, -(step.get("duration_s") or 0.0), position

    return [steps[position] for position in sorted(nsmallest(most, range(len(steps)), key=rank))]


def _summary(report: Row, now: datetime | None, width: int, *, colour: bool) -> list[str]:
    status = report["status"]
    sign, tone, _ = LOOKS.get(status, UNKNOWN)
    run = "dry run" if report.get("run_id") is None else f"run {report['run_id']}"
    taken = report.get("duration_s")
    said = f"{sign} {report['workflow']}, {run}{_bound(report)}: {status}"
    said += f" in {human_duration(taken)}" if taken is not None else ""
    if status == "running" and (elapsed := elapsed_s(report.get("started"), now)) is not None:
        said += f" for {human_duration(elapsed)}"
    count = _in_all(report)
    counts = _counted(_counts(report))
    steps = f"  {count} step{'' if count == 1 else 's'}" + (f": {counts}" if counts else "")
    lines = [paint(cut(printable(said), width), tone, on=colour), cut(steps, width)]
    if report.get("note"):
        lines.append(cut(f"  {printable(report['note'])}", width))
    if left := report.get("threads_left"):
        threads = "1 thread was" if left == 1 else f"{left} threads were"
        lines.append(cut(f"! {threads} left running", width))
    return lines


def _bound(report: Row) -> str:
    bound = only(report.get("only_steps") or ())
    return f" ({bound})" if bound else ""


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def failure(report: Row, *, colour: bool = False) -> str:
    """Tell what to know and do after a run that did not end well; nothing of one that did.

    The step that failed first, its error, the last lines and path of its log, and the command
    that goes on from there.
    """
    if report["status"] in {"ok", "skipped", "running"}:
        return ""
    steps = {step["name"]: step for step in report["steps"]}
    lines: list[str] = []
    if (first := report.get("first_failure")) in steps:
        lines += _failed_step(steps[first], colour=colour)
        others = [step["name"] for step in report["steps"] if step["status"] == "failed"]
        others.remove(first)
        if others:
            names = ", ".join(map(printable, others[:OTHERS_MAX]))
            rest = _counts(report).get(StepStatus.FAILED, 0) - 1 - OTHERS_MAX
            lines.append(f"also failed: {names}" + (f" and {rest} more" if rest > 0 else ""))
    elif report.get("log"):
        lines.append(f"log: {printable(report['log'])}")
    if report.get("resume_command"):
        what = "to run them again" if report.get("only_steps") else "to go on from there"
        lines.append(f"{what}: {printable(report['resume_command'])}")
    return "\n".join(lines)


def _failed_step(step: Row, *, colour: bool) -> list[str]:
    made = step.get("attempts") or 0
    tries = f"after {made} attempt{'' if made == 1 else 's'}"
    name = printable(step["name"])
    lines = [
        paint(
            f"✗ {name} failed {tries}, {human_duration(step.get('duration_s'))}", "red", on=colour
        )
    ]
    error = printable_lines(step.get("error") or step.get("note") or "")
    if len(error) > ERROR_LINES_MAX:  # the end of a traceback says most
        error = [f"… {len(error) - ERROR_LINES_MAX} lines before", *error[-ERROR_LINES_MAX:]]
    lines += [f"    {line}".rstrip() for line in error]
    if last := step.get("last_lines"):
        lines.append("last lines of its log:" if len(last) > 1 else "last line of its log:")
        lines += [f"    {printable(line.expandtabs(4))}".rstrip() for line in last]
    if step.get("log"):
        lines.append(f"log: {printable(step['log'])}")
    return lines


def show(
    report: Row,
    *,
    now: datetime,
    width: int = 80,
    colour: bool = False,
) -> str:
    """Tell all about one run: when and with what, its table, and what failed."""
    tz = zone_named(report.get("zone"))
    facts = {
        "slot": human_time(report["slot"], now, tz) if report.get("slot") else "",
        "started": human_time(report.get("started"), now, tz) + (f" {tz}" if tz else ""),
        "finished": human_time(report.get("finished"), now, tz),
        "by": "@".join(str(report[key]) for key in ("user", "host") if report.get(key)),
        "parameters": ", ".join(f"{key}={text}" for key, text in report.get("params", {}).items()),
        "continues": f"run {report['resumed_from']}" if report.get("resumed_from") else "",
        "report": report.get("report") or "",
        "page": report.get("page") or "",
    }
    whole = {"parameters", "report", "page"}
    head = printable(f"{report['workflow']}, run {report['run_id']}{_bound(report)}")
    lines = [paint(head, "bold", on=colour)]
    for name, text in facts.items():
        if text:
            line = f"  {name:<11}{printable(text)}"
            lines.append(line if name in whole else cut(line, width))
    lines += ["", table(report, now=now, width=width, colour=colour)]
    if failed := failure(report, colour=colour):
        lines += ["", failed]
    return "\n".join(lines)


# -- what is about to happen ----------------------------------------------------------------------

# How it begins: sign, colour, and the word of the last line.
_WHAT = {
    "reuse": ("↻", "cyan", "reused"),
    "redo": ("▶", "yellow", "redone"),
    "new": ("+", "green", "new"),
    "gone": ("-", "dim", "gone"),
    "would run if": ("?", "yellow", "would run under a condition"),
    "would go on": ("▶", "yellow", "would go on"),
    "ok in run": ("↻", "cyan", "ok already"),
    "would run": ("▶", "green", "would run"),
    "cached": ("↻", "cyan", "cached"),
    "skip": ("–", "dim", "skipped"),
    "not chosen": ("–", "dim", "not chosen"),
    "marked as done": ("✓", "cyan", "marked as done"),
}


def _what(text: str) -> Cell:
    for start, (sign, colour, _) in _WHAT.items():
        if text.startswith(start):
            return Cell(f"{sign} {text}", colour)
    return Cell(f"· {text}")


def _kind(text: str) -> str:
    return next((word for start, (_, _, word) in _WHAT.items() if text.startswith(start)), text)


def preview(rows: Sequence[Row], *, width: int = 80, colour: bool = False) -> str:
    """Give what a resume reuses, redoes and why; rows: `step`, `what` and `why`.

    Of more than 50 steps those reused are counted only.
    """
    shown = rows
    if len(rows) > ROWS_MAX:
        shown = [row for row in rows if row["what"] != "reuse"][:ROWS_MAX]
    cells = [[row["step"], _what(row["what"]), row.get("why") or ""] for row in shown]
    lines = grid(PREVIEW_HEAD, cells, width=width, colour=colour) if cells else []
    return "\n".join([*lines, _plan_summary(rows, len(shown))])


def plan_table(rows: Sequence[Row], *, width: int = 80, colour: bool = False) -> str:
    """Give what a run would do; rows: `step`, `what`, `why` and `expected_s` (None: unknown).

    `what` begins with "would run", "would run if", "cached", "skip", "not chosen" or "marked"; of a
    backfill's value also with "would go on" or "ok in run".
    """
    shown = rows
    if len(rows) > ROWS_MAX:
        first = [row for row in rows if row["what"].startswith(("would ", "marked as done"))]
        shown = first[:ROWS_MAX] or rows[:ROWS_MAX]
    cells = [_plan_row(row) for row in shown]
    lines = grid(PLAN_HEAD, cells, width=width, colour=colour) if cells else []
    return "\n".join([*lines, _plan_summary(rows, len(shown))])


def _plan_row(row: Row) -> list[str | Cell]:
    expected = row.get("expected_s")
    return [
        row["step"],
        _what(row["what"]),
        "" if expected is None else human_duration(expected),
        row.get("why") or "",
    ]


def _plan_summary(rows: Sequence[Row], shown: int) -> str:
    counts: Counter[str] = Counter()
    for what, count in Counter(row["what"] for row in rows).items():
        counts[_kind(what)] += count
    kinds = _counted(counts)
    text = f"{len(rows)} step{'' if len(rows) == 1 else 's'}" + (f": {kinds}" if kinds else "")
    known = [row["expected_s"] for row in rows if row.get("expected_s") is not None]
    if known:
        text += f"; {human_duration(sum(known))} of work expected"
    if shown < len(rows):
        text += f" ({len(rows) - shown} not listed)"
    return printable(text)
