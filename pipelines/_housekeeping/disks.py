"""Disks: how full they are, and how fast they fill up."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from pipelines._housekeeping.shapes import Disks
from pipelines._machine import disks, records, units
from pipelines._machine.disks import Disk
from pipelines._machine.growth import DAY_S, Growth, growth_of, slopes_of

WINDOW_DAYS = 14
EARLIER_MAX = 200
POINTS_MIN = 4
SPAN_DAYS_MIN = 2


def look(ctx: Any) -> Disks:
    """Measure every disk once, and hold it against what earlier runs have recorded."""
    now = datetime.now(UTC)
    found = disks.measure(ctx.paths.home)
    earlier = earlier_figures(ctx.paths.store_url, (ctx.workflow, ctx.step), now)
    growth = [one for disk in found if (one := heading(disk, now, earlier)) is not None]
    for disk in found:
        ctx.log.info("%s: %s used", disk["mount"], units.percent(disk["used_percent"]))
    return Disks(measured_at=now.isoformat(timespec="seconds"), disks=found, growth=growth)


_EARLIER = """
SELECT o.data FROM outputs o JOIN runs r ON r.id = o.run_id
WHERE r.workflow = :workflow AND r.host = :host AND r.started_at >= :since
  AND o.step = :step AND o.key = :step AND o.codec = 'json'
ORDER BY o.run_id DESC LIMIT :most
"""


def earlier_figures(store_url: str, step: tuple[str, str], now: datetime) -> list[Disks]:
    """Give what a step of a workflow has measured on this machine, newest first."""
    since = records.stamp(now - timedelta(days=WINDOW_DAYS))
    found = records.ask(
        store_url,
        _EARLIER,
        workflow=step[0],
        step=step[1],
        host=socket.gethostname(),
        since=since,
        most=EARLIER_MAX,
    )
    return [kept for row in found if (kept := _figures(row["data"])) is not None]


def _figures(data: bytes) -> Disks | None:
    """Read figures; those of another form, of an older version perhaps, are left out."""
    try:
        kept = json.loads(data)
        moment = datetime.fromisoformat(kept["measured_at"])
        for disk in kept["disks"]:
            int(disk["used_bytes"]), int(disk["total_bytes"]), str(disk["mount"])
    except (ValueError, KeyError, TypeError):
        return None
    sound: Disks = kept
    return sound if moment.tzinfo is not None else None


def heading(disk: Disk, now: datetime, earlier: Iterable[Disks]) -> Growth | None:
    """Say where a disk is heading, or None where that is not known well enough.

    Enough are four figures over two days, of which three quarters of all pairs rise: a disk that
    is filled and cleared in turns is heading nowhere. One made larger or smaller is another disk.
    """
    points = [(now.timestamp(), disk["used_bytes"])]
    for kept in earlier:
        moment = datetime.fromisoformat(kept["measured_at"]).timestamp()
        points += [
            (moment, one["used_bytes"])
            for one in kept["disks"]
            if one["mount"] == disk["mount"] and one["total_bytes"] == disk["total_bytes"]
        ]
    points = _one_an_hour(points)
    slopes = slopes_of(points)
    if len(points) < POINTS_MIN or points[-1][0] - points[0][0] < SPAN_DAYS_MIN * DAY_S:
        return None
    if sum(slope > 0 for slope in slopes) < 0.75 * len(slopes):
        return None
    return growth_of(disk["mount"], disk["free_bytes"], points)


def _one_an_hour(points: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Leave out figures taken shortly before the next: two in an hour say no more than one."""
    points = sorted(points)
    kept = [early for early, late in pairwise(points) if late[0] - early[0] >= 3600]
    return [*kept, points[-1]]
