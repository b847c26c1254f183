"""What an alert says, and that no report can make it anything but text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from slack_sdk.models.blocks import Block

from engine.alerts import message
from engine.alerts.channels import should_alert
from engine.alerts.content import of_notice, of_report
from engine.alerts.text import duration, slack_escape, visible

HOSTILE = (
    "<!channel> <!here> <@U123> <http://evil.example|click> `code` ```fence``` *b* _i_ ~s~ "
    '& < > &lt; </div><script>alert(1)</script> "quoted" '
    "\u202eevil\u202c \u200f \x1b[31mred\x1b[0m \x00 \x07 \u2028 \ud800 :boom: "
    "]]> --> \x9b2J \x85 %s {0} $HOME"
)


def headline(report: dict[str, Any], *, repeat: bool = False) -> str:
    """Give an email's subject."""
    return of_report(report, repeat=repeat).headline


def slack_blocks(
    report: dict[str, Any], *, repeat: bool = False
) -> tuple[str, list[dict[str, Any]]]:
    """Give a notification's text and its blocks."""
    return message.render_slack(of_report(report, repeat=repeat))


def plain_text(report: dict[str, Any]) -> str:
    """Give an email's plain text."""
    return message.render_plain(of_report(report))


def html(report: dict[str, Any]) -> str:
    """Give an email's HTML."""
    return message.render_html(of_report(report))


def a_step(name: str, status: str = "ok", **more: Any) -> dict[str, Any]:
    """Give one step of a report."""
    return {
        "name": name,
        "status": status,
        "duration_s": 2.1,
        "attempts": 1,
        "note": "",
        "started": "2026-11-23T08:00:00.123Z",
        "finished": "2026-11-23T08:00:02.223Z",
        "source_run": None,
        "error": "",
        "expected_s": None,
        "log": None,
        "last_lines": [],
        **more,
    }


def a_report(**more: Any) -> dict[str, Any]:
    """Give the report of a run that failed at `fetch`."""
    error = "Traceback (most recent call last):\n  …\nConnectionError: refused\n"
    report: dict[str, Any] = {
        "workflow": "daily",
        "run_id": 17,
        "status": "failed",
        "started": "2026-11-23T08:00:00.123Z",
        "finished": "2026-11-23T08:00:04.123Z",
        "duration_s": 4.0,
        "params": {"date": "2026-11-23"},
        "resumed_from": None,
        "root_run": 17,
        "note": "",
        "dry_run": False,
        "user": "ops",
        "host": "box",
        "threads_left": 0,
        "counts": {"ok": 1, "failed": 1, "skipped": 1},
        "steps": [
            a_step("host"),
            a_step("fetch", "failed", attempts=3, error=error, last_lines=["asking", "refused"]),
            a_step("report", "skipped", duration_s=0.0, note="dependency failed: fetch"),
        ],
        "first_failure": "fetch",
        "resume_command": "python -m engine run daily --resume 17",
        "log": "var/logs/daily.log",
        "report": "var/reports/run-17-daily.html",
        "previous_status": "ok",
    }
    return report | more


def hostile_report() -> dict[str, Any]:
    """Give a report whose every text is hostile."""
    step = a_step(HOSTILE, "failed", error=HOSTILE, note=HOSTILE, last_lines=[HOSTILE] * 20)
    texts = ("workflow", "note", "user", "host", "resume_command", "log", "report", "first_failure")
    return a_report(steps=[step], params={HOSTILE: HOSTILE}, **dict.fromkeys(texts, HOSTILE))


def many(count: int) -> dict[str, Any]:
    """Give a report of `count` steps, of which every tenth failed."""
    steps = [
        a_step(f"step-{n}", "failed" if n % 10 == 9 else "ok", error="ValueError: bad")
        for n in range(count)
    ]
    return a_report(steps=steps, first_failure="step-9" if count > 9 else None)


