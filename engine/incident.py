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
# Numbers that say which trouble it is: how a process ended, what a server or a system answered.
_OF = (
    r"(?:exit(?:ed)?|return|error|status|response|reply)[\s_-]?(?:code|status)|returncode|rc"
    r"|(?:win)?errno|winerror|exit(?:ed\swith)?|signal|sqlstate"
)
_HTTP = r"http(?:/\d(?:\.\d)?)?(?:\serror)?|status"
_CODES = "ERR|E|ORA|TNS|PLS|RMAN|DPI|DPY|SQL|TS|CS|MY"
_ALONE, _END = r"(?<![\w./@\\-])", r"(?![\w/@]|[.,:-]\d|\.\w)"
_COUNTS = r"\s[a-z]"  # `error: 404 rows` counts something
_TELLING = re.compile(
    rf"{_ALONE}(?:(?i:{_OF})(?:\s?[=:(\[]\s?|\s)-?[0-9A-Z]{{0,5}}\d[0-9A-Z]{{0,5}}"
    rf"|(?i:{_HTTP})\s?[=:]?\s?[1-5]\d\d"
    rf"|(?i:error|answered)\s?[=:]?\s?[45]\d\d(?!{_COUNTS})"
    rf"|(?i:error)\s?[(\[]?\d{{1,5}}(?!{_COUNTS})"
    rf"|(?:{_CODES})[_-]?\d{{3,6}}){_END}"
    rf"|(?:^|[:(\[]\s?|(?i:\b(?:error|code|with))\s){_ALONE}[A-Z]{{1,8}}-?\d{{3,5}}(?=[:)\]]|$)"
)
# Out of sight of what follows: they are no digits then.
_KEPT = str.maketrans("0123456789", "".join(chr(0xE000 + digit) for digit in range(10)))
_BACK = {kept: digit for digit, kept in _KEPT.items()}
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

    Numbers, sizes, dates, times, ids, paths, addresses and what is quoted do not count; exit codes,
    signals, HTTP statuses and codes of errors do.
    """
    lines = [line for line in error.splitlines() if line.strip()] or [""]
    first, last = lines[0][:LINE_MAX], lines[-1][:LINE_MAX]
    named = _TYPE.match(first)
    parts = (named[1] if named else "", lasting(first), lasting(last))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


@lru_cache(maxsize=512)  # 0.1 ms each, and many steps fail alike
def lasting(line: str) -> str:
    """Give what of a line stays the same from one failure to the next."""
    line = _TELLING.sub(lambda found: found[0].translate(_KEPT), line.translate(_BACK))
    for changing, instead in _CHANGING:
        line = changing.sub(instead, line)
    return " ".join(line.translate(_BACK).split())


def told(error: str) -> str:
    """Give the line of an error by which an incident is known to people.

    That is its last, or the first if the last points at a place in the line above it.
    """
    lines = [line.strip() for line in error.splitlines() if line.strip()] or [""]
    return (lines[0] if set(lines[-1]) <= set("^~ ") else lines[-1])[:ERROR_MAX]
