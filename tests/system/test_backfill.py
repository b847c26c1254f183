"""`backfill`: a run for each value, and one record, alert and exit code for the whole."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import suppress
from os import kill

import pytest

from tests.system.alert_servers import hook
from tests.system.project import Project, is_alive, marked, notes, statuses, wait_for

FLOW = """
def body(ctx):
    n = ctx.params["n"]
    effect(f"begun:{n}")
    wanted = Path(f"wait-{n}")
    while wanted.exists():
        time.sleep(0.02)
    if Path(f"bad-{n}").exists():
        raise ValueError("no luck")
    effect(f"done:{n}")
    return n

def tell(ctx):
    effect(f"told:{ctx['body']}")

workflow = (
    Workflow("flow", params={"n": Param(int, default=0), "word": "a b"})
    .add(Step("body", body, retries=0))
    .add(Step("tell", tell, depends_on=["body"]))
)
"""
RANGE = ("backfill", "flow", "--param", "n", "--from", "1", "--to")


@pytest.fixture(name="flow")
def _flow(project: Project) -> Project:
    project.write("flow", FLOW)
    return project


def test_a_failing_value_holds_up_no_other(flow: Project) -> None:
    """The others are done, one alert is sent for all, and the same command does what is left."""
    (flow.root / "bad-3").touch()
    with hook() as served:
        done = flow.run(*RANGE, "4", "--parallel", "2", "--json", SLACK_WEBHOOK_URL=served.url)
        assert done.code == 1, done.err
        assert statuses(done.report) == {"1": "ok", "2": "ok", "3": "failed", "4": "ok"}
        failed = notes(done.report)["3"]
        number = int(failed.removeprefix("run ").partition(":")[0])
        assert failed == f"run {number}: step 'body' failed: ValueError: no luck"
        (body,) = served.bodies
        assert f"flow.backfill failed: 3: {failed}" in json.dumps(body)
        assert flow.rows("SELECT run_id, count(*) FROM alerts GROUP BY run_id") == [(1, 1)]
        assert "[3] ✗ body FAILED permanently: ValueError: no luck" in done.err
        assert "✓ body" not in done.err
        command = done.report["resume_command"]
        assert command.endswith(
            " backfill flow --param n --from 1 --to 4 --parallel 2 --workers 4 --set 'word=a b'"
        )
        (flow.root / "bad-3").unlink()
        again = flow.run(*RANGE, "4", "--json", SLACK_WEBHOOK_URL=served.url)
    assert again.code == 0, again.err
    ok_in = dict(flow.rows("SELECT json_extract(params, '$.n'), id FROM runs WHERE status = 'ok'"))
    assert notes(again.report) == {
        n: f"ok in run {ok_in[int(n)]}" if n != "3" else f"run {ok_in[3]}" for n in "1234"
    }
    assert statuses(again.report) == {"1": "skipped", "2": "skipped", "3": "ok", "4": "skipped"}
    last = flow.run(*RANGE, "4")
    assert (last.code, last.out) == (0, "nothing to do: 4 values of n, 1 to 4: ok already\n")
    told = [effect for effect in flow.effects() if effect.startswith("told")]
    assert sorted(told) == ["told:1", "told:2", "told:3", "told:4"]
    chain = flow.rows(f"SELECT resumed_from FROM runs WHERE id = {ok_in[3]}")
    assert chain == [(number,)]


def test_a_value_mended_by_hand_ends_the_trouble(flow: Project) -> None:
    """The same command finds nothing left to do, and its incident is over."""
    (flow.root / "bad-2").touch()
    assert flow.run(*RANGE, "2").code == 1
    (flow.root / "bad-2").unlink()
    assert flow.run("run", "flow", "--set", "n=2").code == 0
    assert flow.rows("SELECT closed_run FROM incident_rows") == [(None,)]
    assert flow.run(*RANGE, "2").out == "nothing to do: 2 values of n, 1 to 2: ok already\n"
    assert flow.rows("SELECT closed_run FROM incident_rows") == [(4,)]


def test_values_come_in_order(flow: Project) -> None:
    """One after the other if not told otherwise; each is recorded as a part of the whole."""
    assert flow.run(*RANGE, "3", "-q").out == ""
    assert flow.effects() == [f"{what}:{n}" for n in "123" for what in ("begun", "done", "told")]
    assert flow.rows("SELECT id, workflow, backfill, params FROM runs ORDER BY id") == [
        (
            1,
            "flow.backfill",
            1,
            '{"--from": 1, "--param": "n", "--to": 3, "--workers": 4, "word": "a b"}',
        ),
        *((n + 1, "flow", 1, f'{{"n": {n}, "word": "a b"}}') for n in (1, 2, 3)),
    ]
    log = (flow.home / "logs" / "flow.log").read_text("utf-8")
    assert "[2] ✓ body in " in log
    assert "✓ body" not in (flow.home / "logs" / "flow.backfill.log").read_text("utf-8")
    locks = sorted(path.name for path in (flow.home / "runs.db.locks").iterdir())
    assert locks == ["flow.backfill.lock", "flow@backfill-1.lock"]


def test_a_dry_run_says_what_each_value_would_do(flow: Project) -> None:
    """Values below zero have a step too; nothing is written."""
    (flow.root / "bad-0").touch()
    for n in ("-1", "0"):
        flow.run("run", "flow", "--set", f"n={n}")
    before = flow.store.read_bytes()
    dry = flow.run("backfill", "flow", "--param", "n", "--from", "-2", "--to", "0", "--dry-run")
    assert dry.code == 0, dry.err
    assert [" ".join(line.split()) for line in dry.out.splitlines()] == [
        "dry run of flow.backfill: nothing is changed (3 values of n, minus-2 to 0, 2 to do)",
        "STEP WHAT WHY",
        "minus-2 ▶ would run first run with these parameters",
        "minus-1 ↻ ok in run 1",
        "0 ▶ would go on from run 2 run 2 failed",
        "3 steps: 1 would run, 1 ok already, 1 would go on",
    ]
    assert flow.store.read_bytes() == before
    assert not (flow.home / "logs" / "flow.backfill.log").exists()


def test_a_signal_stops_it_and_the_same_command_goes_on(flow: Project) -> None:
    """What runs is interrupted, with its value; nothing that was done is done again."""
    (flow.root / "wait-2").touch()
    process = flow.start(*RANGE, "3")
    flow.wait_for_effect("begun:2")
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: ("3", "cancelled") in flow.rows("SELECT step, status FROM step_runs"))
    (flow.root / "wait-2").unlink()
    stopped = flow.end(process, 0.0)
    assert stopped.code == 143
    assert "to go on from there: " in stopped.out
    assert flow.rows("SELECT workflow, status, note FROM runs WHERE status <> 'ok'") == [
        ("flow.backfill", "interrupted", "stopped by SIGTERM"),
        ("flow", "interrupted", "stopped by SIGTERM"),
    ]
    assert flow.rows("SELECT step, status FROM step_runs WHERE run_id = 1") == [
        ("1", "ok"),
        ("2", "interrupted"),
        ("3", "cancelled"),
    ]
    refused = flow.run("run", "flow.backfill")
    assert refused.code == 2
    assert "'flow.backfill' is no workflow: its runs are the backfills of 'flow'" in refused.err
    refused = flow.run("run", "flow", "--resume", "1")
    assert refused.code == 2
    assert "run 1 is a backfill of 'flow'; it is gone on with by `backfill`" in refused.err
    assert flow.run(*RANGE, "3").code == 0
    assert [effect for effect in flow.effects() if effect.startswith("told")] == [
        "told:1",
        "told:2",
        "told:3",
    ]


def test_a_second_signal_ends_its_runs_at_once(flow: Project) -> None:
    """They record that they were interrupted before the process is gone."""
    (flow.root / "wait-1").touch()
    process = flow.start(*RANGE, "2")
    flow.wait_for_effect("begun:1")
    process.send_signal(signal.SIGINT)
    wait_for(lambda: ("2", "cancelled") in flow.rows("SELECT step, status FROM step_runs"))
    stopped = flow.stopped(process, signal.SIGINT)
    assert stopped.code == 130
    assert stopped.seconds < 4
    assert flow.rows("SELECT workflow, status FROM runs ORDER BY id") == [
        ("flow.backfill", "interrupted"),
        ("flow", "interrupted"),
    ]


def test_a_crash_is_told_once_for_the_whole(flow: Project) -> None:
    """The next backfill records the dead one with its runs, and goes on; each has its one alert."""
    (flow.root / "wait-1").touch()
    process = flow.start(*RANGE, "2", SLACK_WEBHOOK_URL="http://127.0.0.1:9/unused")
    flow.wait_for_effect("begun:1")
    process.kill()
    flow.end(process, 0.0)
    (flow.root / "wait-1").unlink()
    with hook() as served:
        done = flow.run(*RANGE, "2", "--json", SLACK_WEBHOOK_URL=served.url)
    assert done.code == 0, done.err
    assert "run 1 of flow.backfill is interrupted: its engine died" in done.err
    assert "run 2 of flow is interrupted: its engine died" in done.err
    assert len(served.bodies) == 2
    assert flow.rows("SELECT run_id FROM alerts ORDER BY id") == [(1,), (3,)]
    assert flow.rows("SELECT resumed_from FROM runs WHERE id = 4") == [(2,)]
    assert notes(done.report) == {"1": "run 4", "2": "run 5"}


CLEANS = """
def work(ctx):
    effect("begun")
    while True:
        time.sleep(0.02)

