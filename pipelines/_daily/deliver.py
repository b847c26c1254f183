"""Hand the day's report over: a message where a channel is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines._daily.digest import digest
from pipelines._daily.glance import backup_line, missing, numbers
from pipelines._daily.page import page
from pipelines._daily.shapes import Backup, Day
from pipelines._machine.delivery import Message, sections
from pipelines._machine.findings import headline, worst
from pipelines._machine.text import seen

if TYPE_CHECKING:
    from engine.alerts.content import Content


def message(day: Day, backup: Backup) -> Message:
    """Give the day in the forms that channels want."""
    return Message(
        subject=seen(f"{headline(day['findings'], day['name'])}, {day['date']}"),
        content=lambda: content(day, backup),
        plain=lambda: digest(day, backup),
        html=lambda: page(day, backup),
    )


def content(day: Day, backup: Backup) -> Content:
    """Give the digest as an alert's content: the headline, the worst findings, the numbers."""
    from engine.alerts.content import Content, Facts, Section

    findings = day["findings"]
    parts: list[Any] = [*sections(findings)]
    pairs = [(one.label, f"{one.value}  {one.change}".strip()) for one in numbers(day)]
    parts.append(Facts(tuple(pairs)))
    left = [f"not looked at: {name} ({why})" for name, why in missing(day)]
    parts.append(Section("", "\n".join([f"backup: {backup_line(backup)}", *left])))
    return Content(headline(findings, day["name"]), "", worst(findings), tuple(parts))
