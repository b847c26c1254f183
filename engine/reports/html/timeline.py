"""The timeline of a run: a row for each step, or a lane for each worker where those are many.

Places are shares of the row's width, so that it fits any screen, and text in it is not stretched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.records import record
from engine.reports.html.critical import Link
from engine.reports.html.facts import Attempt
from engine.reports.html.lanes import Bar, lanes, merged
from engine.reports.html.markup import EMPTY, Html, joined
from engine.reports.html.words import count, duration, looks_like, sign, tone, word
from engine.text import printable

ROWS_MAX = 80  # of more steps, lanes are shown
LANES_MAX = 64
IDLE_MAX = 6  # more steps that did not begin are folded away
_PIXELS = 900  # a row has about so many: shorter bars cannot be seen apart
_NICE_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_TICKS_MAX = 6
_DAY_S = 86_400

_ROW = Html(
    '<li{way}><a class="name" href="#s{step}">{sign} {name}</a>{what}'
    '<span class="num soft">{took}</span></li>'
)
_PICTURE = Html('<svg role="img"><title>{told}</title>{parts}</svg>')
_WAY = Html(' class="way"')
_SIGN = Html('<i class="badge {}" aria-hidden="true">{}</i>')


class Axis(NamedTuple):
    """From `start`, so many ticks of so many seconds."""

    start: float
    tick_s: float
    ticks: int

    @property
    def length_s(self) -> float:
        """What the whole width stands for."""
        return self.tick_s * self.ticks

    def share(self, at: float) -> float:
        """Give the place of a moment, in hundredths of the width."""
        return min(100.0, max(0.0, 100 * (at - self.start) / self.length_s))


@record
class Times:
    """What a timeline is drawn from; `path` is the critical one."""

    steps: Sequence[Mapping[str, Any]]
    attempts: Sequence[Attempt]
    axis: Axis
    end: float
    path: Sequence[Link]


def axis_of(start: float, end: float) -> Axis:
    """Give an axis with round ticks that holds both moments: two to six of them."""
    length = max(end - start, 1e-3)
    return Axis(start, *_ticks(length))


def _ticks(length_s: float) -> tuple[float, int]:
    tick = 1e-4
    while tick < 1:  # 1, 2, 5, 10 … of the parts of a second
        for factor in (1, 2, 5):
            if length_s <= tick * factor * _TICKS_MAX:
                return tick * factor, -int(-length_s // (tick * factor))
        tick *= 10
    tick = next((nice for nice in _NICE_S if length_s <= nice * _TICKS_MAX), 0)
    while not tick or length_s > tick * _TICKS_MAX:
        tick = tick * 2 if tick else _DAY_S
    return tick, max(1, -int(-length_s // tick))


def timeline(times: Times) -> Html:
    """Draw it: rows if there are few steps, else lanes."""
    rows = _rows(times) if len(times.steps) <= ROWS_MAX else _lanes(times)
    return Html('<ol class="time ticks-{}">{}{}</ol>').format(
        times.axis.ticks, _axis(times.axis), joined(rows)
    )


def _axis(axis: Axis) -> Html:
    """Label the ticks, from the run's start on."""
    shape = Html('<text x="{:.4g}%" y="16">{}</text>')
    labels = [
        shape.format(100 * at / axis.ticks, _since(at * axis.tick_s) if at else "0")
        for at in range(axis.ticks + 1)
    ]
    return Html(
        '<li class="axis" aria-hidden="true"><span></span><svg>{}</svg><span></span></li>'
    ).format(joined(labels))


def _since(seconds: float) -> str:
    """Give a tick's label, without what is always nought."""
    if seconds < 1:
        return f"{seconds * 1000:.4g}ms"
    if seconds < 60:
        return f"{seconds:.4g}s"
    text = duration(seconds)
    return text.removesuffix(" 00s").removesuffix(" 00m").removesuffix(" 00h")


# -- a row for each step --------------------------------------------------------------------------


def _rows(times: Times) -> list[Html]:
    tries: dict[int, list[Attempt]] = {}
    for one in times.attempts:
        if one.started is not None:
            tries.setdefault(one.step, []).append(one)
    links = {link.step: link for link in times.path}
    late = float("inf")
    order = sorted(
        range(len(times.steps)),
        key=lambda step: (tries[step][0].started or late if step in tries else late, step),
    )
    rows = [_row(times, step, tries.get(step, ()), links.get(step)) for step in order]
    if len(rows) - len(tries) <= IDLE_MAX:
        return rows
    shape = Html(
        '<li class="idle"><details><summary>{}</summary><ol class="time">{}</ol></details>'
    )
    idle = f"{count(len(rows) - len(tries), 'step')} that did not begin"
    return [*rows[: len(tries)], shape.format(idle, joined(rows[len(tries) :]))]


