"""What is asked of many runs at once: each with its true status, and never more than is bounded."""

from __future__ import annotations

import json

import pytest

from engine.clock import SystemClock
from engine.events import BackOff, Claim, EndAttempt
from engine.model import AttemptOutcome, RunStatus
from engine.serve import looking
from engine.serve.looking import Problem
from store.connection import Database
from store.new_run import TakenOver
from store.search import InError, search
from store.trends import Trends, Wanted
from tests.store.filled import begun, did, end, many_old_runs, us


@pytest.fixture
def trends(database: Database) -> Trends:
    """Give a store with three runs that ended and one whose engine is dead."""
    first = begun(database, at=0.0)
    did(first, 0, at=1.0, took=2.0)
    did(first, 1, at=3.0, took=1.0)
    end(first, at=10.0)
    second = begun(database, at=86_400.0, params='{"day": "100%"}')
    did(second, 0, at=86_401.0, took=4.0, outcomes="failed ok")
    did(second, 1, at=86_420.0, outcomes="failed")
    end(second, RunStatus.FAILED, at=86_430.0)
    other = begun(database, "x", workflow="other", at=86_500.0)
    did(other, 0, at=86_500.0)
    end(other, at=86_510.0)
    begun(database, at=172_800.0)
    return Trends(database)


def ids(trends: Trends, most: int = 10, **wanted: object) -> list[int]:
    """Give the numbers of the runs that are wanted."""
    return [run.run_id for run in trends.runs(Wanted(**wanted), most)]  # type: ignore[arg-type]


def test_runs_are_chosen(trends: Trends) -> None:
    """By all that is given; who is dead is interrupted, and on no more."""
    assert ids(trends) == [4, 3, 2, 1]
    assert ids(trends, 2) == [4, 3]
    assert ids(trends, workflow="flow") == [4, 2, 1]
    assert ids(trends, workflow="flow", before=4) == [2, 1]
    assert ids(trends, status="failed") == [2]
    assert ids(trends, status="ok") == [3, 1]
    assert ids(trends, status="running") == []
    assert ids(trends, status="interrupted") == [4]
    assert ids(trends, since_us=us(86_400.0), until_us=us(86_450.0)) == [2]
    assert ids(trends, workflow="none") == []
    assert trends.workflows(10) == ["flow", "other"]
    assert trends.workflows(1) == ["flow"]
    run = trends.runs(Wanted(before=3), 1)[0]
    assert (run.duration_s, run.steps, run.failed, run.retries) == (30.0, 2, 1, 1)


def test_an_empty_store_has_none(database: Database) -> None:
    """And says so everywhere."""
    trends = Trends(database)
    assert (ids(trends), trends.workflows(5), trends.days(None, 0)) == ([], [], {})
    assert trends.step("flow", "a", 5) == []
    assert (trends.state(1), trends.step_in(1, "a")) == (None, None)


def test_days_are_counted(trends: Trends, monkeypatch: pytest.MonkeyPatch) -> None:
    """By this machine's days; of too many runs the last ones."""
    counts = [dict(each) for each in trends.days(None, 0).values()]
    assert sum(sum(each.values()) for each in counts) == 4
    assert sum(each.get("failed", 0) for each in counts) == 1
    assert sum(sum(each.values()) for each in trends.days("other", 0).values()) == 1
    assert trends.days(None, us(999_999.0)) == {}
    monkeypatch.setattr("store.trends.DAY_RUNS_MAX", 1)
    assert sum(sum(each.values()) for each in trends.days(None, 0).values()) == 1


def test_a_steps_past(trends: Trends) -> None:
    """Its last attempt in each run, and how many there were; never run, it says why."""
    past = trends.step("flow", "a", 10)
    assert [(each.run_id, each.status, each.duration_s, each.attempts) for each in past] == [
        (4, "cancelled", None, 0),
        (2, "ok", 4.0, 2),
        (1, "ok", 2.0, 1),
    ]
    assert trends.step("flow", "b", 2)[1].status == "failed"
    assert trends.step("flow", "none", 10) == []
    assert trends.step_in(2, "a") == ("ok", 2)
    assert trends.step_in(4, "a") == ("cancelled", 0)
    assert trends.step_in(2, "none") is None


def test_a_step_that_waited_for_its_retry_is_interrupted_by_its_engines_death(
    database: Database,
) -> None:
    """As `show` tells it; also where it waited since the run that is gone on with."""
    waits = TakenOver(1, used=1, retry_at=us(9.0))
    journal = begun(database, taken_over=[waits])
    ended = EndAttempt(0, 1, AttemptOutcome.FAILED, 0.0, 1.0, "ValueError: no luck")
    journal.commit_tick([Claim(0, 1, 0.0, report=False)])
    journal.commit_tick([ended, BackOff(0, 1, 9.0)])
    trends = Trends(database)
    for name in "ab":
        assert [each.status for each in trends.step("flow", name, 1)] == ["interrupted"]


def test_a_state_changes_as_a_run_gets_on(database: Database) -> None:
    """By its events; nothing else has to be read."""
    journal = begun(database)
    trends = Trends(database)
    before = trends.state(1)
    did(journal, 0)
    after = trends.state(1)
    assert before is not None
    assert after is not None
    assert before.events < after.events
    assert (after.status, after.steps) == ("running", 2)


def test_a_run_of_the_same_number_has_another_state(database: Database) -> None:
    """In a store that was put in this one's place; so has a run whose values were pruned."""
    begun(database)
    trends = Trends(database)
    before = trends.state(1)
    for changed in ("started_at = started_at + 1", "pruned_at = 1"):
        with database.write() as cursor:
            cursor.execute(f"UPDATE run_rows SET {changed}")
        assert trends.state(1) not in (None, before)
        before = trends.state(1)


def test_a_word_is_found(trends: Trends, database: Database) -> None:
    """In steps, parameters and errors, whatever its case; signs stand for themselves."""
    names = json.dumps(trends.workflows(10))
    assert search(database, "X", names).steps == [("other", "x")]
    assert [run.run_id for run in search(database, "100%", names).runs] == [2]
    assert search(database, "1_0%", names).runs == []
    errors = search(database, "NO LUCK", names).errors
    assert {(hit.run_id, hit.step, hit.number) for hit in errors} == {(2, "a", 1), (2, "b", 1)}
    assert isinstance(errors[0], InError)
    nothing = search(database, "nowhere", names)
    assert (nothing.steps, nothing.runs, nothing.errors) == ([], [], [])


def test_a_look_that_takes_too_long_is_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the midst of a question, and told as what it is."""
    many_old_runs(database, 2_000)
    with looking.look(database.path, SystemClock()) as found:
        assert sum(sum(each.values()) for each in found.trends.days(None, 0).values()) == 2_000
    monkeypatch.setattr(looking, "LOOK_S", 0.0)
    too_late = pytest.raises(Problem, match="more than fits into a page")
    with too_late as told, looking.look(database.path, SystemClock()) as found:
        found.trends.days(None, 0)
    assert told.value.status == 503
