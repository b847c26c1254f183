"""What the terminal shows: exact tables at several widths, hostile texts, many steps."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.reports.grid import Column, grid
from engine.reports.lists import history_table, incident_table, workflow_table
from engine.reports.terminal import failure, plan_table, preview, show, table
from engine.text import (
    columns,
    cut,
    human_duration,
    human_time,
    pad,
    printable,
    printable_json,
    printable_lines,
    shell_line,
)

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def step(name: str, status: str = "ok", **changed: Any) -> dict[str, Any]:
    """Make a step of a report."""
    return {
        "name": name,
        "status": status,
        "duration_s": 2.0,
        "attempts": 1,
        "note": "",
        "source_run": None,
        "error": "",
        "expected_s": None,
        "log": None,
        "last_lines": [],
    } | changed


def report(steps: list[dict[str, Any]], status: str = "ok", **changed: Any) -> dict[str, Any]:
    """Make a report."""
    return {
        "workflow": "daily",
        "run_id": 12,
        "status": status,
        "started": "2026-11-23T08:00:00.000Z",
        "finished": "2026-11-23T08:02:05.000Z",
        "duration_s": 125.0,
        "params": {},
        "resumed_from": None,
        "note": "",
        "steps": steps,
        "first_failure": None,
        "resume_command": None,
        "log": None,
        "report": None,
    } | changed


def failed_report() -> dict[str, Any]:
    """Make the report of a run that failed at its second step."""
    never = {"attempts": 0, "duration_s": None}
    return report(
        [
            step("fetch", "cached", attempts=0, duration_s=0.0, source_run=11),
            step(
                "transform",
                "failed",
                attempts=3,
                duration_s=124.0,
                expected_s=100.0,
                error="Traceback:\n\tcall\nValueError: bad\x1b[31m number\n",
                log="/h/logs/daily/12/transform.3.log",
                last_lines=["08:00:01 out  reading", "08:00:02 out  gone"],
            ),
            step("日本語", duration_s=0.4),
            step("deliver", "skipped", note="dependency failed: transform", **never),
        ],
        "failed",
        first_failure="transform",
        resume_command="/opt/kb/bin/kahnban run daily --resume 12 --home /h",
        params={"date": "2026-11-23", "evil": "a\nb"},
        resumed_from=11,
        user="ann",
        host="box",
        report="/h/reports/run-12-daily.json",
        page="/h/reports/run-12-daily.html",
    )


def test_the_table_of_a_failed_run() -> None:
    """Signs, figures on the right, wide letters in line, the error's last line as the note."""
    assert table(failed_report(), width=100) == (
        "STEP       STATUS     ATTEMPTS  DURATION  EXPECTED  NOTE\n"
        "fetch      ↻ cached          –         –            from run 11\n"
        "transform  ✗ failed          3    2m 04s    1m 40s  ValueError: bad\\x1b[31m number\n"
        "日本語     ✓ ok              1      0.4s\n"
        "deliver    – skipped         –         –            dependency failed: transform\n"
        "\n"
        "✗ daily, run 12: failed in 2m 05s\n"
        "  4 steps: 1 cached, 1 failed, 1 ok, 1 skipped"
    )


def test_narrow_tables_lose_columns_then_letters() -> None:
    """EXPECTED goes first, then ATTEMPTS and DURATION, the note last."""
    assert table(failed_report(), width=47) == (
        "STEP       STATUS     DURATION  NOTE\n"
        "fetch      ↻ cached          –  from run 11\n"
        "transform  ✗ failed     2m 04s  ValueError: ba…\n"
        "日本語     ✓ ok           0.4s\n"
        "deliver    – skipped         –  dependency fai…\n"
        "\n"
        "✗ daily, run 12: failed in 2m 05s\n"
        "  4 steps: 1 cached, 1 failed, 1 ok, 1 skipped"
    )
    assert table(failed_report(), width=19).splitlines()[:3] == [
        "STEP      STATUS",
        "fetch     ↻ cached",
        "transfo…  ✗ failed",
    ]


