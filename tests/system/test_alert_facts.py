"""What alerts tell of a run comes from the store, so that whoever sends them tells the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.alert import AlertKind, AlertRow, Due
from engine.alerts.blocks import render_slack
from engine.alerts.kinds import of_alert
from engine.alerts.letter import render_plain
from engine.alerts.of_runs import of_report
from engine.alerts.slack_limits import faults
from engine.clock import SystemClock
from engine.events import Claim
from engine.ports import Paths
from engine.secrets import Secrets
from engine.session.alert_facts import facts_of, told_of
from engine.session.environment import Environment
from store.connection import Database
from store.database import open_writer
from store.history import History
from store.outbox import StoredOutbox
from tests.store.filled import a_run, begun, dead_owner, did, end, settle

SECRET = "s3cr3t-of-later"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Give a new store in the test's folder."""
    opened = open_writer(tmp_path / "runs.db")
    yield opened
    opened.close()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Give a project whose secret was set after its runs."""
    url = f"sqlite:///{tmp_path}/runs.db"
    paths = Paths(home=tmp_path, root=tmp_path, store_url=url)
    return Environment(paths, Secrets.given({"TOKEN": SECRET}), SystemClock(), {})


def test_facts_of_a_failure(database: Database, environment: Environment) -> None:
    """The last success, what is usual and what changed since then, of whole runs before this."""
    a_run(database)
    a_run(database, at=60.0, params='{"day": "1"}')
    journal = begun(database, "a b", at=120.0, params='{"day": "2"}')
    did(journal, 0, at=120.0, took=9.0, outcomes="failed failed")
    did(journal, 1, at=120.0)
    end(journal, "failed", at=140.0)
    found = facts_of(History(database), 3, environment)
    assert found["last_success"] == {"run_id": 2, "finished": "2011-11-14T00:01:02Z"}
    assert (found["usual"], found["first_usual"]) == ([2.0, 2.0, 2.0], [2.0, 2.0, 2.0])
    assert found["changes"] == ["'b': new", "parameter 'day' is 2, was 1"]
    assert render_plain(of_report(found)).startswith(
        "flow failed: a\n\n"
        "failed first: a, 2 attempts, 19.0s, usually 2.0s\n  ValueError: no luck\n"
    )


def test_success_is_not_compared_with_the_last(
    database: Database, environment: Environment
) -> None:
    """Nothing that changed is looked for where all went well."""
    a_run(database)
    a_run(database, params='{"day": "2"}')
    assert facts_of(History(database), 2, environment)["changes"] == []


def test_dead_run_is_told_as_interrupted(database: Database, environment: Environment) -> None:
    """With what was running, before anybody has recorded that its engine died."""
    a_run(database)
    journal = begun(database, "a b", at=60.0, owner=dead_owner())
    did(journal, 0, at=60.0)
    journal.commit_tick([Claim(1, 1, 61.0, report=False)])
    log = environment.paths.home / "logs" / "flow" / "2" / "b.1.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"waiting for {SECRET}\n", encoding="utf-8")
    found = facts_of(History(database), 2, environment)
    assert found["status"] == "interrupted"
    assert "was running: b, 1 attempt\n  waiting for ***\n" in render_plain(of_report(found))
    text, blocks = render_slack(of_report(found))
    assert text.startswith("flow interrupted at b: its engine died")
    assert "last success: 2011-11-14 00:00 UTC, run 1" in json.dumps(blocks)
    assert faults(text, blocks) == []


def test_chosen_steps_are_not_compared_with_whole_runs(
    database: Database, environment: Environment
) -> None:
    """Neither their duration nor what else was given; the step's own usual is told."""
    a_run(database)
    a_run(database, "failed", only_steps='["a"]', params='{"day": "2"}')
    found = facts_of(History(database), 2, environment)
    assert (found["usual"], found["changes"]) == (None, [])
    assert found["first_usual"] == [2.0, 2.0, 2.0]


def test_no_secret_is_told(database: Database, environment: Environment) -> None:
    """Not even one that was none when the texts were written."""
    journal = begun(database, "a b", params=json.dumps({"key": SECRET}), host=SECRET)
    did(journal, 0, outcomes="failed")
    settle(journal, 1, "skipped", note=f"dependency failed: {SECRET}")
    end(journal, "failed", note=SECRET)
    found = facts_of(History(database), 1, environment)
    assert SECRET not in json.dumps(found)
    assert "key = ***" in render_plain(of_report(found))


def test_big_run_is_told_by_its_worst_steps(database: Database, environment: Environment) -> None:
    """Sixty of them at most; all are counted."""
    journal = begun(database, " ".join(f"s{n}" for n in range(100)))
    did(journal, 90, outcomes="failed")
    for step in range(90):
        settle(journal, step, "skipped", note="dependency failed: s90")
    end(journal, "failed")
    found = facts_of(History(database), 1, environment)
    assert len(found["steps"]) == 60
    assert found["first_failure"] == "s90"
    assert found["counts"] == {"waiting": 9, "failed": 1, "skipped": 90}
    assert "  … and 49 more: 9 waiting, 40 skipped\n" in render_plain(of_report(found))


def test_a_damaged_run_is_told_of_with_what_its_alert_knows(
    database: Database, environment: Environment
) -> None:
    """It keeps no other's alert from being sent; nor does an alert without readable facts."""
    for _ in range(2):
        a_run(database, "failed")
    database.raw.executescript(
        "UPDATE run_rows SET params = '{' WHERE id = 1; INSERT INTO alert_rows (run_id, channel,"
        " status, created_at, tries, error, facts) VALUES (2, 'slack', 'pending', 0, 0, '', '{')"
    )
    facts = {"workflow": "flow", "step": "a", "error": f"ValueError: {SECRET}"}
    due = Due(1, AlertKind.OPENED, "", facts)
    found = told_of(History(database), due, environment)
    text = render_plain(of_alert(AlertRow(1, "slack", found, 0, kind=AlertKind.OPENED)))
    assert text.startswith("flow failed: a\n\nfailed first: a\n  ValueError: ***\n\nnote\n")
    assert told_of(History(database), Due(1, AlertKind.RUN, "", {}), environment)["run_id"] == 1
    box = StoredOutbox(
        database,
        now_us=lambda: 0,
        payload=lambda due: told_of(History(database), due, environment),
    )
    assert [row.payload["run_id"] for row in box.claim()] == [2]
