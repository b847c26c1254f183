"""Untrusted text made safe to show: visible, bounded, escaped. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from engine.text import human_duration, printable
from engine.zones import zone_named

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z\Z", re.ASCII)
_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def visible(text: str) -> str:
    r"""Show control, bidi and invisible characters by their codes; lines stay, colours go."""
    lines = _COLOUR.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(printable(line.expandtabs(4)) for line in lines)


def one_line(text: str, limit: int) -> str:
    """Give visible text on one line of at most `limit` characters."""
    line = " ".join(visible(text[: limit * 4]).split())
    return cut(line, limit)


def last_line(text: str) -> str:
    """Give the last line that says something: in a traceback, the error itself."""
    return text.rstrip().rpartition("\n")[2].strip()


def cut(text: str, limit: int) -> str:
    """Keep the head of a text that is longer than `limit`, and mark the cut."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def head(text: str, limit: int) -> str:
    """Keep the start of a text that is longer than `limit`, and say how much is missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n(… {len(text) - limit:,} characters after this)"


def tail(text: str, limit: int) -> str:
    """Keep the end of a text that is longer than `limit`, where an error says what it is."""
    if len(text) <= limit:
        return text
    note = f"(… {len(text) - limit:,} characters before this)\n"
    return note + text[len(text) - limit :]


def units(text: str) -> int:
    """Count a text in UTF-16, as Slack's programs do: what is beyond U+FFFF counts as two."""
    return len(text) if text.isascii() else len(text) + sum(char > "\uffff" for char in text)


def slack_escape(text: str, limit: int, *, ending: bool = False) -> str:
    """Escape for Slack, cut so that the escaped text is at most `limit` long and no escape torn.

    Of an `ending` the end is kept.
    """
    escaped = text.translate(_SLACK) if len(text) <= limit else None
    if escaped is not None and units(escaped) <= limit:
        return escaped
    used, kept = 1, []  # 1 for the mark
    for char in reversed(text[-limit:]) if ending else text[:limit]:
        piece = char.translate(_SLACK)
        if used + units(piece) > limit:
            break
        kept.append(piece)
        used += units(piece)
    return "…" + "".join(reversed(kept)) if ending else "".join(kept) + "…"


def moment(iso: str, zone: object) -> str:
    """Give a UTC time in the zone of a name, `2026-11-23 08:00 CET`; other texts as they are.

    Without a name it is in the machine's zone; it always says which, as it is read elsewhere.
    """
    if not _MOMENT.match(iso):
        return iso
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    named = zone_named(zone) if isinstance(zone, str) else None
    return f"{at.astimezone(named):%Y-%m-%d %H:%M %Z}"


def duration(seconds: object) -> str:
    """Give a duration as people say it, and nothing for what is no number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return ""
    return human_duration(seconds)
