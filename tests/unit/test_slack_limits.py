"""Slack's limits: each is known to the character, and no message is too broken to be sent."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alerts.blocks import render_slack
from engine.alerts.of_runs import of_report
from engine.alerts.slack_limits import TOTAL_MAX, Block, faults, fitted, total
from tests.unit.alert_reports import HOSTILE, a_report, a_step, said_in


def plain(text: str) -> Block:
    """Give a text without markup."""
    return {"type": "plain_text", "text": text, "emoji": False}


def coded(text: str) -> Block:
    """Give a text with Slack's markup."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def header(text: str) -> Block:
    """Give a header."""
    return {"type": "header", "text": plain(text)}


def section(text: str) -> Block:
    """Give a section."""
    return {"type": "section", "text": plain(text)}


def fields(*texts: str) -> Block:
    """Give a section of fields."""
    return {"type": "section", "fields": [plain(text) for text in texts]}


def context(*texts: str) -> Block:
    """Give a context."""
    return {"type": "context", "elements": [plain(text) for text in texts]}


DIVIDER = {"type": "divider"}
FILLED = TOTAL_MAX - total([section("x" * 2_900)] * 3 + [section("")])

AT_THE_LIMIT: dict[str, tuple[str, list[Block]]] = {
    "fallback": ("x" * 4_000, [DIVIDER]),
    "blocks": ("x", [DIVIDER] * 50),
    "header": ("x", [header("x" * 150)]),
    "header in UTF-16": ("x", [header("😀" * 75)]),
    "section": ("x", [section("x" * 3_000)]),
    "section's code": (
        "x",
        [{"type": "section", "text": coded(f"*t* `n`\n```\n{'x' * 2_984}\n```")}],
    ),
    "fields": ("x", [fields(*"x" * 10)]),
    "field": ("x", [fields("x", "x" * 2_000)]),
    "elements": ("x", [context(*"x" * 10)]),
    "element": ("x", [context("x" * 3_000)]),
    "all": ("x", [*[section("x" * 2_900)] * 3, section("x" * FILLED)]),
}
ONE_PAST: dict[str, tuple[str, list[Block], str]] = {
    "fallback": ("x" * 4_001, [DIVIDER], "the text has 4001 characters, more than 4000"),
    "no fallback": (" ", [DIVIDER], "the text is empty"),
    "markup in the fallback": ("<!here>", [DIVIDER], "the text is not escaped"),
    "no block": ("x", [], "there is no block"),
    "blocks": ("x", [DIVIDER] * 51, "51 blocks, more than 50"),
    "header": ("x", [header("x" * 151)], "the header has 151 characters, more than 150"),
    "header in UTF-16": ("x", [header("😀" * 76)], "the header has 152 characters, more than 150"),
    "no header": ("x", [header("")], "the header is empty"),
    "header's markup": (
        "x",
        [{"type": "header", "text": coded("x")}],
        "the header is not plain text",
    ),
    "section": ("x", [section("x" * 3_001)], "the text has 3001 characters, more than 3000"),
    "no section": ("x", [section("\n")], "the text is empty"),
    "no field": ("x", [fields()], "0 fields, not 1 to 10"),
    "fields": ("x", [fields(*"x" * 11)], "11 fields, not 1 to 10"),
    "field": ("x", [fields("x", "x" * 2_001)], "field 1 has 2001 characters, more than 2000"),
    "no element": ("x", [context()], "0 elements, not 1 to 10"),
    "elements": ("x", [context(*"x" * 11)], "11 elements, not 1 to 10"),
    "element": ("x", [context("x" * 3_001)], "element 0 has 3001 characters, more than 3000"),
    "all": (
        "x",
        [*[section("x" * 2_900)] * 3, section("x" * (FILLED + 1))],
        "10001 characters in all, more than 10000",
    ),
    "a tag": ("x", [section("<!channel>")], "the text is not escaped"),
    "a torn escape": ("x", [section("a &am")], "the text is not escaped"),
    "a hidden character": ("x", [section("a\u202eb")], "the text holds hidden characters"),
    "bold outside of code": (
        "x",
        [{"type": "section", "text": coded("a _b_ `c`")}],
        "the text holds markup outside of code",
    ),
    "an open end": (
        "x",
        [{"type": "section", "text": coded("a\n```\nb")}],
        "the text holds markup outside of code",
    ),
    "links found by Slack": (
        "x",
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x", "verbatim": False}}],
        "the text is no text of ours",
    ),
    "emoji found by Slack": (
        "x",
        [{"type": "section", "text": {"type": "plain_text", "text": "x", "emoji": True}}],
        "the text is no text of ours",
    ),
    "another block": (
        "x",
        [{"type": "image", "image_url": "http://x", "alt_text": "x"}],
        "it is of no form that alerts are made of",
    ),
    "one key more": (
        "x",
        [section("x") | {"block_id": "x"}],
        "it is of no form that alerts are made of",
    ),
}


@pytest.mark.parametrize("limit", AT_THE_LIMIT)
def test_message_at_a_limit_is_sent_as_it_is(limit: str) -> None:
    """What is just allowed is found to be, and nothing of it is changed."""
    text, blocks = AT_THE_LIMIT[limit]
    assert faults(text, blocks) == []
    assert fitted(text, blocks) == (text, blocks)