def test_no_step_and_one_step() -> None:
    """Nothing is listed where there is nothing; words agree in number."""
    assert table(report([])) == "✓ daily, run 12: ok in 2m 05s\n  0 steps"
    assert table(report([step("only")])) == (
        "STEP  STATUS  ATTEMPTS  DURATION\n"
        "only  ✓ ok           1      2.0s\n"
        "\n"
        "✓ daily, run 12: ok in 2m 05s\n"
        "  1 step: 1 ok"
    )


def test_notes_threads_and_dry_runs_are_told() -> None:
    """The run's note, threads left running, and a run that was none."""
    said = table(
        report([], "failed", note="bad\rday", threads_left=2, run_id=None, duration_s=None)
    )
    assert said == (
        "✗ daily, dry run: failed\n  0 steps\n  bad\\x0dday\n! 2 threads were left running"
    )


@pytest.mark.parametrize("count", [60, 1000])
def test_of_many_steps_only_some_are_shown(count: int) -> None:
    """Failures, retried and slow steps, in order of declaration; the rest is counted."""
    steps = [step(f"s{number}", duration_s=1.0) for number in range(count)]
    steps[7] |= {"status": "failed", "error": "bad"}
    steps[9] |= {"attempts": 2}
    steps[count - 1] |= {"duration_s": 9.0}
    lines = table(report(steps, "failed", first_failure="s7")).splitlines()
    shown = [line.split()[0] for line in lines[1:51]]
    assert shown == [f"s{number}" for number in range(49)] + [f"s{count - 1}"]
    assert lines[51] == f"… and {count - 50} more: {count - 50} ok"
    assert lines[-1] == f"  {count} steps: {count - 1} ok, 1 failed"


def test_all_failed_still_shows_the_first_failure() -> None:
    """Among a thousand failures the one that came first is listed."""
    steps = [step(f"s{number}", "failed") for number in range(1000)]
    text = table(report(steps, "failed", first_failure="s900"))
    assert "\ns900  " in text
    assert "… and 950 more: 950 failed" in text


def test_colour_changes_no_letter() -> None:
    """Colour is wrapped round cells; widths are those without."""
    plain = table(failed_report()).splitlines()
    coloured = table(failed_report(), colour=True)
    for code in (2, 31, 32, 36, 0):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured.splitlines() == plain
    assert "\x1b[31m✗ failed " in table(failed_report(), colour=True)


def test_the_failure_of_a_run() -> None:
    """What failed first, its error, its log's end and path, and how to go on."""
    assert failure(failed_report()) == (
        "✗ transform failed after 3 attempts, 2m 04s\n"
        "    Traceback:\n"
        "        call\n"
        "    ValueError: bad\\x1b[31m number\n"
        "last lines of its log:\n"
        "    08:00:01 out  reading\n"
        "    08:00:02 out  gone\n"
        "log: /h/logs/daily/12/transform.3.log\n"
        "to go on from there: /opt/kb/bin/kahnban run daily --resume 12 --home /h"
    )


def test_the_failure_names_some_of_the_others() -> None:
    """Seven more failures are five names and a count; a long error shows its end."""
    steps = [step(f"s{number}", "failed", error="x\n" * 50 + "end") for number in range(8)]
    lines = failure(report(steps, "failed", first_failure="s0")).splitlines()
    assert lines[:2] == ["✗ s0 failed after 1 attempt, 2.0s", "    … 11 lines before"]
    assert lines[-2:] == ["    end", "also failed: s1, s2, s3, s4, s5 and 2 more"]


def test_an_interrupted_run_says_how_to_go_on() -> None:
    """Without a failed step there is the log and the command."""
    stopped = report([], "interrupted", log="/h/logs/daily.log", resume_command="kahnban run daily")
    assert failure(stopped) == "log: /h/logs/daily.log\nto go on from there: kahnban run daily"
    assert failure(report([])) == ""


