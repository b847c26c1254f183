"""When two failures are the same trouble: an error without what differs each time. Pure."""

from __future__ import annotations

import hashlib
import re

LINE_MAX = 1_000  # what follows tells no two troubles apart
ERROR_MAX = 500

_NUMBER = "0"
_DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
# In this order: what is quoted may hold a path, a path a number.
_CHANGING = (
    (re.compile(r"(?<!\w)(['\"`])(?:(?!\1).)*\1(?!\w)"), "'…'"),
    (re.compile(r"(?<![\w.])(?:[a-z][a-z0-9+.-]*://|~?/|\.{1,2}/)[^\s:,;()\[\]{}'\"<>]*"), "/…"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), _NUMBER),
    (re.compile(r"\b(?=[a-f-]*\d)[0-9a-f]{6,}(?:-[0-9a-f]{4,})*\b", re.IGNORECASE), _NUMBER),
    (re.compile(rf"\b(?:{_DAYS}|{_MONTHS})\b"), _NUMBER),
    (re.compile(r"\d+(?:[.,:/_-]\d+)*(?:\s?(?:ms|µs|s|m|h|d)\b)?"), _NUMBER),
)
_TYPE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(?::|$)")


def fingerprint(error: str) -> str:
    """Name what an error is about: its type, its first and its last line, less what changes.

    Numbers, hex, times, paths and what is quoted do not count.
    """
    lines = [line for line in error.splitlines() if line.strip()] or [""]
    first, last = lines[0][:LINE_MAX], lines[-1][:LINE_MAX]
    named = _TYPE.match(first)
    parts = (named[1] if named else "", lasting(first), lasting(last))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def lasting(line: str) -> str:
    """Give what of a line stays the same from one failure to the next."""
    for changing, instead in _CHANGING:
        line = changing.sub(instead, line)
    return " ".join(line.split())


def told(error: str) -> str:
    """Give the line of an error by which an incident is known to people."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return lines[-1][:ERROR_MAX] if lines else ""