@pytest.mark.parametrize("limit", ONE_PAST)
def test_message_past_a_limit_is_found_and_cut_down(limit: str) -> None:
    """What is one past a limit is named; what is sent instead breaks none, and is not nothing."""
    text, blocks, expected = ONE_PAST[limit]
    (found,) = faults(text, blocks)
    assert found.removeprefix("block 0: ") == expected
    sent_text, sent = fitted(text, blocks)
    assert faults(sent_text, sent or [DIVIDER]) == []
    assert sent_text
    assert len(sent) == (0 if not blocks else min(len(blocks), 50))


def test_what_comes_first_is_kept() -> None:
    """Of too many parts the last are left out, and their number is told."""
    _, sent = fitted("x", [header("a"), *[section(f"part {n}") for n in range(60)]])
    assert len(sent) == 50
    assert [said_in(block) for block in sent[:2]] == ["a", "part 0"]
    assert said_in(sent[-1]) == "12 parts are left out here: see the report"


def test_long_texts_are_halved_before_a_part_is_left_out() -> None:
    """Code stays code, no escape is torn, and all parts are there."""
    code = "*failed first* `a`\n```\n" + "&amp;" * 550 + "\n```"
    _, sent = fitted("x", [header("a"), *[{"type": "section", "text": coded(code)}] * 4])
    assert [block["type"] for block in sent] == ["header", *["section"] * 4]
    for block in sent[1:]:
        assert said_in(block).startswith("*failed first* `a`\n```\n&amp;&amp;")
        assert said_in(block).endswith(("&amp;…\n```", "&amp;\n```"))
    assert said_in(sent[1]) != code


def test_unescaped_text_is_escaped() -> None:
    """A text that would mention everybody becomes plain text that shows it."""
    text, sent = fitted("<!here> & &amp;", [{"type": "section", "text": coded("*<!here>*")}])
    assert text == "&lt;!here&gt; &amp; &amp;"
    assert sent == [section("*&lt;!here&gt;*")]


TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from([HOSTILE, "`", "```", "<!channel>", "&", "😀", '"', "\\", "\n", "a\x1b"]),
)
LONG = st.builds(lambda text, times: text[:100] * times, TEXTS, st.sampled_from([1, 3, 90]))
STATUSES = st.sampled_from(["ok", "failed", "skipped", "interrupted", "cancelled", "cached"])
STEPS = st.builds(
    lambda name, status, error, note, lines: a_step(
        name, status, error=error, note=note, last_lines=lines
    ),
    *(TEXTS, STATUSES, LONG, LONG, st.lists(LONG, max_size=3)),
)
WORDS = ("workflow", "note", "user", "host", "resume_command", "log", "page", "started")
DRAWN = st.builds(
    lambda status, steps, times, texts, params, changes: a_report(
        status=status,
        steps=steps * times,
        counts={},
        params=params,
        changes=changes,
        first_failure=None,
        **texts,
    ),
    *(STATUSES, st.lists(STEPS, max_size=4), st.sampled_from([1, 15])),
    st.fixed_dictionaries(dict.fromkeys(WORDS, LONG)),
    st.dictionaries(TEXTS, LONG, max_size=2),
    st.lists(LONG, max_size=3),
)


@settings(max_examples=20, deadline=None)
@given(report=DRAWN)
def test_any_report_gives_a_message_within_all_limits(report: dict[str, Any]) -> None:
    """Whatever names, errors, notes and values are, Slack takes it, and nothing in it is markup."""
    text, blocks = render_slack(of_report(report, repeat=True))
    assert faults(text, blocks) == []
    assert blocks[0]["type"] == "header"
    assert text.endswith(" (may be a repeat)")
    assert not set(text) & set(string.whitespace) - {" "}


OBJECTS = st.one_of(
    st.builds(plain, LONG),
    st.builds(coded, LONG),
    st.builds(lambda text: coded(f"*t* `n`\n```\n{text}\n```"), LONG),
    st.sampled_from([None, 3, {}, {"type": "plain_text"}]),
)
BLOCKS = st.one_of(
    st.builds(lambda text: {"type": "header", "text": text}, OBJECTS),
    st.builds(lambda text: {"type": "section", "text": text}, OBJECTS),
    st.builds(lambda texts: {"type": "section", "fields": texts}, st.lists(OBJECTS, max_size=12)),
    st.builds(lambda texts: {"type": "context", "elements": texts}, st.lists(OBJECTS, max_size=12)),
    st.sampled_from([DIVIDER, {}, {"type": "image"}]),
)


@settings(max_examples=12, deadline=None)
@given(text=LONG, blocks=st.lists(BLOCKS, max_size=5), times=st.sampled_from([1, 15]))
def test_no_message_is_too_broken(text: str, blocks: list[Block], times: int) -> None:
    """Whatever comes in, what goes out keeps all limits."""
    sent_text, sent = fitted(text, blocks * times)
    assert faults(sent_text, sent or [DIVIDER]) == []


def test_a_thousand_failures_and_errors_of_100_kb_fit() -> None:
    """The first failure is told in full lines, the others are counted."""
    error = "Traceback:\n" + '  File "x.py", line 1 in <module>\n' * 3_000 + "ValueError: <&> \\"
    steps = [a_step(f"step-{n}", "failed", error=error) for n in range(1_000)]
    report = a_report(steps=steps, counts={"failed": 1_000}, first_failure="step-0")
    text, blocks = render_slack(of_report(report))
    assert faults(text, blocks) == []
    assert text == "daily failed: step-0: ValueError: &lt;&amp;&gt; \\ (+999 more failed)"
    assert said_in(blocks[2]).endswith('  File "x.py", line 1 in &lt;module&gt;\n```')
    assert "\n… and 988 more: 988 failed\n" in said_in(blocks[5])
