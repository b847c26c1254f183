"""What page and digest both say: the day's numbers beside the last ones, and source names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from pipelines._daily.shapes import Backup, Day, DiskFigures, Figures
from pipelines._machine import units

SOURCES = {
    "fetch_host": "machine",
    "fetch_packages": "updates",
    "fetch_services": "services",
    "fetch_journal": "journal",
    "fetch_store": "workflows",
}


class Number(NamedTuple):
    """One number of the day, and how it moved since the last report."""

    label: str
    value: str
    change: str


def numbers(day: Day) -> list[Number]:
    """Give the day's main numbers; those nobody could measure are left out."""
    now, before = day["figures"], day["before"]
    since = since_when(day)
    return [
        Number(label, shown, change(label, value, earlier, since))
        for label, shown, value, earlier in _pairs(now, before)
    ]


def _pairs(now: Figures, before: Figures | None) -> Iterator[tuple[str, str, float, float | None]]:
    if now["memory_percent"] is not None:
        value = now["memory_percent"]
        earlier = before["memory_percent"] if before else None
        yield "memory used", units.percent(value), value, earlier
    if now["load_per_core"] is not None:
        value = now["load_per_core"]
        earlier = before["load_per_core"] if before else None
        yield "load a core", f"{value:.2f}", value, earlier
    counts = (
        ("updates waiting", now["updates"], before["updates"] if before else None),
        ("failed units", now["failed_units"], before["failed_units"] if before else None),
        ("journal errors", now["journal_errors"], before["journal_errors"] if before else None),
        ("runs", now["runs"], before["runs"] if before else None),
        ("failed runs", now["failed_runs"], before["failed_runs"] if before else None),
    )
    for label, count, earlier in counts:
        if count is not None:
            yield label, f"{count:,}", count, earlier


def change(label: str, value: float, earlier: float | None, since: str) -> str:
    """Say how a number moved: `+3 since yesterday`; nothing if it did not."""
    if earlier is None or not since:
        return ""
    moved = value - earlier
    if label == "memory used":
        shown = f"{abs(moved):.0f} points" if abs(moved) >= 0.5 else ""
    elif label == "load a core":
        shown = f"{abs(moved):.2f}" if abs(moved) >= 0.05 else ""
    else:
        shown = f"{abs(moved):,.0f}" if moved else ""
    return f"{'+' if moved > 0 else '-'}{shown} since {since}" if shown else ""


def since_when(day: Day) -> str:
    """Name the day that is compared with: `yesterday`, or `20 November`; empty without one."""
    if day["before"] is None:
        return ""
    then, now = date.fromisoformat(day["before"]["date"]), date.fromisoformat(day["date"])
    if (now - then).days == 1:
        return "yesterday"
    _, _, full = units.weekday(day["before"]["date"]).partition(", ")
    return full if then.year != now.year else full.rsplit(" ", 1)[0]


def disk_change(day: Day, mount: str) -> str:
    """Say how much a disk filled or emptied since the last report."""
    since = since_when(day)
    before: DiskFigures | None = day["before"]["disks"].get(mount) if day["before"] else None
    now = day["figures"]["disks"].get(mount)
    if not since or before is None or now is None:
        return ""
    moved = now["used_bytes"] - before["used_bytes"]
    if abs(moved) < 1 << 20:
        return ""
    return f"{'+' if moved > 0 else ''}{units.size(moved)} since {since}"


def disk_outlook(day: Day, mount: str) -> str:
    """Say when a disk will be full, if it fills at all and is watched for long enough."""
    for one in day["growth"]:
        if one["mount"] == mount and one["days_until_full"] is not None:
            left = one["days_until_full"]
            return "" if left > 365 else f"full in {units.days(left)} at this rate"
    return ""


def missing(day: Day) -> list[tuple[str, str]]:
    """Give the sources that were left out, in words, with the reason."""
    return [(SOURCES.get(step, step), reason) for step, reason in day["skipped"].items()]


def backup_line(backup: Backup) -> str:
    """Say in one line what was saved."""
    store = "the store" if backup["store"] else ""
    files = units.several(backup["files"], "named file") if backup["files"] else ""
    what = " and ".join(part for part in (store, files) if part) or "nothing"
    left = units.several(len(backup["left_out"]), "file")
    rest = f"; {left} left out" if backup["left_out"] else ""
    return f"{backup['archive']}: {what}, {units.size(backup['size_bytes'])}, read back{rest}"
