"""The runs of a backfill in the store: what they count for, and what they may not overlap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine import Step, Workflow
from engine.clock import SystemClock
from engine.errors import AlreadyRunning
from engine.model import RunStatus
from engine.ports import Paths
from engine.secrets import Secrets
from engine.session import Environment
from engine.session.overlap import running_now
from engine.session.reconciling import reconcile_all
from store import cancels, locks
from store.connection import Database
from store.history import History
from store.journal import begin_run, record_ended_run
from store.new_run import ITSELF
from store.reconcile import open_runs
from store.retention import Limits, due, judge
from tests.store.filled import a_run, begun, dead_owner, end, new_run, us


@pytest.fixture(name="history")
def _history(database: Database) -> History:
    return History(database)


def test_a_backfill_is_a_part_of_itself(database: Database, history: History) -> None:
    """Its number is known only as it begins; its runs name it."""
    whole = begun(database, "a", workflow="flow.backfill", backfill=ITSELF).run_id
    part = begun(database, "a", backfill=whole).run_id
    assert [history.run(run)["backfill"] for run in (whole, part)] == [whole, whole]


def test_what_a_timer_compares_with_is_no_run_of_a_backfill(
    database: Database, history: History
) -> None:
    """Old days that were done again say nothing of today; a person who runs one goes on from it."""
    first = a_run(database, "failed")
    part = a_run(database, "ok", backfill=99, params='{"n": 1}')
    assert history.previous_status("flow") == "failed"
    unfinished = history.unfinished("flow")
    assert unfinished is not None
    assert unfinished["run_id"] == first
    newest = history.newest("flow", params='{"n": 1}')
    assert newest is not None
    assert newest.run_id == part
    assert history.succeeded("flow", '{"n": 1}', "") == part
    whole = a_run(database, "failed", workflow="w.backfill", backfill=ITSELF)
    assert history.previous_status("w.backfill") == "failed"
    assert history.previous_status("w.backfill", whole) is None


def test_who_ends_a_backfill_ends_its_runs(database: Database) -> None:
    """Also where the engine dies before it has told them; one may be ended alone."""
    whole = begun(database, "a", workflow="flow.backfill", backfill=ITSELF, owner=dead_owner("w"))
    part = begun(database, "a", backfill=whole.run_id, owner=dead_owner())
    cancels.ask(database, whole.run_id, at_us=us(1.0), by="ann")
    cancels.ask(database, part.run_id, at_us=us(1.0), by="bob")
    other = begun(database, "a", backfill=whole.run_id, owner=dead_owner())
    assert [(one.run_id, one.asked_by, one.is_part) for one in open_runs(database)] == [
        (whole.run_id, "ann", False),
        (part.run_id, "bob", True),
        (other.run_id, "ann", True),
    ]
    run = History(database).run(other.run_id)
    assert (run["status"], run["note"].partition(";")[0]) == ("cancelled", "cancelled by ann")


@pytest.mark.parametrize("asking", ["flow", "flow.backfill"])
@pytest.mark.parametrize("dead", ["flow", "flow.backfill"])
def test_a_dead_run_opens_an_incident_of_its_kind(
    database: Database, asking: str, dead: str
) -> None:
    """Whichever of its commands finds it; an open one of the other kind is not its."""
    settings = {"SLACK_WEBHOOK_URL": "https://example.org/hook"}
    environment = Environment(
        paths=Paths(database.path.parent, database.path.parent, f"sqlite:///{database.path}"),
        secrets=Secrets(database.path.parent, settings),
        clock=SystemClock(),
        environ=settings,
    )
    workflow = Workflow(asking.partition(".")[0], alert_on="change").add(Step("a", print))
    definition = replace(workflow.definition(), name=asking)
    for name, status in (("flow", "interrupted"), ("flow.backfill", "ok")):
        a_run(database, status, workflow=name, backfill=ITSELF if "." in name else None)
    begun(database, "a", workflow=dead, backfill=ITSELF if "." in dead else None)
    reconcile_all(database, environment, definition=definition)
    history = History(database)
    assert [(alert["run_id"], alert["kind"]) for alert in history.alerts()] == [(3, "opened")]
    opened = [one["workflow"] for one in history.incidents() if one["opened_run"] == 3]
    assert opened == [dead]


def test_its_runs_push_no_other_out_of_the_store(database: Database) -> None:
    """Two runs are to be kept: those by hand, however many a backfill has made since.

    These go by their age, and so does the failure among them; of each value the row stays.
    """
    for status in ("cancelled", "failed", "ok", "cancelled"):
        a_run(database, status)
    whole = a_run(database, "failed", workflow="flow.backfill", backfill=ITSELF)
    for n in range(3):
        a_run(database, "failed" if n == 1 else "ok", backfill=whole, params=f'{{"n": {n}}}')
    late = a_run(database, at=50.0, backfill=whole, params='{"n": 3}')
    limits = Limits(us(40.0), 2)
    with database.read() as cursor:
        found = due(cursor, "flow", limits)
        verdicts = judge(cursor, "flow", limits, found)
        assert due(cursor, "flow.backfill", limits) == []
    assert found == [1, 2, 6, 7, 8]
    assert late not in found
    assert [(one.run_id, one.row) for one in verdicts] == [
        (8, False),
        (7, True),
        (6, False),
        (1, True),
    ]


# -- side by side ---------------------------------------------------------------------------------

ONE, TWO = '{"n": 1}', '{"n": 2}'


@pytest.mark.parametrize(
    ("there", "coming", "refused"),
    [
        ({"params": ONE}, {"params": ONE, "beside": True, "backfill": 9}, True),
        ({"params": ONE}, {"params": TWO, "beside": True, "backfill": 9}, False),
        ({"params": ONE, "backfill": 9}, {"params": ONE}, True),
        ({"params": ONE, "backfill": 9}, {"params": TWO}, False),
        ({"params": ONE, "backfill": 9}, {"params": ONE, "beside": True, "backfill": 9}, True),
        ({"params": ONE}, {"params": TWO}, True),
        ({"params": ONE}, {"params": TWO, "beside": True}, False),
        ({"params": ONE, "workflow": "other"}, {"params": ONE}, False),
        ({"params": ONE, "backfill": ITSELF}, {"params": TWO, "backfill": ITSELF}, True),
    ],
)
def test_runs_that_overlap_are_not_begun(
    database: Database, there: dict[str, Any], coming: dict[str, Any], refused: bool
) -> None:
    """By the store itself, as they hold different locks: between a look and the begin is a gap."""
    lock = locks.acquire(database.path, "there")
    assert lock is not None
    owner = locks.this_process(lock.name)
    lock.begin(owner)
    begun(database, "a", owner=owner.to_text(), **there)
    beside = coming.get("beside", False)
    on = running_now(History(database), "flow", coming["params"], beside=beside)
    assert bool(on) is refused
    if refused:
        with pytest.raises(AlreadyRunning, match="run 1 of 'flow' has just begun or ended"):
            begin_run(database, new_run("a", after=1, **coming))
    else:
        assert begin_run(database, new_run("a", after=1, **coming)) == 2
    lock.release()


def test_a_run_that_came_and_went_since_the_decision_refuses(database: Database) -> None:
    """What was decided is not so any more: its value may be done by now."""
    a_run(database, params=ONE)
    a_run(database, params=TWO)
    record_ended_run(database, new_run("", params=ONE), RunStatus.SKIPPED)
    assert begin_run(database, new_run("a", params=ONE, after=1, beside=True)) == 4
    end(begun(database, "a", params=TWO))
    with pytest.raises(AlreadyRunning, match="run 5 of 'flow' has just begun or ended"):
        begin_run(database, new_run("a", params=TWO, after=2, beside=True))


def test_a_run_that_is_on_is_found_behind_many_that_came_after_it(database: Database) -> None:
    """A backfill makes hundreds of runs beside it: a look at the newest few would miss it."""
    lock = locks.acquire(database.path, "there")
    assert lock is not None
    owner = locks.this_process(lock.name)
    lock.begin(owner)
    begun(database, "a", owner=owner.to_text())
    for number in range(25):
        end(begun(database, "a", params=f'{{"n": {number}}}', backfill=99))
    found = running_now(History(database), "flow", ONE, beside=False)
    assert [run["run_id"] for run in found] == [1]
    lock.release()