def _row(times: Times, step: int, tries: Sequence[Attempt], link: Link | None) -> Html:
    row = times.steps[step]
    status = row["status"]
    if tries:
        parts = [_attempt(times, one, status) for one in tries]
        parts += [_waits(times, tries), _usual(times, tries[-1], row.get("expected_s"))]
        parts.append(_way(times, tries, link))
        told = "; ".join(filter(None, [*_told(times, tries), _told_way(link)]))
        what = _PICTURE.format(told=told, parts=joined(parts))
    else:
        why = row.get("note") or (f"from run {row['source_run']}" if row.get("source_run") else "")
        what = Html('<span class="why"><span class="badge {}">{}</span>{}</span>').format(
            tone(status), word(status), f" {why}" if why else ""
        )
    took = row.get("duration_s")
    if tries and tries[-1].outcome is None:
        took = times.end - (tries[0].started or 0.0)
    return _ROW.format(
        way=_WAY if link else EMPTY,
        step=step,
        sign=_SIGN.format(tone(status), sign(status)),
        name=row["name"],
        what=what,
        took=duration(took) if tries and took is not None else "",
    )


def _attempt(times: Times, one: Attempt, status: str) -> Html:
    start = times.axis.share(one.started or 0.0)
    end = times.axis.share(times.end if one.finished is None else one.finished)
    return _bar(start, end, "skipped" if status == "skipped" else one.outcome)


def _bar(start: float, end: float, outcome: str | None) -> Html:
    """Draw an attempt: its shape says how it ended, not its colour alone.

    Solid: ok; with a cap: failed; hatched, with a cap: timed out; half as high, with a cap: stopped
    or lost; open: still running, or skipped as it had begun.
    """
    shape = Html('<rect class="{} {}" x="{:.4g}%" width="{:.4g}%"/>')
    width = max(end - start, 0.12)
    if outcome in (None, "skipped"):
        return shape.format("a-open", tone(outcome or "running"), start, width)
    if outcome == "ok":
        return shape.format("a", "s-ok", start, width)
    kind = "a" if looks_like(outcome) == "failed" else "a-lost"
    kind = "a-late" if outcome == "timed_out" else kind
    cap = Html('<svg x="{:.4g}%"><path class="cap {}" d="M1.5 1V21"/></svg>')
    bar = shape.format(kind, tone(outcome), start, width)
    return bar + cap.format(end, tone(outcome))


def _waits(times: Times, tries: Sequence[Attempt]) -> Html:
    """Draw the waits between attempts."""
    shape = Html('<line class="a-wait s-backing_off" x1="{:.4g}%" x2="{:.4g}%" y1="11" y2="11"/>')
    parts = []
    for one, following in zip(tries, [*tries[1:], None], strict=True):
        until = one.retry_at if following is None else following.started
        if one.finished is None or until is None:
            continue
        start, end = times.axis.share(one.finished), times.axis.share(until)
        if end - start > 0.1:
            parts.append(shape.format(start, end))
    return joined(parts)


def _usual(times: Times, last: Attempt, expected_s: float | None) -> Html:
    """Mark where the last attempt would have ended by what it usually takes."""
    if not expected_s or last.started is None or expected_s < times.axis.length_s / 100:
        return EMPTY
    at = last.started + expected_s
    if at > times.axis.start + times.axis.length_s:
        return EMPTY
    shape = Html('<line class="a-usual" x1="{0:.4g}%" x2="{0:.4g}%" y1="2" y2="20"/>')
    return shape.format(times.axis.share(at))


def _way(times: Times, tries: Sequence[Attempt], link: Link | None) -> Html:
    """Underline a step of the critical path, from when it could have begun."""
    if link is None or tries[0].started is None:
        return EMPTY
    last = tries[-1]
    start = times.axis.share(tries[0].started - link.waited_s)
    end = times.axis.share(times.end if last.finished is None else last.finished)
    shape = Html('<rect class="a-way" x="{:.4g}%" width="{:.4g}%"/>')
    return shape.format(start, max(end - start, 0.12))


def _told(times: Times, tries: Sequence[Attempt]) -> list[str]:
    """Tell in words what the bars show."""
    told = []
    for one, following in zip(tries, [*tries[1:], None], strict=True):
        begun = one.started or 0.0
        ended = times.end if one.finished is None else one.finished
        how = "running for" if one.outcome is None else f"{word(one.outcome)} after"
        at = f" (at +{duration(begun - times.axis.start)})"
        if one.outcome and one.finished is None:
            told.append(f"attempt {one.number} lost with its engine{at}")
            continue
        told.append(f"attempt {one.number} {how} {duration(ended - begun)}{at}")
        until = one.retry_at if following is None else following.started
        if one.finished is not None and until is not None and until > one.finished:
            told.append(f"waited {duration(until - one.finished)} to retry")
    return told


