"""What an alert says, and that no report can make it anything but text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from engine.alerts.channels import should_alert
from engine.alerts.text import duration
from tests.unit.alert_reports import (
    REPORTS,
    a_failure_with_a_past,
    a_report,
    a_step,
    headline,
    hostile_report,
    html,
    plain_text,
)


def test_headline_names_workflow_outcome_step_and_reason() -> None:
    """A failure's headline is `WORKFLOW failed: STEP: LAST ERROR LINE`."""
    assert headline(a_report()) == "daily failed: fetch: ConnectionError: refused"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "ok", "duration_s": 2.1}, "daily ok in 2.1s"),
        ({"status": "ok", "previous_status": "failed"}, "daily ok in 4.0s, was failed before"),
        ({"status": "interrupted", "note": "SIGTERM"}, "daily interrupted: SIGTERM"),
        (
            {"status": "interrupted", "counts": {"interrupted": 3}}
            | {"steps": [a_step("a", "interrupted")] * 3},
            "daily interrupted at a and 2 more",
        ),
        ({"status": "cancelled", "note": "by ops"}, "daily cancelled: by ops"),
        (
            {"status": "ok", "duration_s": 2.1, "only_steps": ["fetch", "load"]},
            "daily (only fetch, load) ok in 2.1s",
        ),
        ({"steps": [], "first_failure": None, "note": "no module\n  ^"}, "daily failed: no module"),
        (
            {"steps": [a_step("a", "failed"), a_step("b", "failed", error="E: 1\n")]}
            | {"first_failure": "b", "counts": {"failed": 2}},
            "daily failed: b: E: 1 (+1 more failed)",
        ),
    ],
)
def test_headlines(changes: dict[str, Any], expected: str) -> None:
    """Each outcome has its own headline."""
    assert headline(a_report(**changes)) == expected


def test_the_command_of_chosen_steps_goes_on_from_nothing() -> None:
    """It runs them again."""
    command = "kahnban run daily --only fetch"
    told = plain_text(a_report(only_steps=["fetch"], resume_command=command))
    assert "to run them again" in told
    assert command in told
    assert "to go on" not in told


def test_a_slot_is_told_before_the_start() -> None:
    """A run that made up for a missed slot began long after it."""
    told = plain_text(a_report(slot="2026-11-22T08:00:00.000Z")).splitlines()
    at = told.index("slot:     2026-11-22 08:00 UTC")
    assert told[at + 1] == "started:  2026-11-23 08:00 UTC"


def test_headline_is_one_line() -> None:
    """No report can put a line end into a subject."""
    report = a_report(workflow="a\r\nBcc: x@example.com\x0b\u2028y")
    line = headline(report)
    assert line.splitlines() == [line]
    assert line.startswith("a Bcc: x@example.com\\x0b\\u2028y failed: fetch")


def test_steps_beyond_those_of_the_report_are_counted() -> None:
    """A report may hold a part of the steps; its counts are of all."""
    report = a_report(counts={"ok": 4_000, "failed": 500, "skipped": 1})
    assert headline(report) == "daily failed: fetch: ConnectionError: refused (+499 more failed)"
    assert "  … and 4,499 more: 4,000 ok, 499 failed\n" in plain_text(report)


def test_plain_text_of_a_failure() -> None:
    """The email's plain text is complete and aligned, and tells nothing twice."""
    assert plain_text(a_failure_with_a_past()) == (
        "daily failed: fetch\n\n"
        "failed first: fetch, 3 attempts, 41.0s, usually 12.0s (8.0s to 15.0s)\n"
        "  ConnectionError: refused\n\n"
        "last lines of its log\n  asking\n  refused\n\n"
        "steps:        1 ok, 1 failed, 1 skipped\n"
        "duration:     1m 02s, usually 25.0s (20.0s to 31.0s)\n"
        "last success: 2026-11-22 08:00 UTC, run 16\n"
        "run:          17, continues run 15\n"
        "started:      2026-11-23 08:00 UTC\n"
        "host:         box\n"
        "user:         ops\n\n"
        "to go on\n  python -m engine run daily --resume 17\n\n"
        "changed since the last success\n"
        "  step 'fetch': its code\n  requests 2.31.0 → 2.32.1\n\n"
        "steps\n"
        "  ✓ host    ok        9.0s  usually 2.0s\n"
        "  ✗ fetch   failed   41.0s\n"
        "  – report  skipped         dependency failed: fetch\n\n"
        "parameters\n  date = 2026-11-23\n\n"
        "files\n  report: var/reports/run-17-daily.html\n  log: var/logs/daily.log\n"
    )


