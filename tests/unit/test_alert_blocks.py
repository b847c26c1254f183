"""An alert in Slack: what it says, within all limits, and nothing of it markup."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slack_sdk.models.blocks import Block

from engine.alerts.blocks import render_slack
from engine.alerts.content import of_notice
from engine.alerts.slack_limits import faults
from engine.alerts.text import slack_escape, visible
from tests.unit.alert_reports import (
    REPORTS,
    a_failure_with_a_past,
    a_report,
    a_step,
    headline,
    hostile_report,
    many,
    plain_text,
    said_in,
    slack_blocks,
    texts_of,
)


@pytest.mark.parametrize("name", REPORTS)
def test_blocks_pass_the_sdks_own_validation(name: str) -> None:
    """slack_sdk builds and validates every block of every report."""
    _, blocks = slack_blocks(REPORTS[name])
    for block in blocks:
        parsed = Block.parse(block)
        assert parsed is not None
        parsed.validate_json()
        assert parsed.to_dict() == block


@pytest.mark.parametrize("name", REPORTS)
def test_blocks_are_within_all_limits(name: str) -> None:
    """Nothing of what Slack would refuse is in any report's message."""
    text, blocks = slack_blocks(REPORTS[name], repeat=True)
    assert faults(text, blocks) == []
    assert text.endswith(" (may be a repeat)")


@pytest.mark.parametrize("name", REPORTS)
def test_no_markup_reaches_slack(name: str) -> None:
    """No raw angle bracket, no torn or bare ampersand, no control or bidi character is sent."""
    text, blocks = slack_blocks(REPORTS[name])
    for said in [text, *(entry["text"] for entry in texts_of(blocks))]:
        assert "<" not in said
        assert ">" not in said
        rest = said.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
        assert "&" not in rest
        assert visible(said) == said
    json.dumps(blocks).encode("utf-8")


def test_hostile_text_is_shown_in_slack() -> None:
    """A mention, a link and a bidi mark are there to be read, as text."""
    _, blocks = slack_blocks(hostile_report())
    failure = blocks[1]["text"]["text"]
    assert "&lt;!channel&gt; &lt;!here&gt; &lt;@U123&gt;" in failure
    assert "&lt;http://evil.example|click&gt; `code`" in failure
    assert "\\u202eevil\\u202c \\u200f red \\x00 \\x07 \\u2028 \\ud800" in failure


def test_repeated_alert_says_so_however_long_it_is() -> None:
    """The mark of a repeated alert survives every cut, in subject and in Slack's header."""
    report = a_report(workflow="w" * 100, steps=[a_step("&" * 100, "failed", error="&" * 900)])
    subject = headline(report, repeat=True)
    assert subject.endswith("… (may be a repeat)")
    assert len(subject) == 150
    text, blocks = slack_blocks(report, repeat=True)
    assert text.endswith("… (may be a repeat)")
    assert blocks[0]["text"]["text"].endswith("… (may be a repeat)")


def test_order_of_a_slack_message() -> None:
    """The failing step comes first, then how it compares, the way on, changes, all else."""
    text, blocks = slack_blocks(a_failure_with_a_past())
    assert text == "daily failed: fetch: ConnectionError: refused"
    assert [said_in(block) for block in blocks] == [
        "✗ daily failed: fetch",
        (
            "*failed first* `fetch` 3 attempts, 41.0s, usually 12.0s (8.0s to 15.0s)\n"
            "```\nConnectionError: refused\n```"
        ),
        "*last lines of its log*\n```\nasking\nrefused\n```",
        (
            "steps: 1 ok, 1 failed, 1 skipped\n"
            "duration: 1m 02s, usually 25.0s (20.0s to 31.0s)\n"
            "last success: 2026-11-22 08:00 UTC, run 16\n"
            "run: 17, continues run 15\n"
            "started: 2026-11-23 08:00 UTC\n"
            "host: box\n"
            "user: ops"
        ),
        "*to go on*\n```\npython -m engine run daily --resume 17\n```",
        "changed since the last success\nstep 'fetch': its code\nrequests 2.31.0 → 2.32.1",
        (
            "*steps*\n```\n"
            "✓ host    ok        9.0s  usually 2.0s\n"
            "✗ fetch   failed   41.0s\n"
            "– report  skipped         dependency failed: fetch\n```"
        ),
        "parameters\ndate = 2026-11-23",
        "files\nreport: var/reports/run-17-daily.html\nlog: var/logs/daily.log",
    ]


