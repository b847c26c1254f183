"""Facts of made-up runs, as pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.graph import Graph
from engine.reports.html.facts import Attempt, PageFacts
from tests.builders import graph_of

START = datetime(2011, 11, 14, 8, 0, tzinfo=UTC)
ZERO = START.timestamp()


def iso(at: float) -> str:
    """Give a moment, so many seconds after the start, as the store tells it."""
    return datetime.fromtimestamp(ZERO + at, UTC).isoformat(timespec="milliseconds")


def attempt(
    step: int, start: float, end: float | None, outcome: str | None = "ok", **more: Any
) -> Attempt:
    """Make an attempt; its times are seconds after the start."""
    retry = more.get("retry")
    return Attempt(
        step,
        more.get("number", 1),
        outcome if end is not None else None,
        ZERO + start,
        None if end is None else ZERO + end,
        None if retry is None else ZERO + retry,
    )


def step(name: str, status: str = "ok", **more: Any) -> dict[str, Any]:
    """Make a step's entry in a report."""
    ran = status in ("ok", "failed", "running", "interrupted")
    return {
        "name": name,
        "status": status,
        "duration_s": 1.0 if ran else 0.0,
        "attempts": int(ran),
        "note": "",
        "started": iso(0) if ran else None,
        "finished": iso(1) if ran else None,
        "source_run": None,
        "marked_by": None,
        "error": "",
        "expected_s": None,
        "log": None,
        "last_lines": [],
    } | more


def report_of(steps: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """Make a report of a run of ten seconds; what failed first is found."""
    counts: dict[str, int] = {}
    for one in steps:
        counts[one["status"]] = counts.get(one["status"], 0) + 1
    failed = [one["name"] for one in steps if one["status"] == "failed"]
    return {
        "workflow": "flow",
        "run_id": 7,
        "status": "failed" if failed else "ok",
        "started": iso(0),
        "finished": iso(10),
        "duration_s": 10.0,
        "params": {},
        "resumed_from": None,
        "root_run": 7,
        "only_steps": [],
        "note": "",
        "dry_run": False,
        "user": "ann",
        "host": "here",
        "threads_left": 0,
        "counts": counts,
        "steps": steps,
        "first_failure": failed[0] if failed else None,
        "resume_command": "kahnban run flow --resume 7" if failed else None,
        "log": None,
        "report": None,
        "page": None,
        "previous_status": None,
    } | more


def facts_of(
    graph: str | Graph | None,
    steps: Sequence[Mapping[str, Any]],
    attempts: Sequence[Attempt] = (),
    *,
    report: Mapping[str, Any] | None = None,
    **more: Any,
) -> PageFacts:
    """Make the facts of a page; `report` goes over what is usual in one."""
    made = graph_of(graph) if isinstance(graph, str) else graph
    now = datetime.fromtimestamp(ZERO + 12, UTC)
    told = report_of(steps, **(report or {}))
    given: dict[str, Any] = {"now": now, "workers": 4, "version": "0.1.0", "zone": UTC} | more
    return PageFacts(report=told, attempts=attempts, graph=made, **given)