workflow = (
    Workflow("flow", params={"n": 0})
    .add(Step("work", work))
    .add(Step("clean", does("cleaned"), depends_on=["work"], trigger_rule="all_done"))
)
"""


def test_a_cancel_lets_every_run_clean_up(project: Project) -> None:
    """The runs that are on are cancelled with it, and the rest never begins."""
    project.write("flow", CLEANS)
    process = project.start(*RANGE, "4", "--parallel", "2")
    wait_for(lambda: project.effects() == ["begun", "begun"])
    assert project.run("cancel", "flow.backfill").out == "run 1 is cancelled\n"
    assert project.end(process, 0.0).code == 1
    assert project.effects() == ["begun", "begun", "cleaned", "cleaned"]
    by = project.rows("SELECT note FROM runs WHERE id = 1")[0][0]
    assert by.startswith("cancelled by ")
    assert project.rows("SELECT DISTINCT status, note FROM runs") == [("cancelled", by)]
    assert len(project.rows("SELECT id FROM runs")) == 3


def test_runs_of_equal_parameters_are_never_on_at_once(flow: Project) -> None:
    """Whoever comes second is told of the first; other parameters run beside it."""
    for n in (1, 2):
        (flow.root / f"wait-{n}").touch()
    by_hand = flow.start("run", "flow", "--set", "n=2")
    flow.wait_for_effect("begun:2")
    process = flow.start(*RANGE, "3", "--parallel", "3", "--json")
    flow.wait_for_effect("begun:1")
    second = flow.run(*RANGE, "9")
    assert second.code == 75
    assert "run 2 of 'flow.backfill' is on since " in second.err
    same = flow.run("run", "flow", "--set", "n=1")
    assert same.code == 75
    assert "of 'flow' is on since " in same.err
    wait_for(lambda: "told:3" in flow.effects())
    (flow.root / "wait-2").unlink()
    assert flow.end(by_hand, 0.0).code == 0
    other = flow.run("run", "flow", "--set", "n=5")
    assert other.code == 0, other.err
    (flow.root / "wait-1").unlink()
    done = flow.end(process, 0.0)
    assert done.code == 1
    assert statuses(done.report) == {"1": "ok", "2": "failed", "3": "ok"}
    assert notes(done.report)["2"].startswith("run 1 of 'flow' is on since ")
    assert flow.effects().count("begun:2") == 1


STEPS = """
import subprocess