def test_what_is_not_known_is_not_told() -> None:
    """A first run has no usual durations; that nothing went well before is said."""
    _, blocks = slack_blocks(a_report(last_success={"run_id": None, "finished": None}))
    assert said_in(blocks[1]).startswith("*failed first* `fetch` 3 attempts, 2.1s\n```")
    assert said_in(blocks[3]).split("\n")[1:3] == ["duration: 4.0s", "last success: none"]
    assert len(blocks) == 8


def test_success_tells_its_duration_once() -> None:
    """It stands in the title; what is usual stands with the other facts."""
    report = a_report(status="ok", steps=[], counts={"ok": 3}, usual=[2.0, 3.0, 3.0], params={})
    _, blocks = slack_blocks(report | {"resume_command": None, "first_failure": None})
    assert [said_in(block).split("\n")[:2] for block in blocks] == [
        ["✓ daily ok in 4.0s"],
        ["steps: 3 ok", "usual duration: 3.0s (2.0s to 3.0s)"],
        ["files", "report: var/reports/run-17-daily.html"],
    ]


def test_too_many_steps_show_the_worst_and_count_the_rest() -> None:
    """Of a thousand steps twelve that failed are shown in their order, and all others counted."""
    _, blocks = slack_blocks(many(1000))
    lines = said_in(blocks[4]).split("\n")
    assert lines[:3] == ["*steps*", "```", "✗ step-9    failed  2.1s"]
    assert lines[-3:] == [
        "✗ step-119  failed  2.1s",
        "… and 988 more: 900 ok, 88 failed",
        "```",
    ]
    assert len(lines) == 16
    _, blocks = slack_blocks(many(1000) | {"status": "ok", "steps": [a_step("a")] * 20})
    assert not any(said_in(block).startswith("*steps*") for block in blocks)


@pytest.mark.parametrize(
    "changes", [{"error": "E: ```", "last_lines": []}, {"name": "a`b", "last_lines": []}]
)
def test_what_would_end_the_code_is_shown_without_it(changes: dict[str, Any]) -> None:
    """A text that holds code marks stands in plain text, as it is."""
    _, blocks = slack_blocks(a_report(steps=[a_step("fetch", "failed") | changes]))
    assert blocks[1]["text"]["type"] == "plain_text"
    name = changes.get("name", "fetch")
    assert said_in(blocks[1]).startswith(f"failed first: {name}, 1 attempt, 2.1s\n")


def test_end_of_a_long_error_is_kept() -> None:
    """Of an error of a megabyte in lines the last one is shown."""
    report = REPORTS["one megabyte of lines"]
    _, blocks = slack_blocks(report)
    assert said_in(blocks[1]).endswith("1 attempt, 2.1s\n```\nValueError: end\n```")
    whole = said_in(blocks[2])
    assert whole.startswith("*lines before it*\n```\n…")
    assert whole.endswith("at x\nat x\n```")
    assert "lines before it\n  (… 997,599 characters before this)\n" in plain_text(report)


def test_notice_is_laid_out_too() -> None:
    """A text without a report becomes a header and a section."""
    text, blocks = render_slack(of_notice("daily: no <store>", "disk\x07 full"))
    assert text == "daily: no &lt;store&gt;"
    assert [block["text"]["text"] for block in blocks] == [text, "disk\\x07 full"]


@pytest.mark.parametrize("limit", range(1, 14))
def test_escaping_never_tears_an_entity(limit: int) -> None:
    """Whatever the limit, an escaped text is within it and holds whole entities only."""
    cut = slack_escape("a&b<c>", limit)
    assert len(cut) <= limit
    whole = "a&amp;b&lt;c&gt;"
    assert cut.endswith("…")
    assert cut[:-1] in {"", "a", "a&amp;", "a&amp;b", "a&amp;b&lt;", "a&amp;b&lt;c"}
    assert slack_escape("a&b<c>", len(whole)) == whole
