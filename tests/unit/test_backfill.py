"""What a backfill goes over, what it refuses, and what is said of each value."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from queue import SimpleQueue
from threading import Event as Flag
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine import Step, Workflow
from engine.clock import SystemClock
from engine.errors import (
    AlreadyRunning,
    DefinitionError,
    StoreBusy,
    StoreError,
    StoreFull,
    SupersededError,
    UsageError,
)
from engine.events import Event, StopRequested
from engine.live import LEFT_MAX
from engine.model import AttemptOutcome, Param
from engine.ports import Job, Paths
from engine.secrets import Secrets
from engine.session import Environment
from engine.session.backfill import runs
from engine.session.backfill.launch import run_backfill
from engine.session.backfill.recorded import words
from engine.session.backfill.resolved import VALUES_MAX, Backfill, BackfillRequest, resolve
from engine.session.backfill.workers import RunAttempt, RunWorkers, verdict_of
from store.database import open_reader
from store.history import History
from tests.fakes import FakeClock

if TYPE_CHECKING:
    from engine.workers.threads import ThreadWorkers
    from engine.workers.toolbox import Toolbox

WORKFLOW = Workflow(
    "shop",
    params={
        "day": Param(date, default="today"),
        "n": Param(int, default=0),
        "grade": Param(int, default=1, choices=(1, 3, 5)),
        "dry": False,
        "rate": 0.5,
        "region": "eu",
        "at": Path("in"),
    },
    alert_on="failure",
).add(Step("a", print))
REQUEST = BackfillRequest("n", "1", "3")


def environment(home: Path, **environ: str) -> Environment:
    """Make a place for runs, with a clock that runs."""
    return Environment(
        paths=Paths(home, home, f"sqlite:///{home}/runs.db"),
        secrets=Secrets(home, environ),
        clock=SystemClock(),
        environ=environ,
    )


def resolved(home: Path, request: BackfillRequest, **environ: str) -> Backfill:
    """Resolve a backfill of the shop."""
    return resolve(WORKFLOW.definition(), request, environment(home, **environ))


def over(home: Path, param: str, first: str, last: str, **more: Any) -> list[str]:
    """Give the steps of a backfill."""
    return list(resolved(home, BackfillRequest(param, first, last, **more)).values)


def test_both_ends_are_included(tmp_path: Path) -> None:
    """Days follow the calendar; a number below zero gets a name that a step can have."""
    days = ["2012-02-28", "2012-02-29", "2012-03-01"]
    assert over(tmp_path, "day", days[0], days[-1]) == days
    assert over(tmp_path, "n", "-2", "1") == ["minus-2", "minus-1", "0", "1"]
    assert over(tmp_path, "n", "7", "7") == ["7"]
    assert over(tmp_path, "grade", "1", "5") == ["1", "3", "5"]
    assert len(over(tmp_path, "day", "yesterday", "today")) == 2
    assert len(over(tmp_path, "n", "1", "10000")) == VALUES_MAX


def test_a_values_run_has_all_parameters(tmp_path: Path) -> None:
    """They are resolved once, for all runs: the environment, and the day, are not asked again."""
    request = BackfillRequest("n", "1", "3", workers=2, params={"rate": "2"})
    found = resolved(tmp_path, request, ENGINE_PARAM_region="us", ENGINE_PARAM_n="77")
    one = found.request("2")
    assert one.params == {
        "day": one.params["day"],
        "n": 2,
        "grade": 1,
        "dry": False,
        "rate": 2.0,
        "region": "us",
        "at": Path("in"),
    }
    assert isinstance(one.params["day"], date)
    assert (one.workers, one.once) == (2, True)
    assert found.itself.definition.name == "shop.backfill"
    assert found.itself.definition.alert_on == "failure"
    assert {step.retries for step in found.itself.definition.steps} == {0}


def test_the_command_that_goes_on_is_complete(tmp_path: Path) -> None:
    """It can be made from what is recorded, by whoever reads it, and asks for the same."""
    request = BackfillRequest("n", "1", "3", parallel=2, params={"day": "2011-11-14", "dry": "on"})
    found = resolved(tmp_path, request)
    run = {"workflow": "shop.backfill", "workers": 2, "params": found.asked.params_text}
    assert words(run) == [
        *("backfill", "shop", "--param", "n", "--from", "1", "--to", "3"),
        *("--parallel", "2", "--workers", "4", "--set", "at=in", "--set", "day=2011-11-14"),
        *("--set", "dry=true", "--set", "grade=1", "--set", "rate=0.5", "--set", "region=eu"),
    ]
    assignments = [word.partition("=") for word in words(run)[13::2]]
    params = {name: value for name, _, value in assignments}
    again = resolved(tmp_path, dataclasses.replace(request, params=params))
    assert again.asked.params_text == found.asked.params_text


def changed(**changes: Any) -> BackfillRequest:
    """Ask for something else."""
    return dataclasses.replace(REQUEST, **changes)


@pytest.mark.parametrize(
    ("request_", "message", "hint"),
    [
        (
            changed(param="m"),
            "workflow 'shop' has no parameter 'm'",
            "its parameters are day, n, grade, dry, rate, region, at",
        ),
        (
            changed(param="region"),
            "a backfill goes over dates or whole numbers, and parameter 'region' is neither",
            "name a parameter of type date or int with --param",
        ),
        (
            changed(param="dry"),
            "a backfill goes over dates or whole numbers, and parameter 'dry' is neither",
            "name a parameter of type date or int with --param",
        ),
        (
            changed(params={"n": "1"}),
            "--set gives 'n', which the backfill goes over",
            "leave it out: --from and --to give its values",
        ),
        (
            changed(params={"x": "1"}),
            "workflow 'shop' has no parameter 'x'",
            "its parameters are day, n, grade, dry, rate, region, at",
        ),
        (
            changed(last="three"),
            "--to is 'three', not a whole number",
            "give a whole number, such as --to 3",
        ),
        (
            changed(param="day", first="2011-11-31"),
            "--from is '2011-11-31', not a date (YYYY-MM-DD, today or yesterday)",
            "give a date (YYYY-MM-DD, today or yesterday), such as --from 2011-11-14",
        ),
        (
            changed(param="grade", last="4"),
            "--to is 4, which is none of its choices",
            "choose one of 1, 3, 5",
        ),
        (
            changed(first="4"),
            "--from 4 comes after --to 3",
            "give the first value with --from, the last with --to",
        ),
        (
            changed(last="10001"),
            "--from 1 --to 10001 are 10001 values",
            "give 10000 at most, in several backfills",
        ),
        (changed(parallel=33), "--parallel is 33", "give 1 to 32"),
        (
            changed(parallel=26, workers=10),
            "--parallel 26 runs of --workers 10 steps each are more than 256 steps at once",
            "give one of the two a smaller number",
        ),
        (changed(workers=0), "workers is 0", "give 1 to 1000"),
    ],
)
def test_what_cannot_be_done_is_refused(
    tmp_path: Path, request_: BackfillRequest, message: str, hint: str
) -> None:
    """Before anything is touched, with what to do instead."""
    with pytest.raises(UsageError) as caught:
        resolved(tmp_path, request_)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert list(tmp_path.iterdir()) == []


def test_no_workflow_has_the_name_of_a_backfill() -> None:
    """Its runs would be taken for those of another's backfills."""
    with pytest.raises(DefinitionError) as caught:
        Workflow("shop.backfill")
    assert caught.value.message == "workflow name 'shop.backfill' ends in '.backfill'"


