"""What an alert tells of a run: its report, and how that compares with what went well before.

All of it comes from the store and the home folder, so an alert sent later says the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.alert import AlertKind, Due
from engine.errors import EngineError
from engine.logs import tail
from engine.secrets import masked
from engine.session import reporting
from engine.session.changes import changes_since_last_good

if TYPE_CHECKING:
    from engine.session.environment import Environment
    from engine.usual import Spread
    from store.history import History

logger = logging.getLogger("engine.alerts")

STEPS_MAX = 60  # those most worth a look; the report holds all of them


# Of the other kinds, the facts that the alert has are all there is to tell.
_WITH_REPORT = (AlertKind.RUN, AlertKind.OPENED, AlertKind.REMINDER)


def told_of(history: History, due: Due, environment: Environment) -> dict[str, Any]:
    """Give what an alert tells: its own facts as `facts`, on most beside the report of its run."""
    facts: dict[str, Any] = masked({"facts": due.facts}, environment.secrets)
    has_report = due.kind in _WITH_REPORT or "report" in due.facts
    if due.run_id is None or not has_report:
        facts["host"] = environment.secrets.mask(environment.host)  # many may tell one channel
        with suppress(EngineError):  # a damaged run has none
            facts["zone"] = _zone(history, due)
        return {"workflow": due.workflow, "run_id": due.run_id, **facts}
    step = str(due.facts.get("step", ""))
    try:
        return facts_of(history, due.run_id, environment, step) | facts
    except Exception as error:  # noqa: BLE001 - a damaged run keeps no other's alert from being sent
        logger.warning("run %d cannot be told of in full: %s", due.run_id, type(error).__name__)
        return _bare(due.run_id, facts["facts"]) | facts


def _zone(history: History, due: Due) -> str | None:
    if due.run_id is None:
        return history.zone_name(due.workflow)
    zone: str | None = history.run(due.run_id)["zone"]
    return zone


def _bare(run_id: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Give what an alert knows of a run by itself."""
    step, error = facts.get("step"), facts.get("error", "")
    return {
        "workflow": facts.get("workflow") or f"run {run_id}",
        "run_id": run_id,
        "status": "failed" if error else "",
        "steps": [{"name": step, "status": "failed", "error": error}] if step else [],
        "note": "the rest cannot be read: `db verify` says what is damaged",
    }


def facts_of(
    history: History, run_id: int, environment: Environment, step: str = ""
) -> dict[str, Any]:
    """Give the report of a run as alerts tell it, with no secret in any of its texts.

    `step` is the failed one that it is about, if it is not the first.

    Beside the keys of a report it has `last_success`, `usual`, `first_usual` and `changes`.
    """
    report = reporting.build_page(history, run_id, environment, STEPS_MAX)
    if step and any(each["name"] == step for each in report["steps"]):
        report["first_failure"] = step
    stopped = _stopped(report)
    told = stopped["name"] if stopped else report["first_failure"]
    before = history.successes(str(report["workflow"]), run_id, told)
    if stopped and stopped["log"]:
        stopped["last_lines"] = tail(Path(stopped["log"]))
    is_whole = bool(report["steps"]) and not report["only_steps"]
    found: dict[str, Any] = masked(
        report
        | {
            "last_success": {"run_id": before.run_id, "finished": before.finished},
            "usual": _told(before.run) if is_whole else None,
            "first_usual": _told(before.step),
            "changes": _changes(history, report) if is_whole else [],
        },
        environment.secrets,
    )
    return found


def _stopped(report: dict[str, Any]) -> dict[str, Any] | None:
    """Give the step of an interrupted run whose log tells best what it was about."""
    if report["status"] != "interrupted" or report["first_failure"]:
        return None
    stopped = (step for step in report["steps"] if step["status"] == "interrupted")
    return next(stopped, None)


def _changes(history: History, report: dict[str, Any]) -> list[str]:
    """Tell those whose run did not go well what changed; of big runs it takes too long."""
    is_big = report["steps_in_all"] > reporting.PAGED_FROM
    if report["status"] in {"ok", "skipped"} or is_big:
        return []
    with suppress(EngineError):  # where the last success is damaged, the alert goes out without
        _, found = changes_since_last_good(history, report["run_id"])
        return [change.line for change in found]
    return []


def _told(spread: Spread | None) -> list[float] | None:
    return None if spread is None else [spread.low_s, spread.usual_s, spread.high_s]
