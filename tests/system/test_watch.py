"""Runs that never came, and those that are late, told by real commands through a real server."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from engine.session import pinging
from engine.session.schedules.missing import GRACE_S
from store import pauses, slots
from store.database import open_writer
from tests.system.alert_servers import answer
from tests.system.alert_servers import hook as webhook
from tests.system.project import Project, wait_for
from tests.system.test_slots import missed

FLOWS = """
workflow = Workflow("NAME"OPTIONS, alert_on="failure").add(Step("work", does("NAME"), retries=0))
"""
DAY = 86_400_000_000
WELL = "all is well: nothing is missing, late, dead, paused by itself or undelivered\n"


def flow(project: Project, name: str, options: str = "") -> None:
    """Write a workflow of one step."""
    project.write(name, FLOWS.replace("NAME", name).replace("OPTIONS", options))


@pytest.mark.skipif(time.monotonic() < GRACE_S + 60, reason="the machine has only just begun")
def test_a_disabled_timer_is_told_of_by_another_workflow(project: Project) -> None:
    """By its next run, with the slot that was missed; `watch` goes on showing it."""
    flow(project, "nightly", ', schedule="*-*-* 00:00:00", tz="UTC"')
    flow(project, "other")
    nothing = project.run("watch")
    assert (nothing.code, nothing.out) == (3, "")
    assert f"there is no store '{project.store}' to look at" in nothing.err
    assert project.run("run", "nightly", "--scheduled").code == 0
    assert project.run("watch").out == WELL
    with closing(sqlite3.connect(project.store)) as store, store:
        store.execute("UPDATE slot_rows SET slot = slot - ?", (2 * DAY,))
        store.execute("UPDATE schedule_rows SET noted_at = noted_at - ?", (2 * DAY,))
        store.execute(
            "UPDATE run_rows SET started_at = started_at - ?1, finished_at = finished_at - ?1",
            (2 * DAY,),
        )
    ((slot,),) = project.rows("SELECT max(slot) + 86400000000 FROM slot_rows")
    ((day,),) = project.rows(f"SELECT strftime('%Y-%m-%d', {slot} / 1000000, 'unixepoch')")
    with webhook(answer(200, "ok")) as hook:
        assert project.run("run", "other", SLACK_WEBHOOK_URL=hook.url).code == 0
        (said,) = [body["text"] for body in hook.bodies]
    assert said.startswith("nightly: ")  # just after midnight: of one
    assert f" {day} 00:00 UTC" in said
    assert project.rows("SELECT kind, status, workflow, run_id FROM alerts") == [
        ("missing", "sent", "nightly", None)
    ]
    watched = project.run("watch", "--json")
    found = json.loads(watched.out)
    (missed,) = found.pop("missing")
    assert (missed["workflow"], missed["slot"]) == ("nightly", f"{day}T00:00:00Z")
    assert missed["text"] == said
    well = {"late": [], "dead": [], "paused": [], "undelivered": 0, "given_up": 0}
    assert found == {"ok": False} | well
    assert watched.code == 1


def test_an_alert_that_was_given_up_is_wrong_for_a_day(project: Project) -> None:
    """Nobody was sent it, so whoever watches is told; `alerts` says which it is."""
    flow(project, "flow")
    with webhook(answer(400, "no_text")) as hook:
        sent = project.run("run", "flow", SLACK_WEBHOOK_URL=hook.url, ENGINE_ALERT_ON="always")
        assert sent.code == 0
    watched = project.run("watch")
    told = "given up: 1 alert within a day, which nobody was sent; see `alerts`\n"
    assert (watched.code, watched.out) == (1, told)
    listed = project.run("alerts").out
    assert listed.startswith("run 1  slack  given up  1 try: ")
    with closing(sqlite3.connect(project.store)) as store, store:
        store.execute("UPDATE alert_rows SET sent_at = sent_at - ?", (DAY,))
    assert project.run("watch").out == WELL
    assert project.run("alerts").out == "no undelivered alerts\n"


def known_since(project: Project, name: str, schedule: tuple[str, str]) -> None:
    """Note a schedule as of 2023: slots from before it is known promise nothing."""
    project.home.mkdir(exist_ok=True)
    with closing(open_writer(project.store)) as store, store.write() as cursor:
        slots.note(cursor, name, schedule, {}, 1_700_000_000_000_000)


HELD = """
def fails(ctx):
    time.sleep(0.1)  # before that nothing is looked at
    raise ValueError("no luck")

workflow = Workflow("held", schedule="yearly", tz="UTC", deadline="1s")
workflow.add(Step("no", fails, retries=0))
"""


def test_a_run_by_hand_is_held_to_no_deadline(project: Project) -> None:
    """One that went on from a timer's run by hand was told late at once, for that one's slot."""
    project.write("held", HELD)
    known_since(project, "held", ("yearly", "UTC"))
    late = "held is late: its deadline was"
    assert late in project.run("run", "held", "--scheduled").err
    again = project.run("run", "held")
    assert "run 1 failed" in again.err
    assert late not in again.err
    assert project.rows("SELECT count(DISTINCT slot), count(*) FROM runs") == [(1, 2)]


SLOW = """
def slow(ctx):
    while not times("go"):
        time.sleep(0.02)

