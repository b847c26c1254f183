"""When two failures are the same trouble: an error without what differs each time. Pure."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

LINE_MAX = 1_000  # what follows tells no two troubles apart
ERROR_MAX = 500

_NUMBER, _QUOTED, _PATH = "0", "'…'", "/…"
_DAYS = r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs?)?|Fri|Sat(?:ur)?|Sun)(?:day)?"
_MONTHS = (
    r"Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?"
)
_WORD = r"[^\W\d_]"  # of a date in any language: `Do 26. Nov 2026`, `4 décembre 10:15`
_DATE = (
    rf"(?:\b{_WORD}{{2,10}}\.?,?\s)?\b\d\d?\.?\s{_WORD}{{3,10}}\.?,?\s(?:\d{{4}}\b|(?=\d\d?:\d))"
)
_ISO = r"\d{4}-\d\d-\d\dT\d\d:?\d\d(?::?\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_UNITS = (
    r"ms|µs|us|ns|[smhd]|secs?|seconds?|mins?|minutes?|hrs?|hours?|days?"
    r"|[kKMGTP]?i?B|bytes|AM|PM|am|pm"
)
_VALUE = rf"\d+(?:[.,:/_-]\d+)*(?:[eE][+-]?\d+)?(?:\s?%|\s?(?:{_UNITS})(?!{_WORD}))?"
# `-5`, `1h30m`, `1 min 20 s`, `1, 2, 3`: how many of them there are differs, too.
_VALUES = rf"(?:(?<![^\s(=:\[])[+-])?{_VALUE}(?:(?:,?\s(?:and\s)?|(?<=[a-zµ])){_VALUE})*"
# In this order: what is quoted may hold a path, a path a number.
_CHANGING = (
    (
        re.compile(r"(?<!\w)(['\"`])(?:(?!\1).)*\1(?!\w)|\u2018[^\u2019]*\u2019|“[^”]*”|«[^»]*»"),
        _QUOTED,
    ),
    (re.compile(rf"{_QUOTED}(?:,\s?{_QUOTED})+"), _QUOTED),
    (re.compile(r"(?<![\w.])(?:[a-z][a-z0-9+.-]*://|~?/|\.{1,2}/)[^\s:,;()\[\]{}'\"<>]*"), _PATH),
    (re.compile(r"(?<![\w./@-])[\w.-]+(?:/[\w.-]+)*/[\w-]*\.\w+"), _PATH),
    (re.compile(r"(?<![\w.+@-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), _QUOTED),
    (re.compile(r"\btmp\w{6,}\b"), _PATH),
    (re.compile(rf"\b{_ISO}(?!\w)"), _NUMBER),
    (re.compile(_DATE), f"{_NUMBER} "),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), _NUMBER),
    (re.compile(r"\b(?=[a-f-]*\d)[0-9a-f]{6,}(?:-[0-9a-f]{4,})*\b", re.IGNORECASE), _NUMBER),
    (re.compile(r"\b(?=(?:[A-Za-z]*\d){3})[0-9A-Za-z]{16,}\b"), _NUMBER),  # an id in any alphabet
    (re.compile(rf"\b(?:{_DAYS}|{_MONTHS})\b"), _NUMBER),
    (re.compile(_VALUES), _NUMBER),
    (re.compile(r"\b(0 [a-z]+[a-rt-z])s\b"), r"\1"),  # `1 row`, `2 rows`
)
_TYPE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(?::|$)")


def fingerprint(error: str) -> str:
    """Name what an error is about: its type, its first and its last line, less what changes.

    Numbers, sizes, dates, times, ids, paths, addresses and what is quoted do not count.
    """
    lines = [line for line in error.splitlines() if line.strip()] or [""]
    first, last = lines[0][:LINE_MAX], lines[-1][:LINE_MAX]
    named = _TYPE.match(first)
    parts = (named[1] if named else "", lasting(first), lasting(last))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


@lru_cache(maxsize=512)  # 0.1 ms each, and many steps fail alike
def lasting(line: str) -> str:
    """Give what of a line stays the same from one failure to the next."""
    for changing, instead in _CHANGING:
        line = changing.sub(instead, line)
    return " ".join(line.split())


def told(error: str) -> str:
    """Give the line of an error by which an incident is known to people."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    if lines and not lines[-1].strip("^~ "):  # it points at a place in a line of source
        return lines[0][:ERROR_MAX]
    return lines[-1][:ERROR_MAX] if lines else ""
