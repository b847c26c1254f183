"""Handing the report over: what a message holds, and that a retry tells nobody twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.models.blocks import HeaderBlock, SectionBlock

from engine.alerts import blocks as layout
from engine.alerts import mail, slack
from engine.alerts.content import Section
from engine.alerts.fault import AlertError
from engine.errors import RetryAfter
from pipelines._daily import deliver
from pipelines._machine.delivery import Sent
from pipelines._machine.delivery import send as post
from tests.unit import daily_day as made

SETTINGS = {
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
    "SMTP_URL": "smtp://localhost",
    "MAIL_TO": "ops@example.com",
    "MAIL_FROM": "box@example.com",
    "KAHNBAN_WEBHOOK_HOSTS": "chat.example.com",
}


class Channels:
    """Stands for Slack and the mail server: keeps what is sent, refuses while told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slack: list[dict[str, Any]] = []
        self.mail: list[mail.Letter] = []
        self.fault: AlertError | None = None
        monkeypatch.setattr(slack, "send", self.send_slack)
        monkeypatch.setattr(mail, "send", self.send_mail)

    def send_slack(self, url: str, text: str, blocks: list[Any], **rest: Any) -> None:
        """Take a message for Slack."""
        self.slack.append({"url": url, "text": text, "blocks": blocks, **rest})

    def send_mail(self, _url: str, letter: mail.Letter, **_rest: Any) -> tuple[str, ...]:
        """Take a letter."""
        if self.fault:
            raise self.fault
        self.mail.append(letter)
        return ("recipient 'x@example.com' was refused (550)",)


def settings(name: str) -> str:
    """Give a setting, empty if it is not set."""
    return SETTINGS.get(name, "")


def send(sent: Sent, get: Any = settings) -> list[str]:
    """Send the bad day."""
    return post(deliver.message(made.bad_day(), made.backup()), get, sent)


def test_without_a_channel_nothing_is_sent(tmp_path: Path) -> None:
    """And nothing is written down about it; a server without a recipient is no channel."""
    sent = Sent(tmp_path / "sent.json", "1:deliver")
    assert send(sent, lambda _name: "") == []
    assert send(sent, lambda name: "smtp://localhost" if name == "SMTP_URL" else "") == []
    assert list(tmp_path.iterdir()) == []


def test_both_channels_get_the_day(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The mail carries digest and page; what the server refused is said."""
    channels = Channels(monkeypatch)
    assert send(Sent(tmp_path / "sent.json", "1:deliver")) == [
        "slack: sent",
        "email: sent",
        "recipient 'x@example.com' was refused (550)",
    ]
    (posted,) = channels.slack
    assert posted["text"] == "2 things on web1 cannot wait"
    assert posted["hosts"] == ["chat.example.com"]
    (letter,) = channels.mail
    assert letter.subject == "2 things on web1 cannot wait, 2026-11-23"
    assert (letter.mail_from, letter.mail_to) == ("box@example.com", "ops@example.com")
    assert "CRITICAL  disk is nearly full" in letter.plain
    assert "<h1>2 things on web1 cannot wait</h1>" in letter.html


def test_a_retry_leaves_out_the_channel_that_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One channel's failure fails the step; the other is not told twice. A new run tells all."""
    channels = Channels(monkeypatch)
    channels.fault = AlertError("localhost: it hung up", hint="try later")
    path = tmp_path / "sent.json"
    with pytest.raises(AlertError, match=r"^email: localhost: it hung up \(try later\)$"):
        send(Sent(path, "1:deliver"))
    assert json.loads(path.read_text()) == {"key": "1:deliver", "channels": ["slack"]}
    channels.fault = None
    assert send(Sent(path, "1:deliver"))[0] == "slack: sent by an earlier attempt"
    assert (len(channels.slack), len(channels.mail)) == (1, 1)
    send(Sent(path, "2:deliver"))
    assert (len(channels.slack), len(channels.mail)) == (2, 2)


def test_a_channel_that_asks_for_time_gets_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Up to five minutes; more than that is the ordinary retry's business."""
    channels = Channels(monkeypatch)
    channels.fault = AlertError("busy", retry_after_s=30.0)
    with pytest.raises(RetryAfter, match=r"^email: busy$") as caught:
        send(Sent(tmp_path / "sent.json", "1:deliver"))
    assert caught.value.seconds == 30.0
    channels.fault = AlertError("busy", retry_after_s=301.0)
    with pytest.raises(AlertError, match=r"^email: busy$"):
        send(Sent(tmp_path / "sent.json", "1:deliver"))


def test_a_damaged_record_of_what_was_sent_counts_as_none(tmp_path: Path) -> None:
    """Better told twice than not at all."""
    path = tmp_path / "sent.json"
    for text in ("", "[]", '{"key": "1:deliver"}'):
        path.write_text(text)
        assert "slack" not in Sent(path, "1:deliver")


def test_a_message_holds_the_worst_findings_and_counts_the_rest() -> None:
    """Slack takes it as it is, by its own checks."""
    content = deliver.content(made.bad_day(), made.backup())
    titles = [part.title for part in content.parts if isinstance(part, Section)]
    assert titles[0] == "critical: disk is nearly full"
    bodies = [part.body for part in content.parts if isinstance(part, Section)]
    assert "and 8 more findings in the report" in bodies
    assert bodies[-1].startswith(
        "backup: /srv/kahnban/var/backups/daily-2026-11-23.tar.gz: the store"
    )
    _, blocks = layout.render_slack(content)
    assert [block["type"] for block in blocks] == ["header", *["section"] * 8]
    HeaderBlock(**{key: one for key, one in blocks[0].items() if key != "type"}).validate_json()
    for block in blocks[1:]:
        SectionBlock(**{key: one for key, one in block.items() if key != "type"}).validate_json()