# -- what is said of a value ----------------------------------------------------------------------


def report(status: str, **more: Any) -> dict[str, Any]:
    """Make what matters here of a run's report."""
    steps = [
        {"name": "a", "status": "skipped", "note": "closed", "error": ""},
        {"name": "b", "status": "failed", "note": "", "error": "Traceback:\nValueError: no luck"},
    ]
    told = {"run_id": 7, "status": status, "note": "", "first_failure": None, "steps": steps}
    return told | more


@pytest.mark.parametrize(
    ("ended", "verdict"),
    [
        (report("ok"), ("", None, "run 7")),
        (report("ok", steps=report("")["steps"][:1]), ("", None, "run 7: closed")),
        (report("ok", nothing_to_do="…"), ("", "ok in run 7", "")),
        (
            report("failed", first_failure="b"),
            ("run 7: step 'b' failed: ValueError: no luck", None, ""),
        ),
        (report("failed", note="stopped: 101 threads"), ("run 7: stopped: 101 threads", None, "")),
        (report("cancelled", note="cancelled by ann"), ("run 7: cancelled by ann", None, "")),
        (report("interrupted"), ("run 7: interrupted", None, "")),
    ],
)
def test_a_value_tells_of_its_run(
    ended: dict[str, Any], verdict: tuple[str, str | None, str]
) -> None:
    """By number, and by what failed first in it."""
    assert verdict_of(ended) == verdict


# -- stops ----------------------------------------------------------------------------------------


def workers(inbox: SimpleQueue[Event]) -> RunWorkers:
    """Make workers that make no runs."""
    tools = cast("Toolbox", SimpleNamespace(clock=FakeClock(), halts=None))
    return RunWorkers(tools, lambda _: report("ok"), workers=1, inbox=inbox, mark=lambda *_: None)


def told(run: RunAttempt) -> list[Event]:
    """Give what a run's inbox holds."""
    found = []
    while not run.inbox.empty():
        found.append(run.inbox.get())
    return found


