"""What a terminal shows of a run while it is on: a block of a few lines below its log. Pure.

A bar with what has ended, what became of it and when the rest is expected to have; then the steps
that run, the longest first, and those that wait for their retry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.events import Action, BackOff, Claim, EndAttempt, EndStep, LeaveBehind, RecordStart
from engine.model import StepStatus
from engine.reports.grid import Cell, paint
from engine.reports.terminal import SLOW
from engine.text import columns, cut, human_duration, pad, printable, rough_duration

if TYPE_CHECKING:
    from engine.eta import Left

LINES_MAX = 10
WAITING_SHOWN = 3  # of the steps in backoff, while more run than there is room for
BAR_MAX = 30
NAME_LEAST = 8

_GAP = "  "
_OK = StepStatus.OK  # through its enum it takes 0.15 µs
_TOLD = {
    StepStatus.FAILED: "red",
    StepStatus.INTERRUPTED: "yellow",
    StepStatus.CANCELLED: "yellow",
    StepStatus.SKIPPED: "dim",
    StepStatus.CACHED: "cyan",
}

Line = list[Cell]


class Progress:
    """How a run stands, by the actions of its committed ticks."""

    def __init__(
        self, names: Sequence[str], ended_as: Sequence[StepStatus | None], workers: int
    ) -> None:
        """Start with the steps that have ended as the run begins; the others have None."""
        self.names = names
        self.ended = bytearray(status is not None for status in ended_as)
        self.counts = Counter(status for status in ended_as if status is not None)
        self.running: dict[int, float] = {}  # since when
        self.waiting: dict[int, tuple[float, int]] = {}  # when they are due, the next attempt
        self.retried: set[int] = set()
        self._queued: dict[int, None] = {}  # claimed ahead of a free worker
        self._workers = workers
        self._ok = 0

    @property
    def done(self) -> int:
        """How many steps have ended."""
        return self._ok + self.counts.total()

    def take(self, actions: Sequence[Action], now: float) -> None:
        """Take a tick's actions, committed at `now`."""
        for action in actions:
            if type(action) is EndAttempt:
                self._free(action.step, now)
            elif type(action) is Claim:
                self._claimed(action)
            elif type(action) is EndStep:
                self._ended(action)
            elif type(action) is BackOff:
                self.waiting[action.step] = action.until, action.number + 1
                self.retried.add(action.step)
            elif type(action) is RecordStart:
                self._queued.pop(action.step, None)
                self.running[action.step] = action.at
            elif type(action) is LeaveBehind:
                self._free(action.step, now)

    def _claimed(self, claim: Claim) -> None:
        if self.waiting:
            self.waiting.pop(claim.step, None)
        if claim.started_at is None:
            self._queued[claim.step] = None
        else:
            self.running[claim.step] = claim.started_at

    def _ended(self, end: EndStep) -> None:
        self.ended[end.step] = 1
        if end.status is _OK:
            self._ok += 1
        else:
            self.counts[end.status] += 1
            self.waiting.pop(end.step, None)

    def _free(self, step: int, now: float) -> None:
        """Let the attempt that was claimed first among those queued take the worker's place."""
        if self.running.pop(step, None) is None:
            self._queued.pop(step, None)
        elif self._queued and len(self.running) < self._workers:
            following = next(iter(self._queued))
            del self._queued[following]
            self.running[following] = now


