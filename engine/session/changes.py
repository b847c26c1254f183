"""What has changed since a workflow last went well: for reports, pages and alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.reports.diff import causes
from engine.reports.diff_words import Change

if TYPE_CHECKING:
    from store.history import History


def changes_since_last_good(history: History, run_id: int) -> tuple[int | None, tuple[Change, ...]]:
    """Give the last good run before a run, None if there is none, and what has changed since.

    What came of that is left out: a report of the run tells it anyway. The lines hold texts of
    users, neither masked nor escaped.
    """
    good = history.last_good(str(history.run(run_id)["workflow"]), run_id)
    if good is None:
        return None, ()
    return good, tuple(causes(history.origin(good), history.origin(run_id)))
