"""What an alert tells of a run: its report, and how that compares with what went well before.

All of it comes from the store and the home folder, so an alert sent later says the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.session import reporting

if TYPE_CHECKING:
    from engine.session.environment import Environment
    from engine.usual import Spread
    from store.history import History

STEPS_MAX = 60  # those most worth a look; the report holds all of them
PAGE_BYTES_MAX = 1_000_000  # a bigger page is named, not attached


def facts_of(history: History, run_id: int, environment: Environment) -> dict[str, Any]:
    """Give the report of a run as alerts tell it, with no secret in any of its texts.

    Beside the keys of a report it has `last_success`, `usual`, `first_usual` and `page`.
    """
    report = reporting.build_page(history, run_id, environment, STEPS_MAX)
    before = history.successes(str(report["workflow"]), run_id, report["first_failure"])
    page = page_path(environment, report)
    found: dict[str, Any] = _masked(
        report
        | {
            "last_success": {"run_id": before.run_id, "finished": before.finished},
            "usual": _told(before.run),
            "first_usual": _told(before.step),
            "page": str(page) if page.exists() else None,
        },
        environment.secrets.mask,
    )
    return found


def page_path(environment: Environment, report: dict[str, Any]) -> Path:
    """Where the page of a run lies, if it was written."""
    return reporting.report_path(environment, report["run_id"], report["workflow"]).with_suffix(
        ".html"
    )


def page_of(report: dict[str, Any]) -> bytes | None:
    """Give the page of a run to attach to an email; None if there is none, or it is too big."""
    if not report.get("page"):
        return None
    try:
        with Path(report["page"]).open("rb") as file:
            data = file.read(PAGE_BYTES_MAX + 1)
    except OSError:
        return None
    return data if len(data) <= PAGE_BYTES_MAX else None


def _told(spread: Spread | None) -> list[float] | None:
    return None if spread is None else [spread.low_s, spread.usual_s, spread.high_s]


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked(each, mask) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked(each, mask) for each in value]
    return value
