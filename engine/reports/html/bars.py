"""Small drawings of many runs: a strip of bars, a calendar of days, a plot of durations.

No colour tells alone: what did not go well has a mark as well, and all have a text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from engine.reports.html.markup import EMPTY, Html, joined
from engine.reports.html.words import count, duration, looks_like, tone, word

GOOD = frozenset(("ok", "cached", "skipped"))
WEEKS = 26

_BAR, _GAP, _HEIGHT = 7, 2, 30
_LEAST = 4  # of a bar, so that it is seen


class Bar(NamedTuple):
    """A run, or what a step came to in one: where it leads, and what it says when pointed at."""

    address: str
    status: str
    duration_s: float | None
    text: str


def strip(bars: Sequence[Bar], places: int) -> Html:
    """Draw runs from the oldest to the newest, each as high as it took long."""
    most = max((bar.duration_s or 0.0 for bar in bars), default=0.0) or 1.0
    width = places * (_BAR + _GAP) - _GAP
    drawn = [_bar(bar, at * (_BAR + _GAP), most) for at, bar in enumerate(bars)]
    return Html(
        '<svg class="strip" role="img" width="{}" height="{}" viewBox="0 0 {} {}" aria-label="{}">'
        "{}</svg>"
    ).format(width, _HEIGHT, width, _HEIGHT, summary(bars), joined(drawn))


def _bar(bar: Bar, x: int, most: float) -> Html:
    share = 0.5 if bar.duration_s is None else min(1.0, bar.duration_s / most)
    height = _LEAST + (_HEIGHT - 10 - _LEAST) * share
    mark = EMPTY
    if looks_like(bar.status) not in GOOD | {"running"}:
        y = _HEIGHT - height - 6
        mark = Html('<path d="M{} {}l5 5m0-5l-5 5"/>').format(x + 1, round(y, 1))
    kind = " on" if bar.status == "running" else ""
    return Html(
        '<a href="{}" tabindex="-1" class="{}{}"><title>{}</title><rect class="room" x="{}" y="0"'
        ' width="{}" height="{}"/><rect x="{}" y="{}" width="{}" height="{}" rx="1"/>{}</a>'
    ).format(
        *(bar.address, tone(bar.status), kind, bar.text, x, _BAR + _GAP, _HEIGHT),
        *(x, round(_HEIGHT - height, 1), _BAR, round(height, 1), mark),
    )


def summary(bars: Sequence[Bar]) -> str:
    """Say how so many runs went: "last 12 runs: 11 ok, 1 failed"."""
    tally: dict[str, int] = {}
    for bar in bars:
        tally[bar.status] = tally.get(bar.status, 0) + 1
    told = ", ".join(f"{many} {word(status)}" for status, many in tally.items())
    return f"last {count(len(bars), 'run')}: {told}" if bars else "no run yet"


# -- days -----------------------------------------------------------------------------------------

_CELL, _STEP_PX = 12, 15
_LEFT, _TOP = 34, 18
_SHADES = 4


def calendar(days: Mapping[str, Mapping[str, int]], today: date, where: Mapping[str, str]) -> Html:
    """Draw half a year of days, a week a column; `where` has the address of each day with runs."""
    monday = today - timedelta(days=today.weekday(), weeks=WEEKS - 1)
    most = max((sum(each.values()) for each in days.values()), default=1)
    cells, months = [], []
    for at in range(WEEKS * 7):
        day = monday + timedelta(days=at)
        x, y = _LEFT + at // 7 * _STEP_PX, _TOP + at % 7 * _STEP_PX
        if at % 7 == 0 and day.day <= 7 and at // 7 < WEEKS - 1:
            months.append(Html('<text x="{}" y="10">{}</text>').format(x, f"{day:%b}"))
        if day <= today:
            name = day.isoformat()
            cells.append(_day(name, days.get(name, {}), most, (x, y), where.get(name, "")))
    names = [
        Html('<text x="0" y="{}">{}</text>').format(_TOP + row * _STEP_PX + 10, name)
        for row, name in ((0, "Mon"), (2, "Wed"), (4, "Fri"))
    ]
    width, height = _LEFT + WEEKS * _STEP_PX, _TOP + 7 * _STEP_PX
    return Html(
        '<svg class="days" role="img" width="{}" height="{}" viewBox="0 0 {} {}" aria-label="{}">'
        "{}</svg>"
    ).format(width, height, width, height, _days_text(days), joined([*months, *names, *cells]))


def _day(name: str, tally: Mapping[str, int], most: int, at: tuple[int, int], to: str) -> Html:
    total = sum(tally.values())
    bad = sum(many for status, many in tally.items() if status not in GOOD | {"running"})
    shade = math.ceil(_SHADES * math.log1p(total) / math.log1p(most)) if total else 0
    told = f"{name}: {count(total, 'run')}" + (f", {bad} not ok" if bad else "")
    x, y = at
    box = Html('<rect x="{}" y="{}" width="{}" height="{}" rx="2"/>').format(x, y, _CELL, _CELL)
    mark = EMPTY
    if bad:
        mark = Html('<path d="M{} {}l6 6m0-6l-6 6"/>').format(x + 3, y + 3)
    kind = f"{tone('failed' if bad else 'ok')} d{shade}" if total else "none"
    cell = Html('<g class="{}"><title>{}</title>{}{}</g>').format(kind, told, box, mark)
    return Html('<a href="{}" tabindex="-1">{}</a>').format(to, cell) if to and total else cell


def _days_text(days: Mapping[str, Mapping[str, int]]) -> str:
    total = sum(sum(each.values()) for each in days.values())
    bad = sum(any(status not in GOOD for status in each) for each in days.values())
    return f"{count(total, 'run')} on {count(len(days), 'day')}; not all ok on {bad}"


# -- durations ------------------------------------------------------------------------------------

_WIDE, _HIGH = 960, 220
_PLOT_LEFT, _PLOT_BOTTOM, _PLOT_TOP, _PLOT_RIGHT = 12, 30, 14, 84
_MARKS_MAX = 5
_STEPS = (
    *(step * 10.0**power for power in range(-6, 0) for step in (1, 2, 5)),
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0),
    *(7200.0, 14_400.0, 21_600.0, 43_200.0, 86_400.0),
)


def plot(bars: Sequence[Bar], median_s: float | None, ends: tuple[str, str]) -> Html:
    """Draw durations over runs, oldest first, with the median as a line; `ends` are their times."""
    step_s, ticks = axis(max((bar.duration_s or 0.0 for bar in bars), default=0.0))
    top = step_s * ticks
    inner = _HIGH - _PLOT_BOTTOM - _PLOT_TOP

    def y_of(seconds: float) -> float:
        return round(_HIGH - _PLOT_BOTTOM - inner * min(1.0, seconds / top), 1)

    room = (_WIDE - _PLOT_LEFT - _PLOT_RIGHT) / max(1, len(bars))
    parts = [_tick(step_s * at, y_of(step_s * at), step_s) for at in range(ticks + 1)]
    for at, bar in enumerate(bars):
        parts.append(_point(bar, round(_PLOT_LEFT + room * (at + 0.5), 1), y_of))
    if median_s is not None:
        y = y_of(median_s)
        line = Html('<line class="median" x1="{}" x2="{}" y1="{}" y2="{}"/>')
        parts.append(line.format(_PLOT_LEFT, _WIDE - _PLOT_RIGHT, y, y))
    for text, x, anchor in (
        (ends[0], _PLOT_LEFT, "start"),
        (ends[1], _WIDE - _PLOT_RIGHT, "end"),
    ):
        label = Html('<text x="{}" y="{}" text-anchor="{}">{}</text>')
        parts.append(label.format(x, _HIGH - 6, anchor, text))
    told = f"durations: {summary(bars)}" + (f"; median {duration(median_s)}" if median_s else "")
    return Html('<svg class="plot" role="img" viewBox="0 0 {} {}" aria-label="{}">{}</svg>').format(
        _WIDE, _HIGH, told, joined(parts)
    )


def _tick(seconds: float, y: float, step_s: float) -> Html:
    return Html(
        '<line class="tick" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}">{}</text>'
    ).format(
        *(_PLOT_LEFT, _WIDE - _PLOT_RIGHT, y, y),
        *(_WIDE - _PLOT_RIGHT + 8, y + 4, _told(seconds, step_s)),
    )


def _point(bar: Bar, x: float, y_of: object) -> Html:
    assert callable(y_of)
    y = y_of(bar.duration_s or 0.0)
    if looks_like(bar.status) in GOOD:
        shape = Html('<circle cx="{}" cy="{}" r="3"/>').format(x, y)
    else:
        shape = Html('<path d="M{} {}l8 8m0-8l-8 8"/>').format(round(x - 4, 1), round(y - 4, 1))
    room = Html('<circle class="room" cx="{}" cy="{}" r="8"/>').format(x, y)
    return Html('<a href="{}" tabindex="-1" class="{}"><title>{}</title>{}{}</a>').format(
        bar.address, tone(bar.status), bar.text, room, shape
    )


def _told(seconds: float, step_s: float) -> str:
    """Give a mark of an axis, as exact as the marks are far apart."""
    if not seconds:
        return "0"
    if step_s < 0.2:
        return f"{seconds * 1000:g}ms"
    return f"{seconds:g}s" if seconds < 60 else duration(seconds)


def axis(most_s: float) -> tuple[float, int]:
    """Give how far apart the marks of an axis are, and how many there are above zero."""
    if most_s <= 0:
        return 1.0, 1
    step_s = next((step for step in _STEPS if step * _MARKS_MAX >= most_s), 0.0)
    if not step_s:
        step_s = float(86_400 * math.ceil(most_s / _MARKS_MAX / 86_400))
    return step_s, max(1, math.ceil(most_s / step_s * 0.999))