def test_what_was_running_is_told_of_a_stopped_run() -> None:
    """With the end of its log and what it usually takes: it may be what was in the way."""
    step = a_step("load", "interrupted", duration_s=90.0, note="its thread is still running")
    report = a_report(
        status="interrupted",
        note="stopped by SIGTERM",
        steps=[a_step("fetch"), step | {"last_lines": ["waiting for a lock"]}],
        counts={"ok": 1, "interrupted": 1},
        first_failure=None,
        first_usual=[1.0, 2.0, 3.0],
    )
    told = plain_text(report)
    assert told.startswith(
        "daily interrupted at load\n\n"
        "was running: load, 1 attempt, 1m 30s, usually 2.0s (1.0s to 3.0s)\n"
        "  waiting for a lock\n\n"
        "note\n  stopped by SIGTERM\n\n"
    )
    assert "  ■ load   interrupted  1m 30s  its thread is still running\n" in told
    silent = plain_text(report | {"steps": [step]})
    assert "usually 2.0s (1.0s to 3.0s)\n  it has logged nothing\n" in silent


def test_run_that_began_no_step_took_no_time() -> None:
    """Of a definition that cannot be loaded the first line is the reason, and all is shown."""
    note = "daily.py:1: ModuleNotFoundError: no 'x'\n    import x\n    ^"
    report = a_report(note=note, steps=[], counts={}, first_failure=None)
    assert headline(report) == "daily failed: daily.py:1: ModuleNotFoundError: no 'x'"
    told = plain_text(report)
    assert "note\n  daily.py:1: ModuleNotFoundError: no 'x'\n      import x\n      ^\n" in told
    assert "duration" not in told


def test_error_is_told_once() -> None:
    """Not again as the end of its log, nor as the step's note, nor in a list of this step alone."""
    error = "Traceback:\n  at x\nValueError: no"
    log = ["08:00:01 out     asking", "08:00:02 err     ValueError: no\n"]
    step = a_step("fetch", "failed", error=error, last_lines=log, note="ValueError: no")
    told = plain_text(a_report(steps=[step], counts={"failed": 1}))
    assert told.count("ValueError: no") == 1
    assert "last lines of its log\n  08:00:01 out     asking\n\nsteps: " in told
    told = plain_text(a_report(steps=[step | {"last_lines": log[1:]}], counts={"failed": 1}))
    assert "lines before it\n  Traceback:\n    at x\n\nsteps: " in told


OUR_TAGS = {"html", "head", "meta", "title", "body", "h1", "div", "span", "b"}
OUR_TAGS |= {"table", "tr", "th", "td"}


class _Tags(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and the names of its attributes."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.said += data


@pytest.mark.parametrize("name", REPORTS)
def test_html_holds_our_tags_only(name: str) -> None:
    """No report adds a tag or an attribute; there is no script, link, image or style sheet."""
    page = html(REPORTS[name])
    parser = _Tags()
    parser.feed(page)
    assert parser.tags <= OUR_TAGS
    assert parser.attributes <= {"lang", "charset", "name", "content", "style"}
    page.encode("utf-8")


def test_html_shows_hostile_text() -> None:
    """What looks like a tag is there to be read."""
    parser = _Tags()
    parser.feed(html(hostile_report()))
    assert '&lt; </div><script>alert(1)</script> "quoted" \\u202eevil' in parser.said


def test_html_leaves_the_background_to_the_reader() -> None:
    """Only the badge, which brings its own text colour, has a background."""
    page = html(a_report())
    assert '<meta name="color-scheme" content="light dark">' in page
    assert page.count("background:") == page.count("color:#fff")


@pytest.mark.parametrize(
    ("alert_on", "status", "previous", "expected"),
    [
        ("always", "ok", "ok", True),
        ("always", "skipped", None, True),
        ("failure", "ok", None, False),
        ("failure", "ok", "ok", False),
        ("failure", "ok", "cancelled", False),
        ("failure", "ok", "failed", False),
        ("failure", "ok", "interrupted", True),
        ("failure", "failed", "failed", False),
        ("failure", "interrupted", None, True),
        ("failure", "cancelled", "ok", False),
        ("failure", "skipped", "failed", False),
        ("change", "ok", None, False),
        ("change", "failed", None, False),
        ("change", "failed", "failed", False),
        ("change", "ok", "failed", False),
        ("change", "interrupted", "failed", True),
        ("change", "skipped", "ok", False),
        ("mistyped", "ok", "ok", True),
    ],
)
def test_when_a_run_alerts(
    alert_on: str, status: str, previous: str | None, *, expected: bool
) -> None:
    """always, failure and change each send exactly when they say; incidents tell of failures."""
    assert should_alert(alert_on, status, previous) is expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (2.06, "2.1s"),
        (185, "3m 05s"),
        (None, ""),
        (True, ""),
    ],
)
def test_durations(seconds: object, expected: str) -> None:
    """A duration reads as everywhere else; what is no number is left out."""
    assert duration(seconds) == expected
