"""A run's page as a pure function of the store, and the file that a run's end leaves."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from engine.clock import SystemClock
from engine.errors import StoreError
from engine.model import RunStatus
from engine.ports import Paths
from engine.produced import Encoded
from engine.reports.html.facts import Attempt, Value
from engine.secrets import Secrets
from engine.session import Environment, pages, reporting
from engine.usual import Spread
from store.connection import Database
from store.history import History
from store.journal import record_ended_run
from store.new_run import NewSteps
from tests.store.filled import NO_SHA, a_run, begun, did, end, new_run, settle, us, value

SECRET = "hush-hush"


@pytest.fixture
def environment(database: Database) -> Environment:
    """Give what a command works in, with a secret."""
    home = database.path.parent
    return Environment(
        paths=Paths(home, home, f"sqlite:///{database.path}"),
        secrets=Secrets.given({"TOKEN": SECRET}),
        clock=SystemClock(),
        environ={},
    )


def test_facts_are_those_of_the_store(database: Database, environment: Environment) -> None:
    """Attempts, graph, usual duration and values are told; a secret is not, wherever it stands."""
    a_run(database)
    journal = begun(database, "a b>a", params=f'{{"p": "{SECRET}"}}')
    table = Encoded("arrow", b"\0\1", NO_SHA)
    did(journal, 0, writes=[("k", value(f'"{SECRET}!"'.encode())), ("t", table)])
    settle(journal, 1, "skipped", note=f"no {SECRET}")
    end(journal)
    facts = pages.facts_of(History(database), journal.run_id, environment)
    assert facts.attempts == [Attempt(0, 1, "ok", us(0) / 1e6, us(1) / 1e6, None)]
    assert facts.graph is not None
    assert (facts.graph.names, list(facts.graph.upstreams)) == (("a", "b"), [(), (0,)])
    assert (facts.workers, facts.usual) == (4, Spread(2.0, 2.0, 2.0, 1))
    assert facts.values == [Value("a", "k", 12, "***!"), Value("a", "t", 2, "a table (arrow)")]
    page = pages.page_of(History(database), journal.run_id, environment)
    assert "no ***" in page
    assert SECRET not in page


def test_of_a_big_run_a_part_is_read(database: Database, environment: Environment) -> None:
    """Beyond a limit the steps most worth a look are told, their attempts with them."""
    journal = begun(database, "a b c d e")
    for step, took in enumerate([1.0, 3.0, 1.0, 2.0, 1.0]):
        did(journal, step, took=took, outcomes="failed" if step == 4 else "ok")
    end(journal, "failed")
    facts = pages.facts_of(History(database), journal.run_id, environment, whole=3, most=2)
    assert [step["name"] for step in facts.report["steps"]] == ["b", "e"]
    assert [(one.step, one.outcome) for one in facts.attempts] == [(0, "ok"), (1, "failed")]
    assert (facts.graph, facts.report["steps_in_all"]) == (None, 5)


def test_a_run_that_began_no_step_is_run_anew(database: Database, environment: Environment) -> None:
    """Its workflow could not be loaded; the alert gave a command to go on, which is refused."""
    history = History(database)
    none = replace(new_run(started_by="timer"), steps=NewSteps())
    record_ended_run(database, none, RunStatus.FAILED)
    report = reporting.build_report(history, 1, environment)
    assert report["resume_command"] == "sudo -u ann python -m engine run flow"
    a_run(database, "failed")
    report = reporting.build_report(history, 2, environment)
    assert report["resume_command"] == "python -m engine run flow --resume 2"


def test_a_page_that_cannot_be_written_is_said(
    database: Database,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A full disk, or a fault of ours, costs the page and nothing else: the run has ended."""
    run_id = a_run(database)
    history = History(database)
    report = reporting.build_report(history, run_id, environment)

    def fails(error: Exception) -> None:
        def write(*_: object) -> None:
            raise error

        monkeypatch.setattr(pages, "write_whole", write)
        pages.write_page(report, history, environment)

    fails(OSError(errno.ENOSPC, "No space left on device"))
    fails(StoreError(f"no {SECRET}"))
    fails(RuntimeError("a bug"))
    reasons = ["No space left on device", "no ***", "RuntimeError"]
    assert caplog.messages == [f"the page could not be written: {reason}" for reason in reasons]
    assert report["page"] is None
    monkeypatch.undo()
    pages.write_page(report, history, environment)
    again = reporting.build_report(history, run_id, environment)
    assert again["page"] == report["page"] == f"{database.path.parent}/reports/run-1-flow.html"