def test_show_tells_all_about_a_run() -> None:
    """The facts, the table, the failure; parameters cannot break a line."""
    text = show(failed_report() | {"zone": "UTC"}, now=NOW)
    assert text == (
        "daily, run 12\n"
        "  started    yesterday 08:00 UTC\n"
        "  finished   yesterday 08:02\n"
        "  by         ann@box\n"
        "  parameters date=2026-11-23, evil=a\\x0ab\n"
        "  continues  run 11\n"
        "  report     /h/reports/run-12-daily.json\n"
        "  page       /h/reports/run-12-daily.html\n"
        f"\n{table(failed_report())}\n\n{failure(failed_report())}"
    )


def test_show_tells_when_a_run_was_due() -> None:
    """Of a run that was for a slot that comes first: it may have begun much later."""
    late = failed_report() | {"slot": "2026-11-22T08:00:00.000Z", "zone": "UTC"}
    lines = show(late, now=NOW).splitlines()
    assert lines[1:3] == ["  slot       2026-11-22 08:00", "  started    yesterday 08:00 UTC"]


def test_history_is_a_line_a_run() -> None:
    """Number, name, outcome, start in the given zone, duration, note."""
    row = {
        "id": 9,
        "workflow": "daily",
        "status": "ok",
        "started_at": "2026-11-23T23:30:00.000Z",
        "duration_s": 61.0,
        "note": "",
    }
    runs = [
        row | {"id": 10, "status": "running", "duration_s": None, "note": "x"},
        row,
        row | {"id": 8, "status": "interrupted", "started_at": "2026-11-20T08:00:00.000Z"},
    ]
    assert history_table(runs, now=NOW, tz=ZoneInfo("Europe/Berlin")) == (
        "RUN  WORKFLOW  STATUS         STARTED           DURATION  NOTE\n"
        " 10  daily     ▶ running      today 00:30         9h 30m  x\n"
        "  9  daily     ✓ ok           today 00:30         1m 01s\n"
        "  8  daily     ! interrupted  2026-11-20 09:00    1m 01s"
    )
    assert history_table([], now=NOW) == "no runs"


def test_history_tells_times_in_the_zone_of_each_run() -> None:
    """Named in the head if all have the same, else beside each; UTC if it is not known here."""
    row = {"id": 9, "workflow": "daily", "status": "ok", "started_at": "2026-11-23T23:30:00.000Z"}
    daily = row | {"zone": "Europe/Berlin"}
    assert history_table([daily], now=NOW, tz=UTC) == (
        "RUN  WORKFLOW  STATUS  STARTED (Europe/Berlin)  DURATION\n"
        "  9  daily     ✓ ok    today 00:30                     –"
    )
    far = row | {"workflow": "far", "zone": "Asia/Tokyo"}
    runs = [daily, far, row | {"workflow": "plain", "zone": "no/such"}]
    assert history_table(runs, now=NOW, tz=UTC) == (
        "RUN  WORKFLOW  STATUS  STARTED                    DURATION\n"
        "  9  daily     ✓ ok    today 00:30 Europe/Berlin         –\n"
        "  9  far       ✓ ok    today 08:30 Asia/Tokyo            –\n"
        "  9  plain     ✓ ok    yesterday 23:30 UTC               –"
    )


def test_an_hour_that_comes_twice_is_told_apart() -> None:
    """Where the clock is set back, a time says which of the two it is; others need not."""
    starts = ("00:30", "01:30", "02:30", "23:30")
    runs = [
        {"id": at, "workflow": "daily", "status": "ok", "started_at": f"2026-10-25T{start}:00Z"}
        | {"zone": "Europe/Berlin"}
        for at, start in enumerate(starts)
    ]
    lines = history_table(runs, now=NOW).splitlines()
    assert [line[23:47].rstrip() for line in lines] == [
        "STARTED (Europe/Berlin)",
        "2026-10-25 02:30 CEST",
        "2026-10-25 02:30 CET",
        "2026-10-25 03:30",
        "2026-10-26 00:30",
    ]


