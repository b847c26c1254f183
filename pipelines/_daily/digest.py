"""The report as plain text, for a terminal, a mail or a chat."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pipelines._daily import units
from pipelines._daily.findings import headline
from pipelines._daily.glance import (
    backup_line,
    disk_change,
    disk_outlook,
    limit,
    missing,
    numbers,
)
from pipelines._daily.page import seen
from pipelines._daily.shapes import Backup, Day, Finding

WIDTH = 76
BAR = 20
GROUPS = 5


def digest(day: Day, backup: Backup | None = None) -> str:
    """Give the whole digest; `backup` adds what was saved."""
    parts = [
        _head(day),
        _findings(day["findings"]),
        _numbers(day),
        _disks(day),
        _journal(day),
        _failures(day),
        _section("Backup", [backup_line(backup)]) if backup else "",
        _section("Not looked at", [f"{name}: {why}" for name, why in missing(day)]),
    ]
    return seen("\n\n".join(part for part in parts if part)) + "\n"


def _head(day: Day) -> str:
    said = headline(day["findings"], day["name"])
    when = f"{units.weekday(day['date'])}, measured {units.clock(day['measured_at'])}"
    return f"{_wrap(said)}\n{when}"


def _findings(findings: list[Finding]) -> str:
    lines = []
    for one in findings:
        lines += [
            _wrap(f"{one['severity'].upper()}  {one['what']}"),
            _wrap(f"{one['where']}: {one['value']}{limit(one)}", "  "),
            # A command is for copying: it stays on one line.
            f"  -> {one['todo']}",
            "",
        ]
    return "\n".join(lines).rstrip()


def _numbers(day: Day) -> str:
    shown = numbers(day)
    wide = max((len(one.value) for one in shown), default=0)
    lines = [f"{one.label:<16}  {one.value:>{wide}}  {one.change}".rstrip() for one in shown]
    return _section("Numbers", lines)


def _disks(day: Day) -> str:
    if not day["host"]:
        return ""
    lines = []
    wide = min(28, max((len(disk["mount"]) for disk in day["host"]["disks"]), default=0))
    for disk in day["host"]["disks"]:
        percent = disk["used_percent"]
        full = round(BAR * percent / 100)
        free = f"{units.size(disk['free_bytes'])} free"
        bar = "#" * full + "." * (BAR - full)
        lines.append(f"{disk['mount']:<{wide}}  {bar}  {units.percent(percent):>6}  {free}")
        said = [disk_change(day, disk["mount"]), disk_outlook(day, disk["mount"])]
        if any(said):
            lines.append(" " * (wide + 2) + "; ".join(part for part in said if part))
    return _section("Disks", lines)


def _journal(day: Day) -> str:
    journal = day["journal"]
    groups = journal["groups"][:GROUPS] if journal else []
    wide = max((len(f"{one['count']}") for one in groups), default=1)
    lines = [
        textwrap.shorten(
            f"{one['count']:>{wide}} × {one['source']}: {one['message']}", WIDTH, placeholder=" …"
        )
        for one in groups
    ]
    return _section("Errors in the journal", lines)


def _failures(day: Day) -> str:
    failures = day["store"]["failures"] if day["store"] else []
    return _section(
        "Failed steps",
        [
            _wrap(f"{one['workflow']} / {one['step']} (run {one['run']}): {one['error']}")
            for one in failures
        ],
    )


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([title, "-" * len(title), *lines]) if lines else ""


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent or "  ")


def summary(day: Day) -> Iterator[str]:
    """Give one line per finding, worst first, for a chat message."""
    for one in day["findings"]:
        yield f"{one['severity']}: {one['what']} — {one['where']}, {one['value']}"
