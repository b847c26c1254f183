"""Remember each day's figures, and see from them where a disk is heading."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines._daily.shapes import (
    DiskFigures,
    Figures,
    Host,
    Journal,
    Packages,
    Services,
    StoreDay,
)
from pipelines._machine.growth import Growth, growth_of

WINDOW_DAYS = 14
BACK_TO_DAYS = 7  # how old the figures may be that are called the last ones
_NAME = re.compile(r"daily-(\d{4}-\d{2}-\d{2})\.json\Z")


def figures(  # noqa: PLR0913 - one argument per source
    day: str,
    measured_at: str,
    *,
    host: Host | None,
    packages: Packages | None,
    services: Services | None,
    journal: Journal | None,
    store: StoreDay | None,
) -> Figures:
    """Give the numbers of a day that are worth remembering."""
    cores = max(host["cores"], 0.01) if host else 1.0
    return Figures(
        date=day,
        measured_at=measured_at,
        host=host["name"] if host else "",
        disks={
            disk["mount"]: DiskFigures(
                used_bytes=disk["used_bytes"],
                total_bytes=disk["total_bytes"],
                used_percent=disk["used_percent"],
            )
            for disk in (host["disks"] if host else ())
        },
        memory_percent=memory_percent(host) if host else None,
        load_per_core=round(host["load"][2] / cores, 2) if host else None,
        updates=len(packages["waiting"]) if packages else None,
        failed_units=len(services["failed"]) if services else None,
        journal_errors=journal["total"] if journal else None,
        runs=store["runs"] if store else None,
        failed_runs=sum(one["failed"] for one in store["workflows"]) if store else None,
        findings=0,
    )


def memory_percent(host: Host) -> float:
    """Give how much of the memory cannot be had by a new program."""
    total = host["memory_total_bytes"]
    return round(100 * (1 - host["memory_available_bytes"] / total), 1) if total else 0.0


def swap_percent(host: Host) -> float:
    """Give how much of the swap is used."""
    total = host["swap_total_bytes"]
    return round(100 * host["swap_used_bytes"] / total, 1) if total else 0.0


def load_earlier(folder: Path, day: date, host: str) -> list[Figures]:
    """Read the figures of the days before `day` on this host, oldest first.

    A file that is damaged or of another form is left out: old numbers are a comfort, not a need.
    """
    oldest = day - timedelta(days=WINDOW_DAYS)
    earlier = []
    for path in sorted(folder.glob("daily-*.json")):
        named = _NAME.match(path.name)
        if not named or not oldest <= _date(named[1], day) < day:
            continue
        try:
            kept = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if _sound(kept) and kept["host"] == host:
            earlier.append(kept)
    return earlier


def last_before(earlier: list[Figures], day: date) -> Figures | None:
    """Give the newest of the earlier figures if it is recent enough to compare with."""
    if not earlier:
        return None
    newest = earlier[-1]
    recent = date.fromisoformat(newest["date"]) >= day - timedelta(days=BACK_TO_DAYS)
    return newest if recent else None


def growth(earlier: Iterable[Figures], now: Figures, host: Host | None) -> list[Growth]:
    """Give each disk's slope over the days on record, and when it will be full at that rate."""
    if host is None:
        return []
    every = [*earlier, now]
    found = [_growth_of(disk["mount"], disk["free_bytes"], every) for disk in host["disks"]]
    return [one for one in found if one]


def _growth_of(mount: str, free_bytes: int, every: list[Figures]) -> Growth | None:
    total = every[-1]["disks"][mount]["total_bytes"]
    points = [
        (datetime.fromisoformat(one["measured_at"]).timestamp(), one["disks"][mount]["used_bytes"])
        for one in every
        # A disk made larger or smaller is another disk.
        if mount in one["disks"] and one["disks"][mount]["total_bytes"] == total
    ]
    return growth_of(mount, free_bytes, points)


def _date(text: str, default: date) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return default


def _sound(kept: Any) -> bool:
    """Tell whether a file's content has the form of figures, as far as they are read."""
    try:
        date.fromisoformat(kept["date"])
        aware = datetime.fromisoformat(kept["measured_at"]).tzinfo is not None
        disks = all(
            isinstance(disk["used_bytes"], int) and isinstance(disk["total_bytes"], int)
            for disk in kept["disks"].values()
        )
        return aware and disks and set(kept) >= set(Figures.__annotations__)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