def _told_way(link: Link | None) -> str:
    if link is None:
        return ""
    if link.after == "worker":
        return "on the critical path, once a worker was free"
    return "on the critical path"


# -- a lane for each worker -----------------------------------------------------------------------


def _lanes(times: Times) -> list[Html]:
    found = lanes(times.attempts, times.end)
    rows = [_path_lane(times)] if times.path else []
    for number, lane in enumerate(found[:LANES_MAX], 1):
        rows.append(_lane(times, number, merged(lane, times.end, times.axis.length_s / _PIXELS)))
    if len(found) > LANES_MAX:
        more = f"and {count(len(found) - LANES_MAX, 'worker')} more"
        rows.append(Html('<li><span class="soft">{}</span></li>').format(more))
    return rows


def _lane(times: Times, number: int, bars: Sequence[Bar]) -> Html:
    parts = [_lane_bar(times, bar) for bar in bars]
    span = max(times.end - times.axis.start, 1e-9)
    busy = min(1.0, sum(bar.end - bar.start for bar in bars) / span)
    attempts = count(sum(bar.attempts for bar in bars), "attempt")
    shape = Html(
        '<li><span class="name">worker {}</span><svg role="img" aria-label="{}">{}</svg>'
        '<span class="num soft" title="share of the time it was busy">{}</span></li>'
    )
    told = f"worker {number}: {attempts}, busy {busy:.0%}"
    return shape.format(number, told, joined(parts), f"{busy:.0%}")


def _lane_bar(times: Times, bar: Bar) -> Html:
    start, end = times.axis.share(bar.start), times.axis.share(bar.end)
    shown = _bar(start, end, bar.outcome)
    name = printable(times.steps[bar.step]["name"])
    how = word(bar.outcome or "running")
    if bar.attempts > 1:
        title = f"{bar.attempts:,} attempts {how}, from {name}"
    else:
        title = f"{name}: {how}, {duration(bar.end - bar.start)}"
    return Html("<g><title>{}</title>{}</g>").format(title, shown)


def _path_lane(times: Times) -> Html:
    """Draw the critical path as a lane of its own."""
    tries: dict[int, list[Attempt]] = {}
    for one in times.attempts:
        if one.started is not None:
            tries.setdefault(one.step, []).append(one)
    parts = []
    for link in times.path:
        own = tries[link.step]
        parts += [_lane_bar(times, bar) for bar in merged(own, times.end, 0.0)]
        parts.append(_waits(times, own))
    shape = Html(
        '<li class="way"><span class="name">critical path</span>'
        '<svg role="img" aria-label="critical path of {}">{}</svg><span></span></li>'
    )
    return shape.format(count(len(times.path), "step"), joined(parts))


def legend(times: Times) -> Html:
    """Say what the shapes mean; only of those that are there."""
    outcomes = {one.outcome for one in times.attempts if one.started is not None}
    shapes: list[tuple[Html, str]] = []
    for outcome, text in (
        ("ok", "ok"),
        ("failed", "failed"),
        ("timed_out", "timed out"),
        ("abandoned", "lost with its engine"),
        ("interrupted", "interrupted"),
        ("cancelled", "cancelled"),
        (None, "running"),
    ):
        if outcome in outcomes:
            shapes.append((_bar(5, 90, outcome), text))
    rows = len(times.steps) <= ROWS_MAX
    if any(one.retry_at is not None for one in times.attempts):
        wait = Html('<line class="a-wait s-backing_off" x1="0" x2="100%" y1="11" y2="11"/>')
        shapes.append((wait, "waits for its retry"))
    if rows and any(row.get("expected_s") for row in times.steps):
        usual = Html('<line class="a-usual" x1="50%" x2="50%" y1="2" y2="20"/>')
        shapes.append((usual, "would usually end"))
    if rows and times.path:
        way = Html('<rect class="a-way" width="100%"/>')
        shapes.append((way, "critical path"))
    shape = Html('<span><svg aria-hidden="true">{}</svg>{}</span>')
    return Html('<p class="legend">{}</p>').format(joined(shape.format(*one) for one in shapes))


def path_told(times: Times) -> Html:
    """Tell the critical path in words, with a link to each of its steps."""
    if not times.path:
        return EMPTY
    parts = [_link(times, link) for link in times.path]
    if len(parts) > 9:
        parts = [*parts[:4], Html("… {} more …").format(len(parts) - 8), *parts[-4:]]
    return Html('<p class="soft">Critical path: {}</p>').format(joined(parts, " → "))


def _link(times: Times, link: Link) -> Html:
    row = times.steps[link.step]
    wait = ", once a worker was free" if link.after == "worker" else ""
    took = row.get("duration_s")
    told = word(row["status"]) if took is None else duration(took)
    return Html('<a href="#s{}">{}</a> ({}{})').format(link.step, row["name"], told, wait)
