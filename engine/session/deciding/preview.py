"""What a run is about to do, step by step: the resume's preview and the dry run's plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.conditions import proviso
from engine.model import StepStatus, TriggerRule
from engine.resume import MARKED, NOT_CHOSEN, Choice
from engine.session.deciding.compiled import Compiled
from engine.session.deciding.decision import Decision

Row = dict[str, Any]

# What a row says of a step that has ended as the run begins, and its status; all others would run.
_ENDED = {
    "cached": StepStatus.CACHED,
    "skipped": StepStatus.SKIPPED,
    "failed": StepStatus.FAILED,
    NOT_CHOSEN: StepStatus.SKIPPED,
    MARKED: StepStatus.OK,
}


def preview_rows(compiled: Compiled, decision: Decision) -> list[Row]:
    """Per step `step`, `what` (of its choice, or gone) and `why`, in dependency order."""
    names = compiled.graph.names
    rows: list[Row] = [
        {
            "step": names[step],
            "what": decision.choices[step].what,
            "why": decision.choices[step].why,
        }
        for step in compiled.graph.order
    ]
    why = "no longer defined"
    rows += [{"step": name, "what": "gone", "why": why} for name in decision.gone]
    return rows


def plan_rows(compiled: Compiled, decision: Decision, expected: Mapping[str, float]) -> list[Row]:
    """Per step `step`, `what`, `why` and `expected_s`, in dependency order.

    `what` is "would run", "would run if …" where a condition cannot be known yet, "cached",
    "skipped", "not chosen" or "marked as done".
    """
    conditional: dict[int, str] = {}
    skipped: set[int] = set()
    rows: list[Row] = []
    for step in compiled.graph.order:
        name = compiled.graph.names[step]
        choice = decision.choices[step] if decision.choices else None
        if choice is not None and choice.status is not None:
            what = choice.what if choice.what in _ENDED else str(choice.status)
            if choice.status is StepStatus.SKIPPED:
                skipped.add(step)
            rows.append({"step": name, "what": what, "why": choice.why, "expected_s": None})
            continue
        reason = _skip_reason(compiled, step, skipped)
        if reason:
            skipped.add(step)
            rows.append({"step": name, "what": "skipped", "why": reason, "expected_s": None})
            continue
        condition = _condition(compiled, step, conditional, decision.choices)
        if condition:
            conditional[step] = condition
        rows.append(
            {
                "step": name,
                "what": f"would run if {condition}" if condition else "would run",
                "why": choice.why if choice is not None else "",
                "expected_s": expected.get(name),
            }
        )
    return rows


def _skip_reason(compiled: Compiled, step: int, skipped: set[int]) -> str:
    """Give why a step is certain to be skipped: an upstream stays skipped, and its rule minds."""
    if compiled.plan.rules[step] is not TriggerRule.ALL_SUCCESS:
        return ""
    names = compiled.graph.names
    found = (names[up] for up in compiled.graph.upstreams[step] if up in skipped)
    return next((f"dependency skipped: {name}" for name in found), "")


def _condition(
    compiled: Compiled, step: int, conditional: Mapping[int, str], choices: Sequence[Choice]
) -> str:
    definition, names = compiled.definition.steps[step], compiled.graph.names
    upstreams = compiled.graph.upstreams[step]
    unsure = []
    if definition.trigger_rule is TriggerRule.ALL_SUCCESS:
        unsure = [names[up] for up in upstreams if up in conditional]
    told = proviso(unsure, definition.when)
    if definition.trigger_rule is TriggerRule.ONE_FAILED and not any(
        choices and (choices[up].failed_above or choices[up].counts_as is StepStatus.FAILED)
        for up in upstreams
    ):
        return f"a dependency fails and {told}" if told else "a dependency fails"
    return told


def dry_report(
    compiled: Compiled, decision: Decision, rows: Sequence[Row], params: Mapping[str, str]
) -> dict[str, Any]:
    """Give the report of a dry run: as a run's, with no run number and nothing done."""
    steps = [
        {
            "name": row["step"],
            "status": _ENDED.get(row["what"], "dry-run"),
            "duration_s": 0.0,
            "attempts": 0,
            "note": "; ".join(part for part in (row["what"], row["why"]) if part),
            "started": None,
            "finished": None,
            "source_run": None,
            "marked_by": None,
            "error": "",
            "expected_s": row["expected_s"],
            "log": None,
            "last_lines": [],
        }
        for row in rows
    ]
    return {
        "workflow": compiled.definition.name,
        "run_id": None,
        "status": "dry-run",
        "started": None,
        "finished": None,
        "duration_s": None,
        "params": dict(params),
        "resumed_from": decision.past.run_id if decision.past else None,
        "root_run": None,
        "only_steps": list(decision.only),
        "note": decision.reason,
        "dry_run": True,
        "threads_left": 0,
        "counts": {},
        "steps": steps,
        "plan": list(rows),
        "first_failure": None,
        "resume_command": None,
        "log": None,
        "report": None,
        "page": None,
        "previous_status": None,
    }
