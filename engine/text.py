"""Text for people: made harmless, measured in columns, cut to fit; durations and times in words."""

from __future__ import annotations

import math
import re
import shlex
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache

from engine.zones import mark, only_if_twice

# Controls, line separators, bidi and invisible marks can forge, hide or turn round what is shown;
# lone surrogates cannot be written at all.
_BEYOND_ASCII = (
    "\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f"
)
ELLIPSIS = "…"
ONLY_MAX = 5


@cache
def _hostile() -> re.Pattern[str]:
    """What to escape; it takes 1 ms to compile, and hardly any text needs it."""
    return re.compile(f"[\x00-\x1f{_BEYOND_ASCII}]")


@cache
def _hostile_in_json() -> re.Pattern[str]:
    """What to escape in JSON; the rest JSON itself escapes."""
    return re.compile(f"[{_BEYOND_ASCII}]")


def printable(text: str) -> str:
    r"""Give `text` as one line that shows what it is: a control character as `\x1b` or `\u202e`.

    Doing it twice changes nothing.
    """
    if text.isascii() and text.isprintable():
        return text
    return _hostile().sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable_json(text: str) -> str:
    r"""Give JSON text that means the same and shows what it holds: `\u202e` for the character."""
    return text if text.isascii() else _hostile_in_json().sub(_json_escaped, text)


def _json_escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def printable_lines(text: str) -> list[str]:
    """Give the lines of `text`, printable, with tabs as spaces and no empty ones at the end."""
    lines = text.replace("\r\n", "\n").rstrip().split("\n")
    return [printable(line.expandtabs(4)) for line in lines] if text.strip() else []


def shell_line(words: Sequence[str]) -> str:
    r"""Give a command line to paste into a shell; what cannot be shown stands there as `$'\x0a'`.

    In that form bash, zsh and ksh read it; all others are quoted for any shell.
    """
    return " ".join(_shell_word(word) for word in words)


def _shell_word(word: str) -> str:
    if not _hostile().search(word):
        return shlex.quote(word)
    plain = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{_hostile().sub(_shell_escaped, plain)}'"


def _shell_escaped(match: re.Match[str]) -> str:
    is_byte = "\udc80" <= match[0] <= "\udcff"  # of a name that is not UTF-8
    code = match[0].encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in code)


def columns(text: str) -> int:
    """Count the columns a terminal gives `text`: wide characters take two, combining ones none."""
    return len(text) if text.isascii() else sum(map(_char_columns, text))


def _char_columns(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Give `text` in at most `width` columns, ending in `…` if something is left out."""
    if columns(text) <= width:
        return text
    if width < 1:
        return ""
    left = width - 1
    for position, char in enumerate(text):
        left -= _char_columns(char)
        if left < 0:
            return text[:position].rstrip() + ELLIPSIS
    return text


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill `text` up to `width` columns, on its right or, for figures, on its left."""
    fill = " " * (width - columns(text))
    return fill + text if right else text + fill


def only(steps: Sequence[str]) -> str:
    """Say that a run was bound to these steps: "only fetch, load"; nothing of a whole run."""
    shown = [printable(step) for step in steps[:ONLY_MAX]]
    more = [f"{len(steps) - ONLY_MAX} more"] if len(steps) > ONLY_MAX else []
    return f"only {', '.join([*shown, *more])}" if steps else ""


def human_duration(seconds: float | None) -> str:
    """Give a duration as people say it: "12ms", "0.4s", "2m 05s", "1h 03m", "2d 03h"; `–`: none."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    seconds = max(0.0, seconds)
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f}ms"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    minutes = round(seconds / 60)
    if minutes < 1440:
        return f"{minutes // 60}h {minutes % 60:02}m"
    hours = round(seconds / 3600)
    return f"{hours // 24}d {hours % 24:02}h"


def rough_duration(seconds: float) -> str:
    """Give a duration that need not be exact: "8s", "40s", "3m", "1h 10m", "2d 03h"."""
    whole = round(max(0.0, seconds))
    if whole < 10:
        return f"{max(1, whole)}s"
    if whole < 58:
        return f"{round(whole / 5) * 5}s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes}m"
    return human_duration(round(whole / 300) * 300)


def human_size(size_bytes: int) -> str:
    """Give a size as people say it: "512 B", "3.4 kB", "120 MB"."""
    size, unit = float(size_bytes), "B"
    for bigger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, bigger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"


def human_time(
    iso: str | None, now: datetime, tz: tzinfo | None = None, *, says_zone: bool = False
) -> str:
    """Give a UTC ISO time in `tz` (the machine's zone without it), as near to `now` as it is.

    "today 08:00", "yesterday 08:00", else "2026-11-21 08:00"; `–` for none, and a text that is no
    time as it is. Its zone is added to a time that the clock shows twice, and with `says_zone`
    wherever the machine's clock shows another.
    """
    if not iso:
        return "–"
    try:
        at = datetime.fromisoformat(iso)
        at = at.replace(tzinfo=at.tzinfo or UTC)
        said = mark(at, tz) if says_zone else only_if_twice(at, tz)
        at, here = at.astimezone(tz), now.astimezone(tz)
    except (ValueError, OverflowError):  # no time, or of no year there
        return printable(iso)
    days = (here.date() - at.date()).days
    day = {0: "today", 1: "yesterday", -1: "tomorrow"}.get(days) or at.date().isoformat()
    return f"{day} {at:%H:%M}{said}"
