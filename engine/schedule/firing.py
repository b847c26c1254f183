"""When a schedule fires next, as systemd itself says."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from functools import cache

from engine.schedule.verify import call

# Where the machine's zone is another, its own time comes first, and this on a line of its own.
_MOMENT = re.compile(r"(?:Next elapse|\(in UTC\)): \w+ (\S+ \d\d:\d\d:\d\d) UTC")


@cache
def _analyze() -> str | None:
    return shutil.which("systemd-analyze")


def next_firing(calendar: str, now: datetime) -> datetime | None:
    """Give the first moment of a calendar after `now`, UTC; None where nobody here can tell."""
    analyze = _analyze()
    if analyze is None:
        return None
    base = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    code, lines = call([analyze, "calendar", f"--base-time={base}", "--", calendar])
    found = None if code else _MOMENT.search("\n".join(lines))
    if found is None:
        return None
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
