"""Send a report where a channel is configured: to Slack, by email."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine import RetryAfter
from pipelines._machine import units
from pipelines._machine.findings import Finding, limit

if TYPE_CHECKING:
    from engine.alerts.content import Content, Section

DEADLINE_S = 10.0
WAIT_MAX_S = 300.0
FINDINGS_SHOWN = 5

Settings = Callable[[str], str]


class Message(NamedTuple):
    """A report in the forms that channels want; each is made when one wants it."""

    subject: str
    content: Callable[[], Content]
    plain: Callable[[], str]
    html: Callable[[], str]


class Sent:
    """Which channels have taken this report: a retry does not tell them twice.

    The file is written at once, not at the step's success, for it must outlive a failed attempt.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        try:
            kept = json.loads(path.read_text("utf-8"))
            self._channels = list(kept["channels"]) if kept["key"] == key else []
        except (OSError, ValueError, KeyError, TypeError):
            self._channels = []

    def __contains__(self, channel: str) -> bool:
        return channel in self._channels

    def add(self, channel: str) -> None:
        """Remember that a channel has taken the report."""
        self._channels.append(channel)
        beside = self._path.with_name(self._path.name + ".tmp")
        beside.write_text(json.dumps({"key": self._key, "channels": self._channels}), "utf-8")
        beside.replace(self._path)


def settings_of(ctx: Any) -> Settings:
    """Give what looks up a step's settings and secrets, empty where they are not set."""

    def setting(name: str) -> str:
        if name in ("SLACK_WEBHOOK_URL", "SMTP_URL"):
            return ctx.secret(name, default=None) or ""
        return ctx.setting(name) or ""

    return setting


def send(message: Message, settings: Settings, sent: Sent) -> list[str]:
    """Send to every configured channel that has not had it; give the channels, and any warning.

    All are tried; then the first failure is raised.
    """
    from engine.alerts.fault import AlertError

    said, faults = [], []
    for channel, post in _channels(message, settings):
        if channel in sent:
            said.append(f"{channel}: sent by an earlier attempt")
            continue
        try:
            said += [f"{channel}: sent", *post()]
        except AlertError as error:
            faults.append((channel, error))
        else:
            sent.add(channel)
    for channel, fault in faults:
        text = f"{channel}: {fault}" + (f" ({fault.hint})" if fault.hint else "")
        if fault.retry_after_s is not None and fault.retry_after_s <= WAIT_MAX_S:
            raise RetryAfter(fault.retry_after_s, text) from None
        raise AlertError(text, permanent=fault.permanent) from None
    return said


def _channels(
    message: Message, settings: Settings
) -> Iterator[tuple[str, Callable[[], tuple[str, ...]]]]:
    slack_url, smtp_url = settings("SLACK_WEBHOOK_URL"), settings("SMTP_URL")
    mail_to = settings("MAIL_TO")
    if slack_url:
        yield "slack", lambda: _slack(slack_url, message, settings)
    if smtp_url and mail_to:
        yield "email", lambda: _email(smtp_url, mail_to, message, settings)


def _slack(url: str, message: Message, settings: Settings) -> tuple[str, ...]:
    from engine.alerts import slack
    from engine.alerts.blocks import render_slack

    text, blocks = render_slack(message.content())
    hosts = settings("KAHNBAN_WEBHOOK_HOSTS").split(",")
    proxy = settings("KAHNBAN_WEBHOOK_PROXY") or None
    slack.send(url, text, blocks, deadline_s=DEADLINE_S, hosts=hosts, proxy=proxy)
    return ()


def _email(url: str, to: str, message: Message, settings: Settings) -> tuple[str, ...]:
    from engine.alerts import mail

    letter = mail.Letter(
        mail_from=settings("MAIL_FROM") or mail.sender(url),
        mail_to=to,
        subject=message.subject,
        plain=message.plain(),
        html=message.html(),
    )
    return mail.send(url, letter, deadline_s=DEADLINE_S)


def sections(findings: list[Finding]) -> list[Section]:
    """Give the first findings as parts of an alert, and count the rest."""
    from engine.alerts.content import Section

    parts = [
        Section(
            f"{one['severity']}: {one['what']}",
            f"{one['where']}: {one['value']}{limit(one)}\n→ {one['todo']}",
        )
        for one in findings[:FINDINGS_SHOWN]
    ]
    if len(findings) > FINDINGS_SHOWN:
        rest = len(findings) - FINDINGS_SHOWN
        parts.append(Section("", f"and {units.several(rest, 'more finding')} in the report"))
    return parts