def test_history_tells_which_runs_took_unusually_long() -> None:
    """Or short, by more than a second and half as much again; of failed runs it says nothing."""
    row = {"id": 9, "workflow": "daily", "status": "ok", "note": "", "usual_s": 60.0}
    took = {12: 91.0, 11: 89.0, 10: 39.0, 9: 300.0, 8: 300.0}
    runs = [row | {"id": number, "duration_s": taken} for number, taken in took.items()]
    runs[3] |= {"status": "failed"}
    runs[4] |= {"only_steps": '["a"]'}
    runs.append(row | {"id": 7, "duration_s": 0.9, "usual_s": 0.1})
    assert [line[34:] for line in history_table(runs, now=NOW).splitlines()] == [
        "DURATION  USUALLY  NOTE",
        "  1m 31s   1m 00s",
        "  1m 29s",
        "   39.0s   1m 00s",
        "  5m 00s",
        "  5m 00s           only a",
        "    0.9s",
    ]


def test_a_run_that_is_on_is_shown_with_what_it_has_taken() -> None:
    """So are its running steps, those past twice what they usually take in another colour."""
    steps = [
        step("a", "running", started="2026-11-24T08:58:00.000Z", expected_s=100.0, duration_s=None),
        step("b", "running", started="2026-11-24T08:55:00.000Z", expected_s=100.0, duration_s=None),
        step("c", "waiting", attempts=0, duration_s=None),
    ]
    going = report(steps, "running", started="2026-11-24T08:54:00.000Z", duration_s=None)
    assert show(going, now=NOW).split("\n\n", 1)[1] == (
        "STEP  STATUS     ATTEMPTS  DURATION  EXPECTED\n"
        "a     ▶ running         1    2m 00s    1m 40s\n"
        "b     ▶ running         1    5m 00s    1m 40s\n"
        "c     · waiting         –         –\n"
        "\n"
        "▶ daily, run 12: running for 6m 00s\n"
        "  3 steps: 2 running, 1 waiting"
    )
    assert show(going, now=NOW, colour=True).count("\x1b[33m") == 1


WORKFLOWS: list[dict[str, Any]] = [
    {
        "name": name,
        "steps": 3,
        "schedule": None,
        "description": "",
        "broken": None,
        "usual_s": None,
        "last_run": None,
    }
    for name in ("daily", "dump\x1b[2J", "new", "日報")
]
WORKFLOWS[0] |= {
    "schedule": "Mon..Fri *-*-* 08:00:00 UTC",
    "next": "2026-11-25T08:00:00Z",
    "usual_s": 95.0,
    "last_run": {"status": "ok", "started_at": "2026-11-24T08:00:00.000Z", "only_steps": ""},
}
WORKFLOWS[1] |= {"broken": "dump.py:3: SyntaxError: '(' was never closed\n    workflow = (\x1b[2J"}
WORKFLOWS[3] |= {
    "usual_s": 0.4,
    "last_run": {"status": "running", "started_at": "2026-11-24T08:59:20Z", "only_steps": '["a"]'},
}
BROKEN = [
    "",
    "✗ dump\\x1b[2J is broken",
    "  dump.py:3: SyntaxError: '(' was never closed",
    "      workflow = (\\x1b[2J",
]