def alone(ctx):
    effect(f"pid:{os.getpid()}")
    child = subprocess.Popen(["sleep", "61"], start_new_session=True)
    effect(f"pid:{child.pid}")
    if ctx.params["n"] == 3:
        return
    time.sleep(60)

COMMAND = '''
setsid sleep 62 > /dev/null 2>&1 & echo "pid:$!" >> effects.txt
echo "pid:$$" >> effects.txt
sleep 60
'''
SERVICE = 'setsid sleep 63 > /dev/null 2>&1 & echo "service:$!" >> effects.txt'

workflow = (
    Workflow("flow", params={"n": 0})
    .add(Step("service", shell(SERVICE)))
    .add(Step("alone", alone, isolate=True, depends_on=["service"]))
    .add(Step("command", shell(COMMAND), depends_on=["service"],
              when=lambda ctx: ctx.params["n"] != 3))
)
"""


@pytest.fixture(name="steps")
def _steps(project: Project) -> Iterator[Project]:
    project.write("flow", STEPS)
    yield project
    for pid in [*project.pids(), *services(project)]:
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def services(project: Project) -> list[int]:
    """Give what commands that ended well have left in the background."""
    told = (word.partition(":") for word in project.effects())
    return [int(pid) for what, _, pid in told if what == "service"]


def test_no_process_of_runs_side_by_side_outlives_the_engine(steps: Project) -> None:
    """A run that ends leaves the processes of the others alone; a kill of the engine ends all.

    What a command that ended well has left behind is a service, whichever run it is of.
    """
    process = steps.start(*RANGE, "3", "--parallel", "3")
    wait_for(lambda: len(steps.pids()) == 2 * 4 + 2 and len(services(steps)) == 3)
    wait_for(lambda: ("ok",) in steps.rows("SELECT status FROM runs"))
    alive = [pid for pid in steps.pids() if is_alive(pid)]
    assert len(alive) == 2 * 4
    process.kill()
    steps.end(process, 0.0)
    wait_for(lambda: not any(map(is_alive, steps.pids())))
    assert all(map(is_alive, services(steps)))
    assert [pid for pid in marked(str(steps.root)) if pid not in services(steps)] == []
    shown = steps.run("history", "--json")
    assert sorted(run["status"] for run in json.loads(shown.out)) == ["interrupted"] * 3 + ["ok"]
