"""How long steps usually take, and what a run was ordered by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model import StepStatus
from engine.usual import Spread
from store import usual
from store.connection import Database
from store.history import History
from store.new_run import TakenOver
from tests.store.filled import a_run, begun, did, end

if TYPE_CHECKING:
    import pytest


def a_run_of(database: Database, text: str, took: dict[str, float], *, at: float) -> None:
    """Run the steps in `text`; those in `took` take so long, the others do not start."""
    journal = begun(database, text, at=at)
    for position, name in enumerate(text.split()):
        if name in took:
            did(journal, position, at=at, took=took[name])
    end(journal, at=at + 500)


def test_medians_are_of_the_last_successes(database: Database, history: History) -> None:
    """The last ten ok attempts of the workflow; failures, other workflows, later runs left out."""
    for number, took in enumerate([100.0, 100.0, *range(1, 11)]):
        journal = begun(database, "a b", at=number * 1000.0)
        did(journal, 0, at=number * 1000.0, took=took)
        if number == 3:
            did(journal, 1, at=number * 1000.0, took=5.0, outcomes="failed ok")
        end(journal, at=number * 1000.0 + 500)
    other = begun(database, "a", workflow="other")
    did(other, 0, took=77.0)
    assert history.medians("flow") == {"a": 5.5, "b": 5.0}
    assert history.medians("flow", before=4) == {"a": 100.0}
    assert history.medians("flow", before=1) == {}
    assert history.medians("other") == {"a": 77.0}


def test_medians_leave_reuse_out(database: Database, history: History) -> None:
    """A cached step took no time, which says nothing."""
    a_run(database)
    taken = [TakenOver(0, StepStatus.CACHED, "ok in run 1", source_run=1)]
    for _ in range(3):
        end(begun(database, "a", resumed_from=1, root_run=1, taken_over=taken))
    assert history.medians("flow") == {"a": 2.0}
    row = history.steps(2)[0]
    assert (row["status"], row["source_run"], row["duration_s"]) == ("cached", 1, 0.0)
    assert (row["started_at"], row["finished_at"], row["attempts"]) == (None, None, 0)


def test_steps_are_known_by_name(database: Database, history: History) -> None:
    """Whatever their place: definitions that differ, back and forth, are one history."""
    a_run_of(database, "a b", {"a": 1.0, "b": 10.0}, at=0.0)
    a_run_of(database, "b new a", {"a": 2.0, "b": 20.0, "new": 5.0}, at=1000.0)
    a_run_of(database, "a b", {"a": 3.0}, at=2000.0)
    a_run_of(database, "b new a", {"b": 40.0}, at=3000.0)
    assert history.usual("flow") == {"a": (2.0, 3), "b": (20.0, 3), "new": (5.0, 1)}
    assert history.usual("flow", before=3) == {"a": (1.5, 2), "b": (15.0, 2), "new": (5.0, 1)}


def test_a_run_usually_takes_what_whole_ones_took(database: Database, history: History) -> None:
    """Those begun anew and ok, in a backfill too; no failed ones, continued ones or parts."""
    assert history.usual_run("flow") is None
    for took, status in ((1.0, "ok"), (5.0, "ok"), (2.0, "ok"), (90.0, "failed")):
        end(begun(database), status, at=took)
    end(begun(database, only_steps='["a"]'), at=50.0)
    end(begun(database, resumed_from=4, root_run=4), at=60.0)
    end(begun(database, "a b", backfill=1), at=3.0)
    assert history.usual_run("flow") == Spread(1.0, 2.5, 5.0, 4)
    assert history.usual_run("flow", before=2) == Spread(1.0, 1.0, 1.0, 1)
    assert history.usual_run("other") is None


def test_runs_that_began_no_step_do_not_count(database: Database, history: History) -> None:
    """Nor do runs without an attempt that went well."""
    end(begun(database, ""))
    end(begun(database, "a b"))
    assert history.usual("flow") == {}
    a_run_of(database, "a b", {"a": 1.0}, at=1000.0)
    assert history.usual("flow") == {"a": (1.0, 1)}


def test_no_more_is_read_than_it_takes(
    database: Database, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest runs first, until there is enough of them: for big workflows a few."""
    for number in range(1, 8):
        a_run_of(database, "a b", {"a": number, "b": number}, at=number * 1000.0)
    monkeypatch.setattr(usual, "ROWS_ENOUGH", 4)
    monkeypatch.setattr(usual, "MEDIAN_OF", 3)
    assert history.usual("flow") == {"a": (6.0, 3), "b": (6.0, 3)}
    monkeypatch.setattr(usual, "ROWS_MAX", 3)
    assert history.usual("flow") == {"a": (6.5, 2), "b": (6.5, 2)}
    monkeypatch.setattr(usual, "RUNS_MAX", 1)
    assert history.usual("flow") == {"a": (7.0, 1), "b": (7.0, 1)}


def test_what_a_run_is_ordered_by_is_recorded(database: Database) -> None:
    """By step, in seconds; a run that is ordered by its graph alone has no rows."""
    end(begun(database, "a b>a"))
    end(begun(database, "a b>a", weights=[1_500_000, 0]))
    with database.read() as cursor:
        cursor.execute("SELECT run_id, step, weight_s FROM run_order ORDER BY run_id, step")
        assert cursor.fetchall() == [(2, "a", 1.5), (2, "b", 0.0)]
