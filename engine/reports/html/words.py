"""Statuses, times and durations as pages show them: a word and a sign for every colour."""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any

from engine.model import AttemptOutcome
from engine.reports.html.markup import EMPTY, Html
from engine.reports.terminal import LOOKS
from engine.text import human_duration

_AS_TEXT = dict.fromkeys("▶⏱", "\ufe0e")  # else phones draw them as coloured pictures
_UNKNOWN = "?"
_SHOWN_AS = {
    str(AttemptOutcome.TIMED_OUT): "failed",
    str(AttemptOutcome.ABANDONED): "interrupted",
    "ready": "waiting",
}
_STEADY = 0.1  # so much beside the usual is told as usual


def sign(status: str) -> str:
    """Give the sign of a status."""
    found = LOOKS.get(looks_like(status))
    return found[0] + _AS_TEXT.get(found[0], "") if found else _UNKNOWN


def word(status: str) -> str:
    """Give a status as people read it."""
    return status.replace("_", " ")


def looks_like(status: str) -> str:
    """Give the status whose colour and sign this one, of a step, a run or an attempt, has."""
    return _SHOWN_AS.get(status, status)


def tone(status: str) -> str:
    """Give the class that has the colour of a status, as `--c`."""
    shown = looks_like(status)
    return f"s-{shown}" if shown in LOOKS else "s-unknown"


@lru_cache(maxsize=32)
def badge(status: str) -> Html:
    """Give a status as a sign and a word in its colour."""
    return Html('<span class="badge {}"><i aria-hidden="true">{}</i> {}</span>').format(
        tone(status), sign(status), word(status)
    )


def duration(seconds: float | None) -> str:
    """Give a duration as people say it."""
    return human_duration(seconds)


def clock_time(iso: str | None, zone: tzinfo | None = None) -> Html:
    """Give a UTC time of the store as a time of the zone (without one, of this machine)."""
    if not iso:
        return Html("–")
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return Html.escape(iso)
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    shown = f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
    return Html('<time datetime="{}">{}</time>').format(iso, shown)


def against(took_s: float | None, usual_s: float | None) -> str:
    """Tell a duration against the usual one: "2.1 × its usual 40.0s"; nothing of an unknown one."""
    if took_s is None or not usual_s:
        return ""
    ratio = took_s / usual_s
    usual = duration(usual_s)
    if abs(ratio - 1) <= _STEADY or max(took_s, usual_s) < 0.05:
        return f"its usual {usual}"
    return f"{times(ratio)} its usual {usual}"


def times(ratio: float) -> str:
    """Give a ratio with two figures, more of a large one: "0.45 ×", "2.1 ×", "31 ×"."""
    if not math.isfinite(ratio):
        return "–"
    digits = 0 if ratio >= 9.95 else 1 if ratio >= 0.995 else 2
    return f"{ratio:.{digits}f} ×"


def count(number: int, what: str, many: str = "") -> str:
    """Give a number of things: "1 step", "1,000 steps"."""
    return f"{number:,} {what if number == 1 else many or what + 's'}"


def fact(name: str, value: Any) -> Html:
    """Give a line of a list of facts; nothing of one that is not there."""
    if value is None or value in ("", EMPTY):
        return EMPTY
    return Html("<div><dt>{}</dt><dd>{}</dd></div>").format(name, value)
