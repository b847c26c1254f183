"""What went well before a run: the last success, and what runs and a step took then."""

from __future__ import annotations

from engine.model import StepStatus
from engine.usual import Spread
from store.connection import Database
from store.history import History
from store.new_run import TakenOver
from store.successes import Successes
from tests.store.filled import a_run, begun, did, end


def test_the_last_success_is_a_whole_run_before(database: Database, history: History) -> None:
    """Neither a failure, a later run, chosen steps, another workflow nor a part of a backfill."""
    assert history.successes("flow", 1, "a") == Successes()
    for number in range(3):
        a_run(database, at=100.0 * number)
    a_run(database, "failed", at=300.0)
    a_run(database, at=400.0, only_steps='["a"]')
    a_run(database, at=500.0, workflow="other")
    a_run(database, at=600.0, backfill=1)
    a_run(database, "failed", at=700.0)
    found = history.successes("flow", 8, "a")
    assert (found.run_id, found.finished) == (3, "2011-11-14T00:03:22Z")
    assert history.successes("flow", 3, None).run_id == 2
    assert history.successes("other", 7, None).run_id == 6


def test_spreads_leave_the_odd_ones_out(database: Database, history: History) -> None:
    """Of the last ten the fastest and the slowest; of the step that is asked for."""
    for number, took in enumerate([500.0, 1.0, *range(10, 18), 90.0]):
        journal = begun(database, "b a", at=1000.0 * number)
        did(journal, 1, at=1000.0 * number, took=took)
        end(journal, at=1000.0 * number + 2 * took)
    found = history.successes("flow", 12, "a")
    assert found.step == Spread(10.0, 13.5, 17.0, 10)
    assert found.run == Spread(20.0, 27.0, 34.0, 10)
    assert history.successes("flow", 3, "a").step == Spread(1.0, 250.5, 500.0, 2)
    assert history.successes("flow", 12, "b").step is None


def test_continued_runs_tell_nothing_of_the_usual(database: Database, history: History) -> None:
    """They did a part of the work; the last success is such a run all the same."""
    a_run(database)
    taken = [TakenOver(0, StepStatus.CACHED, "ok in run 1", source_run=1)]
    end(begun(database, "a", resumed_from=1, root_run=1, taken_over=taken), at=99.0)
    assert history.successes("flow", 3, "a") == Successes(
        2, "2011-11-14T00:01:39Z", Spread(2.0, 2.0, 2.0, 1), Spread(2.0, 2.0, 2.0, 1)
    )
