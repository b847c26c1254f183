"""The systemd journal, read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from engine import Skip
from pipelines._machine.commands import first_line, look

FIELDS = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,_COMM"


class Entry(NamedTuple):
    """One journal entry."""

    source: str
    message: str
    priority: int
    at: str


def read(
    since: datetime, until: datetime, which: Sequence[str], *, most: int
) -> tuple[list[Entry], bool]:
    """Read the last `most` entries between two moments, and whether others' were out of sight.

    `which` are options and matches of journalctl. Skips where the journal cannot be read.
    """
    form = "%Y-%m-%d %H:%M:%S"
    out, err = look(
        (
            "journalctl",
            "--no-pager",
            "--all",
            f"--since={since.astimezone(UTC):{form}} UTC",
            f"--until={until.astimezone(UTC):{form}} UTC",
            f"--lines={most}",
            "--output=json",
            f"--output-fields={FIELDS}",
            *which,
        )
    )
    entries = list(parse(out))
    if not entries:
        _check_readable()
    return entries, "not seeing messages from other users" in err


def _check_readable() -> None:
    """Tell no entries from no journal: asked for JSON, journalctl is silent on both."""
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