workflow = (
    Workflow("slow", schedule="yearly", tz="UTC", deadline="01:00", max_duration="0.3s",
             alert_on="failure")
    .add(Step("slow", slow, max_duration="0.2s"))
)
"""


def test_what_is_late_is_sent_while_it_runs(project: Project) -> None:
    """A step and its run, each past what it may take; `watch` shows it; the run ends well."""
    project.write("slow", SLOW)
    known_since(project, "slow", ("yearly", "UTC"))
    with webhook(answer(200, "ok")) as hook:
        process = project.start("run", "slow", "--scheduled", SLACK_WEBHOOK_URL=hook.url)
        wait_for(lambda: len(hook.bodies) == 3)
        sent = "SELECT count(*) FROM alerts WHERE status = 'sent'"
        wait_for(lambda: project.rows(sent) == [(3,)])
        watched = project.run("watch")
        (project.root / "effects.txt").write_text("go\n")
        assert project.end(process, 0.0).code == 0
    year = project.rows("SELECT substr(slot, 1, 4) FROM runs")[0][0]
    most = "it has run for 0.3s, its max_duration"
    deadline = f"its deadline was {year}-01-01 01:00 UTC"
    assert watched.code == 1
    run, late, step = watched.out.splitlines()
    assert [run, late] == [f"late: run 1 of slow: {most}", f"late: run 1 of slow: {deadline}"]
    assert re.fullmatch(
        r"late: slow of run 1 of slow has run for [\d.]+s, its max_duration is 0.2s", step
    )
    *first, second = sorted(body["text"] for body in hook.bodies)
    assert first == [f"slow is late: {most}", f"slow is late: {deadline}"]
    assert re.fullmatch(
        r"slow: slow is late: it has run for [\d.]+s, its max_duration is 0.2s", second
    )
    assert project.rows("SELECT kind, status, run_id FROM alerts") == [("late", "sent", 1)] * 3


def test_a_timers_run_is_told_to_a_dead_man_service(project: Project) -> None:
    """That it has begun and how it ended, by a secret URL; a service that fails changes nothing."""
    flow(project, "daily", ', schedule="daily", ping="PING_DAILY"')
    bad = 'workflow = Workflow("bad", schedule="daily").add(Step("no", broken, retries=0))'
    project.write("bad", bad)
    with webhook(answer(200, "OK")) as hook:
        env = {"PING_DAILY": hook.url, "ENGINE_PING_URL": f"{hook.url}/all/?a=b"}
        assert project.run("run", "daily", **env).code == 0
        assert hook.paths == []
        assert project.run("run", "daily", "--scheduled", **env).code == 0
        assert project.run("run", "bad", "--scheduled", **env).code == 1
        path = hook.url.partition("127.0.0.1")[2].partition("/")[2]
        told = [f"/{path}/start", f"/{path}", f"/{path}/all/start?a=b", f"/{path}/all/fail?a=b"]
        assert hook.paths == told
    flow(project, "gone", ', schedule="daily", ping="PING_GONE"')
    gone = project.run("run", "gone", "--scheduled", PING_GONE="http://127.0.0.1:9/s3cr3t")
    assert gone.code == 0
    assert "the ping /start was not sent: connection refused" in gone.err
    assert "s3cr3t" not in gone.err


def test_a_timers_run_that_cannot_begin_is_told_as_failed(project: Project) -> None:
    """By its file, its parameters or the store, to the URL noted last; a timer too many is not."""
    with webhook(answer(200, "OK")) as hook:
        env = {"PING_DAILY": hook.url, "ENGINE_PING_URL": f"{hook.url}/all"}
        path = hook.url.partition("127.0.0.1")[2].partition("/")[2]

        def told(*words: str, code: int, failpoint: str = "") -> list[str]:
            del hook.paths[:]
            there = env | {"KAHNBAN_FAILPOINTS": failpoint}
            assert project.run("run", *words, "--scheduled", **there).code == code
            return [each.removeprefix(f"/{path}") for each in hook.paths]

        flow(project, "daily", ', schedule="daily", ping="PING_DAILY", catchup="all"')
        assert told("daily", "--set", "no=1", code=2) == ["/fail"]
        assert told("daily", code=3, failpoint="run-begun:raise") == ["/fail"]
        assert told("daily", code=0) == []  # no slot is due
        project.write("daily", "workflow = None +\n")
        project.write("new", "workflow = None +\n")
        assert told("daily", code=0) == []
        missed(project, 1)
        assert told("daily", code=2) == ["/fail"]
        gone = {"ENGINE_PING_URL": "http://127.0.0.1:9/s3cr3t"}
        new = project.run("run", "new", "--scheduled", **gone)
        assert new.code == 2
        assert "the ping /fail was not sent: connection refused" in new.err
        assert "s3cr3t" not in new.err
        with closing(open_writer(project.store)) as store:
            pauses.pause(store, pauses.Pause("daily", 0, "ann", None, "", None))
        assert told("daily", code=0) == []
        flow(project, "daily", ', schedule="daily", ping="PING_DAILY"')
        project.store.write_text("no store at all")
        assert told("daily", code=3) == ["/fail"]


def test_a_hung_service_holds_no_end_up_beside_what_else_it_takes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is waited for it counts from the run's end: alerts that take as long cost it nothing."""
    asked, go_on = threading.Event(), threading.Event()
    now = [100.0]
    pings = pinging.Pings("http://127.0.0.1:9/", str, lambda: now[0])

    def hang(what: str) -> None:
        assert what == "/fail"
        asked.set()
        assert go_on.wait(10)

    monkeypatch.setattr(pings, "_send", hang)
    pings.end(well=False)
    pings.end(well=True)  # told already
    assert asked.wait(10)
    now[0] += pinging.ENDS_WITHIN_S
    before = time.monotonic()
    pings.wait()
    assert time.monotonic() - before < 1
    assert [entry.getMessage() for entry in caplog.records] == [
        "pings: no answer within 4 s, given up"
    ]
    go_on.set()
    pings._thread.join(10)  # type: ignore[union-attr]
