"""The run report: built from rows, exactly; written whole and private."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from engine.reports import Surroundings, build, json_text, run_report, write_whole
from engine.text import printable_json
from store.step_runs import StepRun

START = "2026-11-23T08:00:00.000Z"
END = "2026-11-23T08:02:05.500Z"


def run_row(**changed: Any) -> dict[str, Any]:
    """Make a row of `runs`."""
    return {
        "id": 12,
        "workflow": "daily",
        "status": "failed",
        "params": '{"date": "2026-11-23", "n": 3}',
        "started_at": START,
        "finished_at": END,
        "resumed_from": 11,
        "root_run": 10,
        "note": "",
        "user": "ann",
        "host": "box",
    } | changed


def step(name: str, status: str, **changed: Any) -> StepRun:
    """Make a step that took 1.5 s, with no attempt to tell of."""
    told: dict[str, Any] = {"started_at": START, "finished_at": END, "duration_s": 1.5} | changed
    return StepRun(name, 0, status, **told)


def no_lines(_step: str, _number: int) -> list[str]:
    """Be the reader of logs that hold nothing."""
    return []


def test_a_failed_run_reads_exactly_so() -> None:
    """Every key of the contract, with rows of three kinds of steps."""
    untried = {"started_at": None, "finished_at": None}
    report = build(
        run_row(),
        [
            step("fetch", "cached", **untried, duration_s=0.0, source_run=11),
            step("load", "failed", attempts=2, made=2, error="too slow", last=2, failed=2),
            step("send", "skipped", **untried, duration_s=None, note="dependency failed: load"),
        ],
        expected={"load": 2.0},
        logs=lambda step, number: [f"{step} {number} {line}" for line in range(30)],
        around=Surroundings(
            resume_command="kahnban run daily --resume 12",
            log="/h/logs/daily.log",
            report="/h/reports/run-12-daily.json",
            page="/h/reports/run-12-daily.html",
            previous_status="ok",
            log_path=lambda step, number: f"/h/logs/daily/12/{step}.{number}.log",
        ),
    )
    assert report == {
        "workflow": "daily",
        "run_id": 12,
        "status": "failed",
        "started": START,
        "finished": END,
        "duration_s": 125.5,
        "slot": None,
        "zone": None,
        "params": {"date": "2026-11-23", "n": "3"},
        "resumed_from": 11,
        "root_run": 10,
        "note": "",
        "only_steps": [],
        "dry_run": False,
        "user": "ann",
        "host": "box",
        "threads_left": 0,
        "counts": {"failed": 1, "skipped": 1, "cached": 1},
        "steps": [
            {
                "name": "fetch",
                "status": "cached",
                "duration_s": 0.0,
                "attempts": 0,
                "note": "",
                "started": None,
                "finished": None,
                "source_run": 11,
                "marked_by": None,
                "error": "",
                "expected_s": None,
                "log": None,
                "last_lines": [],
            },
            {
                "name": "load",
                "status": "failed",
                "duration_s": 1.5,
                "attempts": 2,
                "note": "",
                "started": START,
                "finished": END,
                "source_run": None,
                "marked_by": None,
                "error": "too slow",
                "expected_s": 2.0,
                "log": "/h/logs/daily/12/load.2.log",
                "last_lines": [f"load 2 {line}" for line in range(10, 30)],
            },
            {
                "name": "send",
                "status": "skipped",
                "duration_s": None,
                "attempts": 0,
                "note": "dependency failed: load",
                "started": None,
                "finished": None,
                "source_run": None,
                "marked_by": None,
                "error": "",
                "expected_s": None,
                "log": None,
                "last_lines": [],
            },
        ],
        "first_failure": "load",
        "resume_command": "kahnban run daily --resume 12",
        "log": "/h/logs/daily.log",
        "report": "/h/reports/run-12-daily.json",
        "page": "/h/reports/run-12-daily.html",
        "previous_status": "ok",
    }
    assert json.loads(json.dumps(report)) == report


def test_a_running_run_has_no_end() -> None:
    """Times that are not known yet are None, not zero."""
    report = build(
        run_row(status="running", finished_at=None, params=None), [], expected={}, logs=no_lines
    )
    assert (report["finished"], report["duration_s"], report["params"]) == (None, None, {})
    assert (report["counts"], report["steps"], report["first_failure"]) == ({}, [], None)


def test_a_run_that_ended_well_has_nothing_to_resume() -> None:
    """The resume command is for runs that stopped short."""
    around = Surroundings(resume_command="kahnban run daily")
    for status, command in (("ok", None), ("skipped", None), ("interrupted", "kahnban run daily")):
        report = build(run_row(status=status), [], expected={}, logs=no_lines, around=around)
        assert report["resume_command"] == command


def test_what_ended_well_has_no_log_read() -> None:
    """Of a step that failed before it was ok, no last lines are told."""

    def unread(step: str, number: int) -> list[str]:
        raise AssertionError((step, number))

    tried = step("a", "ok", attempts=2, made=2, last=2, failed=1)
    report = build(run_row(status="ok"), [tried], expected={}, logs=unread)
    (row,) = report["steps"]
    assert (row["attempts"], row["error"], row["last_lines"]) == (2, "", [])


def test_the_first_failure_is_the_earliest() -> None:
    """By end, not by declaration; unknown ends come last."""
    steps = [
        step("a", "failed", finished_at=None),
        step("b", "failed", finished_at=END),
        step("c", "failed", finished_at=START),
    ]
    report = build(run_row(), steps, expected={}, logs=no_lines)
    assert report["first_failure"] == "c"


def test_of_many_failures_only_some_logs_are_read() -> None:
    """A thousand failed steps do not make a thousand reads; the first failure is among the read."""
    names = [f"s{number}" for number in range(1000)]
    steps = [step(name, "failed", failed=1) for name in names]
    steps[-1] = steps[-1]._replace(finished_at=START)
    read: list[str] = []

    def logs(step: str, _number: int) -> list[str]:
        read.append(step)
        return ["x"]

    report = build(run_row(), steps, expected={}, logs=logs)
    assert read == [*names[:19], "s999"]
    assert report["counts"] == {"failed": 1000}


def test_the_file_is_whole_private_and_readable(tmp_path: Path) -> None:
    """0600 in a new 0700 folder; any text survives, even a lone surrogate."""
    path = tmp_path / "reports" / "run-1-ü.json"
    report = {"name": "日本 \ud83d \x1b[31m \u202e", "value": 1.5}
    write_whole(json_text(report), path)
    assert json.loads(path.read_text(encoding="utf-8")) == report
    assert "日本" in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    write_whole(json_text({"again": True}), path)
    assert [each.name for each in path.parent.iterdir()] == ["run-1-ü.json"]


def test_each_row_has_a_line_whatever_it_says(tmp_path: Path) -> None:
    """Rows are encoded in blocks; a text that looks like two rows stays one."""
    path = tmp_path / "report.json"
    rows = [{"name": f's{n} }}, {{"name": "x"', "n": [n], "note": '}, {"name'} for n in range(450)]
    write_whole(json_text({"steps": rows, "none": [], "last": "l"}), path)
    lines = path.read_text().splitlines()
    assert json.loads("\n".join(lines)) == {"steps": rows, "none": [], "last": "l"}
    assert lines[:2] == ["{", '  "steps": [']
    assert [json.loads(line.strip().removesuffix(",")) for line in lines[2:452]] == rows
    assert lines[452:] == ["  ],", '  "none": [],', '  "last": "l"', "}"]


def test_steps_are_written_as_the_encoder_writes_them(tmp_path: Path) -> None:
    """Whatever their texts hold and whichever of them is not there: the same bytes."""
    text = ' "},\n\\u007b{"name": \x00\x1b\x7f\u2028\ud83d日本\U0001f600\'%s{0}'
    times = ((None, None, None), (START, None, None), (START, END, 1e-06), (None, END, 1e16))
    steps = [
        StepRun(
            *(f"{at}{text}", at, "failed", begun, ended, took_s, note, source, 0, None, by),
            *(made, error, made or None, made or None),
        )
        for at, (begun, ended, took_s) in enumerate(times)
        for note, source, by, error in (("", None, None, ""), (text, 3, text, text))
        for made in (0, 1, 12)
    ]
    report = build(
        run_row(),
        steps,
        expected={f"0{text}": 0.1, f"1{text}": 30.0},
        logs=lambda _step, number: [text] * number,
        around=Surroundings(log_path=lambda _step, number: text if number > 1 else None),
    )
    assert tuple(report["steps"][0]) == run_report._ENTRY  # else it is the encoder
    path = tmp_path / "report.json"
    write_whole(json_text(report), path)
    lines = path.read_text(encoding="utf-8").splitlines()
    begin = lines.index('  "steps": [') + 1
    for line, entry in zip(lines[begin:], report["steps"], strict=False):
        expected = printable_json(json.dumps(entry, ensure_ascii=False))
        assert line.strip().removesuffix(",") == expected


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Neither half a report nor a temporary file is left behind."""
    path = tmp_path / "report.json"
    path.mkdir()
    with pytest.raises(OSError, match="report"):
        write_whole(json_text({"a": 1}), path)
    with pytest.raises(ValueError, match="JSON"):
        write_whole(json_text({"a": float("nan")}), path)
    assert list(tmp_path.iterdir()) == [path]
