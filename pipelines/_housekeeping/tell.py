"""Send the report where a channel is configured: what is urgent does not wait to be read."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Skip
from pipelines._machine.delivery import Message, Sent, sections, send, settings_of
from pipelines._machine.findings import worst
from pipelines._machine.text import seen

if TYPE_CHECKING:
    from engine.alerts.content import Content


def send_report(ctx: Any) -> list[str]:
    """Send it to Slack and by email, to each once, and say where it went."""
    if not ctx["report"]["urgent"]:
        raise Skip("nothing is urgent")
    path = Path(ctx["report"]["json"])
    sent = Sent(path.with_suffix(".sent.json"), ctx.idempotency_key)
    kept = json.loads(path.read_text("utf-8"))
    text = path.with_suffix(".txt").read_text("utf-8")
    said = send(message(kept, text), settings_of(ctx), sent) or ["no channel is configured"]
    for line in said:
        ctx.log.info("%s", line)
    return said


def message(kept: dict[str, Any], text: str) -> Message:
    """Give the report in the forms that channels want."""
    return Message(
        subject=seen(kept["headline"]),
        content=lambda: content(kept),
        plain=lambda: text,
        html=lambda: f"<!DOCTYPE html>\n<pre>{html.escape(text)}</pre>\n",
    )


def content(kept: dict[str, Any]) -> Content:
    """Give headline and worst findings as an alert's content, and what nobody looked at."""
    from engine.alerts.content import Content, Section

    findings = kept["findings"]
    parts: list[Any] = sections(findings)
    if kept["not_looked_at"]:
        parts.append(Section("not looked at", "\n".join(kept["not_looked_at"])))
    return Content(kept["headline"], "", worst(findings), tuple(parts))