def test_workflows_are_a_table() -> None:
    """Schedule, last run and its age, what is usual; what is broken below, with all its error."""
    assert workflow_table(WORKFLOWS, now=NOW, width=77).splitlines() == [
        "WORKFLOW  STEPS  SCHEDULE          NEXT            LAST RUN           USUALLY",
        "daily         3  Mon..Fri *-*-*…   tomorrow 08:00  ✓ ok, 1h 00m ago    1m 35s",
        "new           3                                    never",
        "日報          3                                    ▶ running (only…      0.4s",
        *BROKEN,
    ]
    assert workflow_table(WORKFLOWS, now=NOW, width=60).splitlines() == [
        "WORKFLOW  NEXT            LAST RUN                   USUALLY",
        "daily     tomorrow 08:00  ✓ ok, 1h 00m ago            1m 35s",
        "new                       never",
        "日報                      ▶ running (only a), for…      0.4s",
        *BROKEN,
    ]
    assert workflow_table(WORKFLOWS, now=NOW, width=40).splitlines()[:4] == [
        "WORKFLOW  LAST RUN",
        "daily     ✓ ok, 1h 00m ago",
        "new       never",
        "日報      ▶ running (only a), for 40s",
    ]
    far = WORKFLOWS[0] | {"tz": "Pacific/Kiritimati", "schedule": "22:00"}
    assert (
        workflow_table([far], now=NOW, width=90)
        .splitlines()[1]
        .startswith("daily         3  22:00 Pacific/Kiritimati  tomorrow 22:00 +14  ✓ ok")
    )
    paused = WORKFLOWS[0] | {"paused": {"by": "pause_after", "until": None, "reason": "2 failed"}}
    assert workflow_table([paused], now=NOW, width=90).splitlines()[1:] == [
        "daily         3  Mon..Fri *-*-* 08:00:00 UTC  paused  ✓ ok, 1h 00m ago   1m 35s",
        "daily is paused by itself: 2 failed",
    ]
    assert workflow_table(WORKFLOWS[1:2], now=NOW).splitlines() == BROKEN[1:]
    described = [WORKFLOWS[2] | {"description": "what it is\tfor, told at some length"}]
    assert workflow_table(described, now=NOW, width=52).splitlines() == [
        "WORKFLOW  STEPS  LAST RUN  DESCRIPTION",
        "new           3  never     what it is\\x09for, told…",
    ]


def test_the_last_run_stays_whole_before_a_description() -> None:
    """When it was, and comes next, is told at 80 columns, beside a schedule of the usual length."""
    last = {"status": "failed", "started_at": "2026-11-24T08:59:35Z", "only_steps": ""}
    row = {"schedule": "*-*-* 08:00:00", "description": "what it is for, told at some length"}
    rows = [WORKFLOWS[0] | row, WORKFLOWS[2] | {"name": "housekeeping", "last_run": last}]
    assert workflow_table(rows, now=NOW).splitlines()[1:] == [
        "daily             3  *-*-* 08:00:00  tomorrow 08:00  ✓ ok, 1h 00m ago    1m 35s",
        "housekeeping      3                                  ✗ failed, 25s ago",
    ]


def test_incidents_are_a_table() -> None:
    """What is of, since when, how often; in a narrow terminal the name and the error stay."""
    row = {"id": 3, "workflow": "day", "step": "fetch", "failures": 12, "last_run": 40}
    row |= {"opened_at": "2026-11-23T08:00:00.000Z", "closed_at": None, "error": "E: no\x1bluck"}
    over = row | {"step": "", "closed_at": "2026-11-24T08:00:00.000Z", "error": "its engine died"}
    table = incident_table([row, over], now=NOW, zones={"day": UTC}, width=88)
    assert table.splitlines() == [
        "INCIDENT  OF           WHEN                            FAILURES  LAST RUN  ERROR",
        "       3  day / fetch  open since yesterday 08:00            12        40  E: no\\x1bluck",
        "       3  day          yesterday 08:00 to today 08:00        12        40  its engine d…",
    ]
    broken = row | {"step": "", "error": "/srv/my p/pipelines/day.yaml:3:1: unknown key"}
    table = incident_table([broken], now=NOW, zones={"day": UTC}, width=100)
    assert table.splitlines()[-1].endswith("  40  day.yaml:3:1: unknown key")
    narrow = incident_table([row], now=NOW, zones={"day": UTC}, width=60)
    assert narrow.splitlines() == [
        "OF           WHEN                        ERROR",
        "day / fetch  open since yesterday 08:00  E: no\\x1bluck",
    ]


