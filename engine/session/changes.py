"""What has changed since a workflow last went well: for reports, pages and alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.reports.diff import causes, changes
from engine.reports.diff_words import Change

if TYPE_CHECKING:
    from store.history import History


def changes_since_last_good(
    history: History, run_id: int, *, only_causes: bool = True
) -> tuple[int | None, tuple[Change, ...]]:
    """Give the last good run before a run, None if there is none, and what has changed since.

    `only_causes` leaves out what came of it, which a report of the run tells anyway. The lines
    hold texts of users, neither masked nor escaped.
    """
    workflow = str(history.run(run_id)["workflow"])
    good = history.last_good(workflow, run_id)
    if good is None:
        return None, ()
    if only_causes:
        return good, tuple(causes(history.origin(good), history.origin(run_id)))
    old, new = history.facts(good), history.facts(run_id)
    return good, changes(old, new, history.spreads(workflow, run_id))
