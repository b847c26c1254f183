"""The report as plain text, for a terminal, a mail or a chat."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pipelines._daily.glance import (
    backup_line,
    disk_change,
    disk_outlook,
    missing,
    numbers,
)
from pipelines._daily.shapes import Backup, Day
from pipelines._machine import units
from pipelines._machine.findings import headline
from pipelines._machine.text import WIDTH, section, seen, told, wrap

BAR = 20
GROUPS = 5


def digest(day: Day, backup: Backup | None = None) -> str:
    """Give the whole digest; `backup` adds what was saved."""
    parts = [
        _head(day),
        told(day["findings"]),
        _numbers(day),
        _disks(day),
        _journal(day),
        _failures(day),
        section("Backup", [backup_line(backup)]) if backup else "",
        section("Not looked at", [f"{name}: {why}" for name, why in missing(day)]),
    ]
    return seen("\n\n".join(part for part in parts if part)) + "\n"


def _head(day: Day) -> str:
    said = headline(day["findings"], day["name"])
    when = f"{units.weekday(day['date'])}, measured {units.clock(day['measured_at'])}"
    return f"{wrap(said)}\n{when}"


def _numbers(day: Day) -> str:
    shown = numbers(day)
    wide = max((len(one.value) for one in shown), default=0)
    lines = [f"{one.label:<16}  {one.value:>{wide}}  {one.change}".rstrip() for one in shown]
    return section("Numbers", lines)


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
    return section("Disks", lines)


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
    return section("Errors in the journal", lines)


def _failures(day: Day) -> str:
    failures = day["store"]["failures"] if day["store"] else []
    return section(
        "Failed steps",
        [
            wrap(f"{one['workflow']} / {one['step']} (run {one['run']}): {one['error']}")
            for one in failures
        ],
    )


def summary(day: Day) -> Iterator[str]:
    """Give one line per finding, worst first, for a chat message."""
    for one in day["findings"]:
        yield f"{one['severity']}: {one['what']} — {one['where']}, {one['value']}"