def test_a_run_is_stopped_as_its_backfill_is() -> None:
    """By a signal it is interrupted, by a cancel cancelled; each is told once."""
    inbox: SimpleQueue[Event] = SimpleQueue()
    lanes = workers(inbox)
    run = RunAttempt(Job(0, 1, report=False), 0.0, 0, lanes)
    run.stop("cancelled by ann")
    run.stop("cancelled by ann")
    assert told(run) == [StopRequested("ann", cancel=True)]
    inbox.put(StopRequested("SIGINT"))
    lanes.wait(0.0)
    run.stop("stopped by SIGINT")
    run.stop("stopped by SIGINT")
    assert told(run) == [StopRequested("SIGINT")]
    inbox.put(StopRequested("SIGINT", at_once=True))
    lanes.wait(0.0)
    run.stop("stopped by SIGINT")
    assert told(run) == [StopRequested("SIGINT", at_once=True)]


def test_a_run_that_is_just_beginning_hears_of_a_stop() -> None:
    """The stop comes between its claim and its begin, when there is nobody yet to be told."""
    lanes = workers(SimpleQueue())
    lanes.stop(0, 1, "cancelled by ann", withdraw=False)
    run, other = (RunAttempt(Job(step, 1, report=False), 0.0, 0, lanes) for step in (0, 1))
    assert (run.run().note, other.run().note) == ("run 7", "run 7")
    assert (told(run), told(other)) == ([StopRequested("ann", cancel=True)], [])


def test_a_fault_of_ours_is_an_outcome(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing comes out of a lane; who looks finds where it was."""
    lanes = workers(SimpleQueue())

    def broken(_run: RunAttempt) -> dict[str, Any]:
        raise LookupError("lost")

    def refused(_run: RunAttempt) -> dict[str, Any]:
        raise AlreadyRunning("run 3 of 'shop' is on since noon")

    def stopped(_run: RunAttempt) -> dict[str, Any]:
        raise KeyboardInterrupt

    errors = []
    for start in (broken, refused, stopped):
        lanes.start = start
        ended = RunAttempt(Job(0, 1, report=False), 0.0, 0, lanes).run()
        assert ended.outcome is AttemptOutcome.FAILED
        errors.append(ended.error)
    assert errors == [
        "the engine failed: LookupError: lost",
        "run 3 of 'shop' is on since noon",
        "stopped before its run began",
    ]
    assert 'raise LookupError("lost")' in caplog.text


@pytest.mark.parametrize("passes", [SupersededError, StoreBusy])
def test_what_the_store_refuses_one_run_ends_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: type[StoreError]
) -> None:
    """The next runs would use up, on a full disk, the room that is kept for the backfill's end.

    What may have passed by then costs its value alone.
    """
    made = []

    def run_value(_filling: object, step: str, *_: object) -> dict[str, Any]:
        made.append(step)
        if step == "1":
            raise passes("not now")
        if step == "2":
            raise StoreFull("the disk is full")
        return report("ok")

    monkeypatch.setattr(runs, "run_value", run_value)
    with pytest.raises(StoreFull):
        run_backfill(WORKFLOW.definition(), REQUEST, environment(tmp_path))
    reader = open_reader(tmp_path / "runs.db")
    history = History(reader)
    run, steps = history.run(1), history.steps(1)
    reader.close()
    assert (run["status"], run["note"]) == ("interrupted", "the disk is full")
    assert [(step["status"], step["note"] or "") for step in steps[:2]] == [
        ("failed", "not now"),
        ("interrupted", "its engine stopped"),
    ]
    assert made == ["1", "2"]


def test_threads_that_its_runs_left_behind_are_counted(tmp_path: Path) -> None:
    """They are threads of the backfill's process; with 100 a run is stopped, and none begins."""
    go_on = Flag()

    def body(ctx: Any) -> None:
        if ctx.params["n"] == 1:
            go_on.wait(30.0)

    workflow = Workflow("shop", params={"n": 0})
    workflow.add(Step("a", body, retries=0, timeout=0.05))
    request = BackfillRequest("n", "1", "2")
    done = run_backfill(workflow.definition(), request, environment(tmp_path))
    go_on.set()
    assert [step["status"] for step in done["steps"]] == ["failed", "ok"]
    assert done["threads_left"] == 1

    lanes = workers(SimpleQueue())
    running = [(0, 1)] * LEFT_MAX
    pool = cast("ThreadWorkers", SimpleNamespace(left_running=lambda: running))
    lanes.note_ended([pool])
    runs = [RunAttempt(Job(step, 1, report=False), 0.0, 0, lanes) for step in (0, 1)]
    assert runs[0].run().outcome is AttemptOutcome.OK
    running.append((0, 1))
    refused = runs[1].run()
    assert refused.error == "not run: 101 threads of timed-out steps are still running"