REPORTS = {
    "one step": a_report(steps=[a_step("fetch", "failed", error="ValueError: no")]),
    "sixty steps": many(60),
    "a thousand steps": many(1000),
    "hostile": hostile_report(),
    "one megabyte on one line": a_report(
        steps=[a_step("fetch", "failed", error="ValueError: " + "<&>" * 350_000)]
    ),
    "one megabyte of lines": a_report(
        steps=[a_step("fetch", "failed", error="at x\n" * 200_000 + "ValueError: end")]
    ),
    "a thousand parameters": a_report(params={f"name{n}": "v" * 1000 for n in range(1000)}),
    "long names": a_report(
        workflow="w" * 100, steps=[a_step("s" * 100, "failed", error="E: " + "&" * 500)] * 2
    ),
    "no step": a_report(steps=[], first_failure=None, note="pipelines/daily.py:3: no such module"),
    "nothing at all": {},
    "other types": {"steps": [None, 3, {}], "params": 7, "counts": [], "duration_s": "x"},
}


def texts_of(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give every text object of the blocks."""
    found = []
    for block in blocks:
        found += [block["text"]] if "text" in block else []
        found += block.get("fields", [])
    return found


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
def test_blocks_keep_limits_the_sdk_does_not_check(name: str) -> None:
    """At most 10 blocks, plain text only, each text within its limit and none empty."""
    text, blocks = slack_blocks(REPORTS[name], repeat=True)
    assert 1 <= len(blocks) <= 10
    assert len(text) <= 150
    for block in blocks:
        assert block["type"] in {"header", "section"}
        limit = 150 if block["type"] == "header" else 2900
        assert 1 <= len(block.get("text", {"text": "x"})["text"]) <= limit
        fields = block.get("fields", [{"text": "x"}])
        assert 1 <= len(fields) <= 10
        assert all(1 <= len(entry["text"]) <= 2000 for entry in fields)
    for entry in texts_of(blocks):
        assert entry["type"] == "plain_text"
        assert entry["emoji"] is False


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
            {"status": "interrupted", "steps": [a_step("a", "interrupted")] * 3},
            "daily interrupted at a and 2 more",
        ),
        ({"status": "cancelled", "note": "by ops"}, "daily cancelled: by ops"),
        (
            {"status": "ok", "duration_s": 2.1, "only_steps": ["fetch", "load"]},
            "daily (only fetch, load) ok in 2.1s",
        ),
        ({"steps": [], "first_failure": None, "note": "x\nno module"}, "daily failed: no module"),
        (
            {"steps": [a_step("a", "failed"), a_step("b", "failed", error="E: 1\n")]}
            | {"first_failure": "b"},
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


def test_repeated_alert_says_so_however_long_it_is() -> None:
    """The mark of a repeated alert survives every cut, in subject and in Slack's header."""
    report = a_report(workflow="w" * 100, steps=[a_step("&" * 100, "failed", error="&" * 900)])
    subject = headline(report, repeat=True)
    assert subject.endswith("… (repeated)")
    assert len(subject) == 150
    text, blocks = slack_blocks(report, repeat=True)
    assert text.endswith("… (repeated)")
    assert blocks[0]["text"]["text"] == text


def test_headline_is_one_line() -> None:
    """No report can put a line end into a subject."""
    report = a_report(workflow="a\r\nBcc: x@example.com\x0b\u2028y")
    line = headline(report)
    assert line.splitlines() == [line]
    assert line.startswith("a Bcc: x@example.com\\x0b\\u2028y failed: fetch")


def test_order_of_a_slack_message() -> None:
    """The failing step comes first, then steps, counts, parameters, the way to go on, files."""
    _, blocks = slack_blocks(a_report())
    assert [block.get("text", {}).get("text") for block in blocks] == [
        "daily failed: fetch: ConnectionError: refused",
        "failed first: fetch (3 attempts, 2.1s)\nConnectionError: refused",
        "last lines of its log\nasking\nrefused",
        (
            "✓  host  ok  2.1s\n✗  fetch  failed  2.1s\n"
            "–  report  skipped  (dependency failed: fetch)"
        ),
        None,
        "parameters\ndate = 2026-11-23",
        "to go on\npython -m engine run daily --resume 17",
        "files\nreport: var/reports/run-17-daily.html\nlog: var/logs/daily.log",
    ]
    assert [entry["text"] for entry in blocks[4]["fields"]] == [
        "steps: 1 ok, 1 failed, 1 skipped",
        "duration: 4.0s",
        "started: 2026-11-23T08:00:00.123Z",
        "run: 17",
        "run before: ok",
        "host: box",
        "user: ops",
    ]


def test_too_many_steps_show_the_worst_and_count_the_rest() -> None:
    """Of a thousand steps the failed ones are shown and all others are counted."""
    _, blocks = slack_blocks(many(1000))
    lines = blocks[2]["text"]["text"].split("\n")
    assert lines[0] == "✗  step-9  failed  2.1s"
    shown = len(lines) - 1
    assert shown > 100
    assert all("failed" in line for line in lines[:100])
    assert lines[100] == "✓  step-0  ok  2.1s"
    assert lines[-1] == f"… and {1000 - shown} more: {1000 - shown} ok"


def test_end_of_a_long_error_is_kept() -> None:
    """Of an error of a megabyte in lines the last one is shown, and how much is missing."""
    _, blocks = slack_blocks(REPORTS["one megabyte of lines"])
    assert blocks[1]["text"]["text"] == "failed first: fetch (1 attempt, 2.1s)\nValueError: end"
    whole = blocks[2]["text"]["text"]
    assert whole.startswith("the whole error\n(… 997,615 characters before this)\n")
    assert whole.endswith("at x\nValueError: end")


def test_plain_text_of_a_failure() -> None:
    """The email's plain text is complete and aligned."""
    assert plain_text(a_report()) == (
        "daily failed: fetch: ConnectionError: refused\n\n"
        "failed first: fetch (3 attempts, 2.1s)\n  ConnectionError: refused\n\n"
        "last lines of its log\n  asking\n  refused\n\n"
        "steps\n"
        "  ✓ host    ok           2.1s\n"
        "  ✗ fetch   failed       2.1s\n"
        "  – report  skipped            dependency failed: fetch\n\n"
        "steps:      1 ok, 1 failed, 1 skipped\n"
        "duration:   4.0s\n"
        "started:    2026-11-23T08:00:00.123Z\n"
        "run:        17\n"
        "run before: ok\n"
        "host:       box\n"
        "user:       ops\n\n"
        "parameters\n  date = 2026-11-23\n\n"
        "to go on\n  python -m engine run daily --resume 17\n\n"
        "files\n  report: var/reports/run-17-daily.html\n  log: var/logs/daily.log\n"
    )


OUR_TAGS = {"html", "head", "meta", "title", "body", "h1", "div", "span"}
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


def test_notice_is_laid_out_too() -> None:
    """A text without a report becomes a header and a section."""
    text, blocks = message.render_slack(of_notice("daily: no <store>", "disk\x07 full"))
    assert text == "daily: no &lt;store&gt;"
    assert [block["text"]["text"] for block in blocks] == [text, "disk\\x07 full"]


@pytest.mark.parametrize(
    ("alert_on", "status", "previous", "expected"),
    [
        ("always", "ok", "ok", True),
        ("always", "skipped", None, True),
        ("failure", "ok", None, False),
        ("failure", "ok", "ok", False),
        ("failure", "ok", "cancelled", False),
        ("failure", "ok", "failed", True),
        ("failure", "ok", "interrupted", True),
        ("failure", "failed", "failed", True),
        ("failure", "interrupted", None, True),
        ("failure", "cancelled", "ok", False),
        ("failure", "skipped", "failed", False),
        ("change", "ok", None, False),
        ("change", "failed", None, True),
        ("change", "failed", "failed", False),
        ("change", "ok", "failed", True),
        ("change", "interrupted", "failed", True),
        ("change", "skipped", "ok", False),
        ("mistyped", "ok", "ok", True),
    ],
)
def test_when_a_run_alerts(
    alert_on: str, status: str, previous: str | None, *, expected: bool
) -> None:
    """always, failure and change each send exactly when they say."""
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


@pytest.mark.parametrize("limit", range(1, 14))
def test_escaping_never_tears_an_entity(limit: int) -> None:
    """Whatever the limit, an escaped text is within it and holds whole entities only."""
    cut = slack_escape("a&b<c>", limit)
    assert len(cut) <= limit
    whole = "a&amp;b&lt;c&gt;"
    assert cut.endswith("…")
    assert cut[:-1] in {"", "a", "a&amp;", "a&amp;b", "a&amp;b&lt;", "a&amp;b&lt;c"}
    assert slack_escape("a&b<c>", len(whole)) == whole
