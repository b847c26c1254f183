"""Alerts of every kind keep to Slack's limits and to an email's, whatever users' texts hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from engine.alert import AlertKind, AlertRow
from engine.alerts import kinds, letter
from engine.alerts.blocks import render_slack
from engine.alerts.content import REPEATED
from engine.alerts.slack_limits import faults
from tests.slack_rules import refusal
from tests.unit.alert_reports import HOSTILE, a_report, a_step, many

TEXTS = st.one_of(
    st.text(max_size=80),
    st.sampled_from(["", " ", "\n", "a", "😀" * 3_000, "&" * 5_000, "`" * 400, HOSTILE * 20]),
    st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=9), st.just(3_000)),
)
COUNTS = st.integers(0, 10**9)


@st.composite
def an_incident(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what is recorded of an incident."""
    return {
        "incident": draw(COUNTS),
        "workflow": draw(TEXTS),
        "step": draw(TEXTS),
        "error": draw(TEXTS),
        "opened": draw(st.sampled_from(["2026-11-26T08:00:00Z", "never"])),
        "opened_run": draw(COUNTS),
        "failures": draw(COUNTS),
        "lasted_s": draw(st.floats(0, 1e9)),
        "since": draw(COUNTS),
        "gone": draw(st.booleans()),
    }


@st.composite
def a_row(draw: st.DrawFn) -> AlertRow:
    """Draw an alert of any kind, as the outbox gives it."""
    kind = draw(st.sampled_from(AlertKind))
    shown = draw(st.lists(an_incident(), min_size=1, max_size=4)) * draw(st.sampled_from([1, 15]))
    words = st.sampled_from(["opened", "reminder", "closed"])
    facts = draw(an_incident()) | {
        "counts": draw(st.dictionaries(words, st.integers(1, 500), min_size=1)),
        "shown": [each | {"kind": draw(words)} for each in shown],
        "report": draw(st.booleans()),
        "headline": f"late: {draw(TEXTS)}",
        "body": draw(TEXTS),
    }
    step = a_step(draw(TEXTS), "failed", error=draw(TEXTS), last_lines=[draw(TEXTS)] * 20)
    steps = [step] * draw(st.sampled_from([0, 1, 500]))
    names = ("workflow", "note", "user", "host", "resume_command", "log", "report")
    report = a_report(steps=steps, params={draw(TEXTS): draw(TEXTS)})
    report |= {name: draw(TEXTS) for name in names}
    report |= {"changes": [draw(TEXTS)] * 30, "facts": facts}
    return AlertRow(1, "slack", report, 0, draw(st.booleans()), kind, (1,), {"ts": "1.0"})


@settings(max_examples=60, deadline=None)
@given(a_row())
def test_every_kind_keeps_to_all_limits(row: AlertRow) -> None:
    """By our rules, those of Slack's documents, and slack_sdk's; the mark is never cut off."""
    content = kinds.of_alert(row)
    for each in (content, kinds.brief(row, content)):
        text, blocks = render_slack(each)
        assert faults(text, blocks) == []
        assert refusal({"text": text, "blocks": blocks}) == ""
        for block in blocks:
            parsed = Block.parse(block)
            assert parsed is not None
            parsed.validate_json()
        header = blocks[0]["text"]["text"]
        for line in (text, header, each.headline, each.title):
            assert line.endswith(REPEATED) is row.repeat
            assert len(line) <= 150
        assert "\n" not in each.headline
        assert letter.render_plain(each).startswith(each.title)
        assert "<script" not in letter.render_html(each)


def test_a_notice_that_had_to_wait_says_how_long() -> None:
    """What is late or missing as it is noticed may not be so any more as it is read."""
    facts = {"headline": "daily is late: its deadline was 09:30 CET", "body": "Run 17 is still on."}
    row = AlertRow(1, "email", {"facts": facts}, 0, kind=AlertKind.LATE, age_s=299.0)
    assert letter.render_plain(kinds.of_alert(row)).endswith("\n\nRun 17 is still on.\n")
    row = replace(row, age_s=36_000.0, payload={"facts": facts, "host": "box"})
    told = letter.render_plain(kinds.of_alert(row))
    assert told.endswith("\n\nhost:    box\nnoticed: 10h 00m ago\n")


def test_many_that_go_on_read_as_such() -> None:
    """A run of which all failures are known is not told as one that fails for the first time."""
    facts: dict[str, Any] = {"report": True, "counts": {"reminder": 11}}
    row = AlertRow(1, "slack", many(110) | {"facts": facts}, 0, kind=AlertKind.DIGEST)
    told = kinds.of_alert(row)
    assert told.headline == "daily still fails: step-9: ValueError: bad (+10 more failed)"
    facts["counts"] = {"opened": 1, "reminder": 10}
    assert kinds.of_alert(row).title == "daily failed: step-9 (+10 more failed)"


def test_a_long_list_says_how_long_it_is() -> None:
    """Cut by whole lines, however long each is."""
    each = {"workflow": "w" * 90, "step": "s" * 90, "error": "&" * 300, "kind": "opened"}
    facts = {"workflow": "", "counts": {"opened": 300, "closed": 200}, "shown": [each] * 60}
    row = AlertRow(1, "slack", {"facts": facts}, 0, kind=AlertKind.DIGEST)
    text, (_, block) = render_slack(kinds.of_alert(row))
    assert text == "300 incidents opened, 200 recovered"
    lines = block["text"]["text"].splitlines()
    assert len(lines) == 5
    assert lines[-2:] == ["… and 499 more: see `incidents`", "```"]


def test_so_does_one_of_what_is_late_or_missing() -> None:
    """Slack's limit on a text cuts whole lines here, too, and not the one that counts the rest."""
    each = {"kind": "missing", "headline": "m" + "&" * 300}
    facts = {"workflow": "", "counts": {"missing": 60}, "shown": [each] * 60}
    row = AlertRow(1, "slack", {"facts": facts}, 0, kind=AlertKind.DIGEST)
    text, (_, block) = render_slack(kinds.of_alert(row))
    assert text == "60 alerts: 60 missing"
    lines = block["text"]["text"].splitlines()
    assert len(lines) == 6
    assert lines[-2:] == ["… and 58 more: see `watch`", "```"]
