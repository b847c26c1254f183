"""The journal's errors, grouped by what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from engine import Skip
from pipelines._daily.commands import first_line, look
from pipelines._daily.shapes import ErrorGroup, Journal

ENTRIES_MAX = 5000
GROUPS_MAX = 40
MESSAGE_MAX = 240
FIELDS = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,_COMM"


class Entry(NamedTuple):
    """One journal entry."""

    source: str
    message: str
    priority: int
    at: str


def measure(since: datetime, until: datetime) -> Journal:
    """Read errors and worse between the two moments; skips where the journal cannot be read."""
    form = "%Y-%m-%d %H:%M:%S"
    out, err = look(
        (
            "journalctl",
            "--no-pager",
            "--all",
            "--priority=err",
            f"--since={since.astimezone(UTC):{form}} UTC",
            f"--until={until.astimezone(UTC):{form}} UTC",
            f"--lines={ENTRIES_MAX}",
            "--output=json",
            f"--output-fields={FIELDS}",
        )
    )
    entries = list(parse(out))
    if not entries:
        _check_readable()
    limits = ""
    if "not seeing messages from other users" in err:
        limits = "only this user's own messages could be read"
    return Journal(
        since=since.astimezone(UTC).isoformat(timespec="seconds"),
        total=len(entries),
        cut=len(entries) >= ENTRIES_MAX,
        limits=limits,
        groups=group(entries)[:GROUPS_MAX],
    )


def _check_readable() -> None:
    """Tell no errors from no journal: asked for errors in JSON, journalctl is silent on both."""
    out, err = look(("journalctl", "--no-pager", "--lines=1", "--output=short"))
    if not out.strip() or out.startswith("--"):
        raise Skip(f"the journal cannot be read: {first_line(err) or 'it is empty'}")


def parse(text: str) -> Iterator[Entry]:
    """Read `journalctl --output=json`: one object per line; what is none is left out."""
    for line in text.splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if not isinstance(fields, dict):
            continue
        source = (
            _text(fields.get("SYSLOG_IDENTIFIER"))
            or _text(fields.get("_COMM"))
            or _text(fields.get("_SYSTEMD_UNIT")).removesuffix(".service")
            or "?"
        )
        yield Entry(
            source, _text(fields.get("MESSAGE")), _whole(fields.get("PRIORITY"), 3), _at(fields)
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


def _text(value: Any) -> str:
    """Decode a field: text; a list of bytes where it is binary; a list of texts if repeated."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        if all(isinstance(part, int) and 0 <= part <= 255 for part in value):
            return bytes(value).decode("utf-8", "replace")
        return _text(value[0])
    return ""


def _whole(value: Any, default: int) -> int:
    try:
        return int(_text(value))
    except ValueError:
        return default


def _at(fields: dict[str, Any]) -> str:
    micros = _whole(fields.get("__REALTIME_TIMESTAMP"), 0)
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="seconds")
