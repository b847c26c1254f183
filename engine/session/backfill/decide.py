"""Which values of a backfill are left to do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine import params as parameters
from engine.model import StepStatus
from engine.resume import Choice
from engine.session.backfill.recorded import ok_in
from engine.session.backfill.resolved import Backfill
from engine.session.deciding.decide import decide
from engine.session.deciding.decision import Decision
from engine.session.deciding.preview import dry_report

if TYPE_CHECKING:
    from store.history import History


def decide_values(backfill: Backfill, history: History) -> Decision:
    """Decide what is left out: each value for which a run of equal parameters is ok."""
    name, told = backfill.workflow.definition.name, backfill.told()
    choices = []
    for step in backfill.values:
        run = history.succeeded(name, backfill.params_text(step), "")
        if run is None:
            choices.append(Choice("new", ""))
        else:
            note = ok_in(run)
            choices.append(Choice("reuse", note, status=StepStatus.SKIPPED, note=note))
    done = sum(choice.status is not None for choice in choices)
    if done == len(choices):
        return Decision(f"{told}: ok already", backfill.asked.params, nothing=True)
    reason = f"{told}" + (f", {done} of them ok already" if done else "")
    return Decision(reason, backfill.asked.params, choices=choices)


def nothing_report(backfill: Backfill, decision: Decision) -> dict[str, Any]:
    """Give the report of a backfill that has nothing left to do, of which nothing is recorded."""
    params = parameters.as_text(decision.params)
    report = dry_report(backfill.itself, decision, [], params)
    return report | {"status": "ok", "dry_run": False, "nothing_to_do": decision.reason}


def plan(backfill: Backfill, history: History | None) -> dict[str, Any]:
    """Give the dry run's report: what each value's run would do."""
    rows = [_planned(backfill, step, history) for step in backfill.values]
    left = sum(row["what"].startswith("would") for row in rows)
    reason = f"{backfill.told()}, {left} to do"
    decision = Decision(reason, backfill.asked.params)
    params = parameters.as_text(backfill.asked.params)
    return dry_report(backfill.itself, decision, rows, params)


def _planned(backfill: Backfill, step: str, history: History | None) -> dict[str, Any]:
    row = {"step": step, "what": "would run", "why": "", "expected_s": None}
    if history is None:
        return row
    workflow = backfill.workflow
    done = history.succeeded(workflow.definition.name, backfill.params_text(step), "")
    if done is not None:
        return row | {"what": ok_in(done)}
    request = backfill.request(step)
    asked = replace(backfill.asked, request=request, params=request.params)
    decision = decide(workflow, asked, history)
    what = f"would go on from run {decision.past.run_id}" if decision.past else "would run"
    return row | {"what": what, "why": decision.reason}