def test_a_run_of_chosen_steps_is_told_apart() -> None:
    """By its line at the end, its head, its command, and in the history."""
    only = failed_report() | {"only_steps": ["a", "b", "c", "d", "e", "f\x1b", "g"]}
    bound = "daily, run 12 (only a, b, c, d, e, 2 more)"
    assert f"\n✗ {bound}: failed in" in table(only)
    assert show(only, now=NOW).startswith(f"{bound}\n")
    assert "to run them again: " in failure(only)
    row = {"id": 9, "workflow": "daily", "status": "ok", "note": "x"}
    row |= {"only_steps": json.dumps(["a\x1b"])}
    assert history_table([row], now=NOW).endswith("only a\\x1b; x")


def test_a_plan_shows_what_is_chosen_and_marked() -> None:
    """With a sign each, and counted."""
    rows = [
        {"step": "a", "what": "marked as done", "why": "rows=5", "expected_s": None},
        {"step": "b", "what": "not chosen", "why": "failed in run 7", "expected_s": None},
        {"step": "c", "what": "would run", "why": "chosen", "expected_s": None},
    ]
    assert plan_table(rows) == (
        "STEP  WHAT              WHY\n"
        "a     ✓ marked as done  rows=5\n"
        "b     – not chosen      failed in run 7\n"
        "c     ▶ would run       chosen\n"
        "3 steps: 1 marked as done, 1 not chosen, 1 would run"
    )
    many = [*rows, *(rows[1] | {"step": f"s{number}"} for number in range(60))]
    assert [line.split()[0] for line in plan_table(many).splitlines()] == ["STEP", "a", "c", "63"]


def test_preview_of_a_resume() -> None:
    """What is reused, redone, new and gone, and why."""
    rows = [
        {"step": "a", "what": "reuse", "why": "ok in run 11"},
        {"step": "b", "what": "redo", "why": "its function changed"},
        {"step": "c", "what": "new", "why": ""},
        {"step": "d", "what": "gone", "why": ""},
    ]
    assert preview(rows) == (
        "STEP  WHAT     WHY\n"
        "a     ↻ reuse  ok in run 11\n"
        "b     ▶ redo   its function changed\n"
        "c     + new\n"
        "d     - gone\n"
        "4 steps: 1 reused, 1 redone, 1 new, 1 gone"
    )
    many = [rows[0] | {"step": f"s{number}"} for number in range(99)] + [rows[1]]
    assert preview(many) == (
        "STEP  WHAT    WHY\n"
        "b     ▶ redo  its function changed\n"
        "100 steps: 99 reused, 1 redone (99 not listed)"
    )
    assert preview(many[:99]) == "99 steps: 99 reused (99 not listed)"


