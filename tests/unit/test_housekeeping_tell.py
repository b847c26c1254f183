"""What is urgent is sent, with the worst findings first, and every text as text."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.alerts import mail
from engine.alerts.content import Section
from pipelines._housekeeping.tell import content, message, send_report

if TYPE_CHECKING:
    import pytest

KEPT: dict[str, Any] = {
    "headline": "1 thing on web\x1b cannot wait",
    "findings": [
        {
            "severity": "critical",
            "what": "disk is nearly full",
            "where": "/srv",
            "value": "97 %, 3 GB free",
            "threshold": "95 %",
            "todo": "find what fills it",
        }
    ],
    "not_looked_at": ["failed logins: cannot be read as this user: /var/log/btmp (group utmp)"],
}


def test_a_message_holds_findings_and_what_nobody_looked_at() -> None:
    """As an alert's content: the headline, each finding with what to do, and the rest."""
    found = content(KEPT)
    assert (found.head, found.status) == (KEPT["headline"], "critical")
    assert found.parts == (
        Section(
            "critical: disk is nearly full",
            "/srv: 97 %, 3 GB free (limit 95 %)\n→ find what fills it",
        ),
        Section("not looked at", KEPT["not_looked_at"][0]),
    )
    assert content({**KEPT, "not_looked_at": []}).parts == found.parts[:1]


def test_an_email_is_the_report_as_it_was_written() -> None:
    """Names of files and users are text in it, whatever they hold; so is the subject."""
    letter = message(KEPT, "a <script> & more\n")
    assert letter.subject == "1 thing on web� cannot wait"
    assert letter.plain() == "a <script> & more\n"
    assert letter.html() == "<!DOCTYPE html>\n<pre>a &lt;script&gt; &amp; more\n</pre>\n"


class Context(dict[str, Any]):
    """As much of a step's context as sending needs; `settings` are those that are set."""

    idempotency_key = "1:tell"
    log = logging.getLogger("test")

    def __init__(self, report: Path, settings: dict[str, str]) -> None:
        """Let the step before have written `report`."""
        super().__init__(report={"json": str(report), "urgent": 1})
        self.settings = settings

    def secret(self, name: str, default: str | None) -> str | None:
        """Give a secret that is set."""
        return self.settings.get(name, default)

    def setting(self, name: str) -> str | None:
        """Give a setting that is set."""
        return self.settings.get(name)


def test_a_report_is_sent_once_where_a_channel_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another attempt of the same run sends it no second time; without a channel it says so."""
    letters: list[mail.Letter] = []

    def take(_url: str, letter: mail.Letter, **_rest: Any) -> tuple[str, ...]:
        letters.append(letter)
        return ()

    monkeypatch.setattr(mail, "send", take)
    path = tmp_path / "housekeeping-2026-11-25.json"
    path.write_text(json.dumps(KEPT))
    path.with_suffix(".txt").write_text("all of it\n")
    assert send_report(Context(path, {})) == ["no channel is configured"]
    settings = {"SMTP_URL": "smtp://localhost", "MAIL_TO": "ops@example.org"}
    assert send_report(Context(path, settings)) == ["email: sent"]
    assert send_report(Context(path, settings)) == ["email: sent by an earlier attempt"]
    assert [(one.subject, one.plain) for one in letters] == [
        ("1 thing on web� cannot wait", "all of it\n")
    ]
