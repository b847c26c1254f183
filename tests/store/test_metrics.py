"""What a monitor is told of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alert import AlertStatus
from engine.slots import PAUSED_BY_ITSELF
from store import metrics, pauses
from store.connection import Database
from store.metrics import WorkflowState, read_state
from tests.store.filled import a_run, begun, dead_owner, did, end, settle, us

if TYPE_CHECKING:
    import pytest


def state_of(database: Database, name: str = "flow") -> WorkflowState:
    """Give how one workflow stands."""
    (found,) = [one for one in read_state(database, us(1e6)).workflows if one.name == name]
    return found


def test_the_last_run_is_the_last_that_ended_whole(database: Database) -> None:
    """Skipped runs, bound ones and a backfill's parts are counted, and are not the last."""
    a_run(database, "ok", at=0.0)
    a_run(database, "failed", at=10.0)
    a_run(database, "skipped", at=20.0)
    a_run(database, "ok", at=30.0, only_steps='["a"]')
    a_run(database, "ok", at=40.0, backfill=1)
    found = state_of(database)
    assert found.last is not None
    assert (found.last.run_id, found.last.status, found.last.started_at) == (2, "failed", us(10.0))
    assert found.last_success_at is not None
    assert found.last_success_at < us(10.0)
    assert found.runs == {"ok": 3, "failed": 1, "interrupted": 0, "cancelled": 0, "skipped": 1}
    assert found.running == 0


def test_a_run_whose_engine_died_is_interrupted(database: Database) -> None:
    """As it will be recorded, with its steps; when it ended is not known."""
    a_run(database, "ok")
    journal = begun(database, "a b>a", at=10.0, owner=dead_owner())
    did(journal, 0, at=10.0)
    found = state_of(database)
    assert (found.running, found.runs["interrupted"]) == (0, 1)
    assert found.last is not None
    assert (found.last.run_id, found.last.status, found.last.finished_at) == (
        2,
        "interrupted",
        None,
    )
    assert [(step.step, step.status) for step in found.last.steps] == [
        ("a", "ok"),
        ("b", "cancelled"),
    ]


def test_of_a_big_run_the_failed_steps_are_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are counted; so are whole workflows, and steps once there is no room left."""
    monkeypatch.setattr(metrics, "STEPS_MAX", 2)
    for name in ("big", "later"):
        journal = begun(database, "a b c d", workflow=name)
        did(journal, 0)
        did(journal, 1, outcomes="failed failed")
        did(journal, 2)
        settle(journal, 3, "skipped")
        end(journal, "failed")
    big = state_of(database, "big").last
    assert big is not None
    assert [(step.step, step.status, step.duration_s) for step in big.steps] == [
        ("b", "failed", 11.0)
    ]
    assert (big.left_out, big.failed, big.retries) == (3, 1, 1)
    monkeypatch.setattr(metrics, "STEPS_IN_ALL", 1)
    later = state_of(database, "later").last
    assert later is not None
    assert (later.steps, later.left_out) == ([], 4)
    monkeypatch.setattr(metrics, "WORKFLOWS_MAX", 1)
    state = read_state(database, us(1e6))
    assert ([one.name for one in state.workflows], state.workflows_left_out) == (["big"], 1)


def test_what_waits_and_what_goes_on_is_counted(database: Database) -> None:
    """Alerts by channel, incidents and pauses by workflow, the size of the store with its log."""
    run_id = a_run(database, "failed")
    with database.write() as cursor:
        alert = "INSERT INTO alert_rows (run_id, channel, status, created_at, tries, error) "
        for channel, status in (("slack", AlertStatus.PENDING), ("email", AlertStatus.SENT)):
            cursor.execute(f"{alert} VALUES (?, ?, ?, 0, 0, '')", (run_id, channel, status))
        cursor.execute(
            "INSERT INTO incident_rows (workflow, step, fingerprint, error, opened_at, opened_run,"
            " last_at, last_run, failures, thread) VALUES ('flow', 'z', 'x', '', 0, 1, 0, 1, 1, '')"
        )
        pauses.insert(cursor, pauses.Pause("flow", 0, PAUSED_BY_ITSELF, None, "", None))
        cursor.execute("SELECT count(*) FROM incident_rows WHERE closed_at IS NULL")
        (incidents,) = cursor.fetchone()
    state = read_state(database, us(1e6))
    assert state.alerts == {"slack": 1}
    assert (state.workflows[0].incidents, state.workflows[0].paused) == (incidents, "itself")
    log = database.path.with_name("runs.db-wal").stat().st_size
    assert state.size_bytes == database.path.stat().st_size + log


def test_an_empty_store_has_no_workflows(database: Database) -> None:
    """What there is to tell is its size."""
    state = read_state(database, us(1e6))
    assert (state.workflows, state.workflows_left_out, state.alerts) == ([], 0, {})