class Block:
    """Makes the lines of the block: as wide as there is room, at most `LINES_MAX`."""

    def __init__(
        self,
        progress: Progress,
        expected_s: Callable[[int], float | None],
        plain: Callable[[str], str] = str,
    ) -> None:
        """Show `progress`; `plain` gives a text as the terminal is able to show it."""
        self._progress = progress
        self._expected_s = expected_s
        self._plain = plain

    def lines(
        self, now: float, left: Left | None, *, width: int, most: int = LINES_MAX, colour: bool
    ) -> list[str]:
        """Give the lines at an instant; none is as wide as the terminal, where some wrap."""
        head = self._head(left, width)
        rows = self._rows(now, most - len(head))
        steps = [row for row in rows if len(row) > 1]
        wide = max((columns(row[1].text) for row in steps), default=0)
        told = max((columns(row[2].text) for row in steps), default=0)
        wide = min(wide, max(NAME_LEAST, width - len("▶  ") - told))
        for row in steps:
            row[1] = Cell(pad(cut(row[1].text, wide), wide), row[1].colour)
        return [_painted(line, width - 1, colour=colour) for line in [*head, *rows]]

    # -- the whole run ----------------------------------------------------------------------------

    def _head(self, left: Left | None, width: int) -> list[Line]:
        """Give the bar and what it means; the expected end has a line of its own if need be."""
        progress = self._progress
        done, total = progress.done, len(progress.names)
        wide = max(8, min(BAR_MAX, width // 4))
        full = wide * done // total if total else wide
        failed = progress.counts[StepStatus.FAILED]
        bar = Cell("━" * full, "red" if failed else "green")
        line = [bar, Cell("─" * (wide - full), "dim"), Cell(f"{_GAP}{done}/{total}", "bold")]
        told = [
            Cell(f"{progress.counts[status]} {status}", tone)
            for status, tone in _TOLD.items()
            if progress.counts[status]
        ]
        if progress.retried:
            told.append(Cell(f"{len(progress.retried)} retried", "yellow"))
        line = [Cell(self._plain(cell.text), cell.colour) for cell in line]
        room = width - 1 - sum(columns(cell.text) for cell in line)
        for at, cell in enumerate(told):
            gap = Cell(self._plain(" · ") if at else _GAP, "dim")
            room -= columns(gap.text) + columns(cell.text)
            if room < 0:  # half a count would be another
                break
            line += [gap, cell]
        if left is None:
            return [line]
        end = Cell(self._plain(told_left(left)))
        if sum(columns(cell.text) for cell in [*line, end]) + len(_GAP) < width:
            return [[*line, Cell(_GAP), end]]
        return [line, [end]]

    # -- its steps --------------------------------------------------------------------------------

    def _rows(self, now: float, room: int) -> list[Line]:
        progress = self._progress
        running = sorted(progress.running.items(), key=lambda each: (each[1], each[0]))
        waiting = sorted((due, step, number) for step, (due, number) in progress.waiting.items())
        if len(running) + len(waiting) > room:
            room -= 1  # for the line that counts the rest
        waits = max(min(len(waiting), WAITING_SHOWN, room // 2), room - len(running))
        shown_running = running[: max(0, room - min(waits, len(waiting)))]
        shown_waiting = waiting[: max(0, room - len(shown_running))]
        rows = [self._running(step, now - since) for step, since in shown_running]
        rows += [self._waiting(step, due - now, number) for due, step, number in shown_waiting]
        rest = []
        if more := len(running) - len(shown_running):
            rest.append(f"{more} more running")
        if more := len(waiting) - len(shown_waiting):
            rest.append(f"{more} more to be retried")
        if rest and room >= 0:
            rows.append([Cell(self._plain(f"… and {', '.join(rest)}"), "dim")])
        return rows

    def _running(self, step: int, elapsed_s: float) -> Line:
        usual_s = self._expected_s(step)
        tone, text = "", clock(elapsed_s)
        if usual_s is not None:
            is_slow = elapsed_s > SLOW * usual_s and elapsed_s >= 1
            tone, slow = ("yellow", "slow: ") if is_slow else ("", "")
            text += f", {slow}usually {human_duration(usual_s)}"
        return self._row("▶", step, text, tone or "cyan", tone)

    def _waiting(self, step: int, wait_s: float, number: int) -> Line:
        due = f"retry in {clock(wait_s + 0.999)}" if wait_s > 0 else "retry is due"
        return self._row("⏱", step, f"{due}, attempt {number}", "yellow", "")

    def _row(self, sign: str, step: int, text: str, sign_tone: str, tone: str) -> Line:
        name = self._plain(printable(self._progress.names[step]))
        return [
            Cell(f"{self._plain(sign)} ", sign_tone),
            Cell(name, tone),
            Cell(_GAP + self._plain(text), tone),
        ]


def _painted(line: Line, width: int, *, colour: bool) -> str:
    """Give a line in at most `width` columns."""
    parts = []
    for cell in line:
        text = cut(cell.text, width)
        parts.append(paint(text, cell.colour, on=colour and text != ""))
        width -= columns(text)
        if text != cell.text:
            break
    return "".join(parts)


def clock(seconds: float) -> str:
    """Give a time that runs in whole seconds: "7s", "1m 05s"."""
    whole = int(max(0.0, seconds))
    return f"{whole}s" if whole < 60 else human_duration(whole)


def told_left(left: Left) -> str:
    """Say when the run is expected to have ended: "about 3m left (2–5m)"."""
    about = rough_duration(left.about_s)
    if left.low_s is None or left.high_s is None:
        return f"about {about} left"
    low, high = rough_duration(left.low_s), rough_duration(left.high_s)
    if low == high:
        return f"about {about} left"
    if low[-1] == high[-1] and low[:-1].isdecimal() and high[:-1].isdecimal():
        low = low[:-1]  # the same unit
    return f"about {about} left ({low}–{high})"
