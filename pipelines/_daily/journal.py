"""The journal's errors, grouped by what they say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from pipelines._daily.shapes import ErrorGroup, Journal
from pipelines._machine.journal import Entry, read

ENTRIES_MAX = 5000
GROUPS_MAX = 40
MESSAGE_MAX = 240


def measure(since: datetime, until: datetime) -> Journal:
    """Read errors and worse between the two moments; skips where the journal cannot be read."""
    entries, limited = read(since, until, ("--priority=err",), most=ENTRIES_MAX)
    return Journal(
        since=since.astimezone(UTC).isoformat(timespec="seconds"),
        total=len(entries),
        cut=len(entries) >= ENTRIES_MAX,
        limits="only this user's own messages could be read" if limited else "",
        groups=group(entries)[:GROUPS_MAX],
    )


def group(entries: Iterable[Entry]) -> list[ErrorGroup]:
    """Count entries that differ only in numbers, most frequent first, then the graver ones.

    The text shown is that of the last one.
    """
    groups: dict[tuple[str, str], ErrorGroup] = {}
    for entry in sorted(entries, key=lambda one: one.at):
        message = " ".join(entry.message.split())[:MESSAGE_MAX]
        key = (entry.source, pattern(message))
        known = groups.setdefault(
            key,
            ErrorGroup(
                source=entry.source,
                message=message,
                count=0,
                priority=entry.priority,
                first=entry.at,
                last=entry.at,
            ),
        )
        known["count"] += 1
        known["priority"] = min(known["priority"], entry.priority)
        known["message"], known["last"] = message, entry.at
    return sorted(
        groups.values(),
        key=lambda one: (-one["count"], one["priority"], one["source"], one["message"]),
    )


_VARIES = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # UUID
    r"|0x[0-9a-f]+"
    r"|\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b"  # commits, container names, addresses
    r"|\d+(?:[.:]\d+)*",
    re.IGNORECASE,
)


def pattern(message: str) -> str:
    """Give the message with all that varies from one time to the next as `#`."""
    return _VARIES.sub("#", message)