def test_plan_of_a_dry_run() -> None:
    """What would run, what would not, and how long it is expected to take."""
    rows: list[dict[str, Any]] = [
        {"step": "a", "what": "cached", "why": "ok in run 11", "expected_s": None},
        {"step": "b", "what": "would run", "why": "", "expected_s": 3.2},
        {"step": "c", "what": "would run if b wants it", "why": "when=", "expected_s": 0.5},
        {"step": "d", "what": "skipped", "why": "condition false", "expected_s": None},
    ]
    assert plan_table(rows, width=120) == (
        "STEP  WHAT                       EXPECTED  WHY\n"
        "a     ↻ cached                             ok in run 11\n"
        "b     ▶ would run                    3.2s\n"
        "c     ? would run if b wants it      0.5s  when=\n"
        "d     – skipped                            condition false\n"
        "4 steps: 1 cached, 1 would run, 1 would run under a condition, 1 skipped; "
        "3.7s of work expected"
    )
    assert plan_table([]) == "0 steps"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (-1.0, "0ms"),
        (0.0, "0ms"),
        (0.0123, "12ms"),
        (0.0996, "0.1s"),
        (0.4, "0.4s"),
        (59.94, "59.9s"),
        (59.96, "1m 00s"),
        (125, "2m 05s"),
        (3599.6, "1h 00m"),
        (3780, "1h 03m"),
        (86399, "1d 00h"),
        (183600, "2d 03h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """Two figures are enough, and none is ever 60."""
    assert human_duration(seconds) == text


def test_times() -> None:
    """Days near now by name, others by date, in the zone asked for."""
    times = {
        "2026-11-24T08:00:00.123Z": "today 08:00",
        "2026-11-23T23:59:59Z": "yesterday 23:59",
        "2026-11-25T00:00:00Z": "tomorrow 00:00",
        "2025-11-24T08:00:00": "2025-11-24 08:00",
        "never\n": "never\\x0a",
        "": "–",
    }
    assert {iso: human_time(iso, NOW, UTC) for iso in times} == times
    assert human_time(None, NOW, UTC) == "–"


def test_hostile_text_is_shown_not_obeyed() -> None:
    """Controls, separators, bidi and invisible marks appear as what they are; twice is once."""
    text = "a\x1b]0;x\x07\r\n\x85\u2028\u202e\u2066\u200b\ufeff\ud800\U000e0041é日"
    shown = "a\\x1b]0;x\\x07\\x0d\\x0a\\x85\\u2028\\u202e\\u2066\\u200b\\ufeff\\ud800\\U000e0041é日"
    assert printable(text) == shown
    assert printable(shown) == shown
    assert printable_lines("a\tb\r\n\n c\n\n") == ["a   b", "", " c"]
    assert printable_lines(" \n") == []


@given(st.text(), st.sampled_from(["\u202e", "\x9b2J", "\u2028", "\ud800", "\U000e0041", "\n"]))
def test_json_means_the_same(text: str, hostile: str) -> None:
    """Hostile characters are written as JSON's own escapes, and nothing else is changed."""
    value = {text + hostile: [hostile + text, "é日😀"]}
    shown = printable_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert printable(shown) == shown
    assert "é日😀" in shown


def test_width_counts_columns_not_letters() -> None:
    """Wide letters take two, combining ones none; a cut never splits a wide one."""
    assert [columns(text) for text in ("abc", "日本", "e\u0301")] == [3, 4, 1]
    assert [cut("日本語", width) for width in (6, 5, 4, 1, 0)] == [
        "日本語",
        "日本…",
        "日…",
        "…",
        "",
    ]
    assert (pad("日", 4), pad("日", 4, right=True)) == ("日  ", "  日")


@given(
    st.lists(st.lists(st.text(max_size=30), min_size=3, max_size=3), max_size=5), st.integers(1, 90)
)
def test_no_line_is_ever_too_wide(rows: list[list[str]], width: int) -> None:
    """Whatever the cells hold, a row is one line of at most `width` columns."""
    head = (Column("A", least=4), Column("B", right=True, drop=1), Column("C", least=5, drop=2))
    lines = grid(head, rows, width=width)
    assert len(lines) == len(rows) + 1
    for line in lines:
        assert columns(line) <= width
        assert printable(line) == line


def test_a_command_can_be_pasted_whatever_its_words_hold() -> None:
    """What a terminal must not be shown is escaped as the shell reads it back."""
    words = ["it's", "two\nlines", "tab\tand 'quote' \\x41 $HOME", "\u202eabc\x9f\udcff", "é=€", ""]
    line = shell_line(words)
    assert printable(line) == line
    read = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    assert os.fsdecode(read.stdout).split("\0")[:-1] == words
