"""Draws a run in a terminal while it is on: the log scrolls by above a block that is kept up.

No mode of the terminal is changed and the cursor stays where it can be seen, below the block: there
is nothing to put back, however the command ends. What is drawn goes out in one piece, at most ten
times a second; lines wait for that in memory, so that no slow terminal holds up a step.
"""

from __future__ import annotations

import codecs
import os
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Event
from typing import TextIO

from engine.cli.console import PLAINLY
from engine.cli.log_lines import ConsoleHandler
from engine.cli.watcher import COLUMNS_MIN, ROWS_MIN, size_of
from engine.eta import PLAYED_MAX, Forecast, Left, Standing
from engine.events import Action
from engine.reports.block import LINES_MAX, Block, Progress
from engine.session.environment import Watched

EACH_S = 0.1
HELD_MAX = 10_000  # lines for a terminal that takes none
HALT_S = 1.0  # without a drawing: others may have written here since (Ctrl-Z, then a shell)
ETA_EACH_S = 1.0
ETA_SHARE = 0.01  # of the time at most goes into it


class Display:
    """Draws one run; all of it but `hold` in a thread of its own."""

    def __init__(
        self,
        run: Watched,
        noted: deque[tuple[Sequence[Action], float]],
        handler: ConsoleHandler,
        stream: TextIO,
    ) -> None:
        """Draw `run` by what is noted of it."""
        self._run, self._noted, self._handler, self._stream = run, noted, handler, stream
        self._clock = run.clock
        self._progress = Progress(run.graph.names, run.ended_as, run.workers)
        self._forecast = _forecast(run)
        self._block = Block(self._progress, self._forecast.expected_s, self._plain)
        self._held: deque[str] = deque()
        self._left_out = 0
        self._partial = ""  # of what somebody prints without an end of line
        self._drawn: list[str] = []
        self._drawn_at = self._clock.now()
        self._left: Left | None = None
        self._left_at, self._left_again = 0.0, 0.0

    def go(self, over: Event, *, colour: bool) -> None:
        """Draw until the run is over, then leave nothing but the lines."""
        self._handler.divert(self._hold)
        try:
            self._draw(colour=colour)
            while not over.wait(EACH_S):
                self._draw(colour=colour)
        finally:
            self._handler.divert(None, before=self._leave)

    def _hold(self, text: str) -> None:
        if len(self._held) < HELD_MAX:
            self._held.append(text)
        else:
            self._left_out += 1

    # -- drawing ----------------------------------------------------------------------------------

    def _draw(self, *, colour: bool) -> None:
        now = self._clock.now()
        if now - self._drawn_at > HALT_S:
            self._drawn = []
        while self._noted:
            self._progress.take(*self._noted.popleft())
        lines = self._lines()
        block = self._made(now, colour=colour)
        if lines or block != self._drawn:
            self._write(lines, block)
        self._drawn_at = self._clock.now()

    def _write(self, lines: str, block: list[str]) -> None:
        """Put out lines and a new block in place of the one that is there."""
        up = f"\x1b[{len(self._drawn)}A\r\x1b[J" if self._drawn else ""
        shown = "".join(f"{line}\n" for line in block)
        self._stream.write(f"{up}{lines}{shown}")
        self._stream.flush()
        self._drawn = block

    def _lines(self) -> str:
        """Give the whole lines that have come in."""
        text = self._partial
        while self._held:
            text += self._held.popleft()
        whole, newline, self._partial = text.rpartition("\n")
        if self._left_out:
            whole += f"{newline}… {self._left_out} lines are in the log only"
            newline, self._left_out = "\n", 0
        return whole + newline

    def _made(self, now: float, *, colour: bool) -> list[str]:
        """Give the block, if there is room for it and we are not in the background."""
        wide, high = size_of(self._stream)
        if wide < COLUMNS_MIN or high < ROWS_MIN or _in_background(self._stream):
            return []
        most = min(LINES_MAX, high - 2)
        left = self._estimate(now)
        return self._block.lines(now, left, width=wide, most=most, colour=colour)

    def _leave(self) -> None:
        """Take the block away; what is still held comes out, a line without an end too."""
        with suppress(Exception):
            lines = self._lines()
            if self._partial:
                lines += f"{self._partial}\n"
            self._write(lines, [])

    def _plain(self, text: str) -> str:
        """Give a text as the terminal is able to show it."""
        encoding = self._stream.encoding or "ascii"
        if codecs.lookup(encoding).name == "utf-8":
            return text
        return text.encode(encoding, PLAINLY).decode(encoding, "replace")

    # -- the expected end -------------------------------------------------------------------------

    def _estimate(self, now: float) -> Left | None:
        """Ask again once a second, or less often where that takes long; count down in between."""
        if now >= self._left_again:
            begun = self._clock.cpu_s()
            progress = self._progress
            standing = Standing(
                {step: now - since for step, since in progress.running.items()},
                {step: max(0.0, due - now) for step, (due, _) in progress.waiting.items()},
                progress.ended,
            )
            self._left = self._forecast.left(standing, now - self._run.begun_at)
            self._left_at = now
            took = max(0.0, self._clock.cpu_s() - begun)
            self._left_again = now + max(ETA_EACH_S, took / ETA_SHARE)
        return self._left and self._left.later(now - self._left_at)


def _forecast(run: Watched) -> Forecast:
    names = run.graph.names
    took: list[list[float]] = []
    if not run.weights or len(names) <= PLAYED_MAX:
        recent: Mapping[str, Sequence[int]] = {}
        with suppress(Exception):  # without it the rest is there to be shown
            recent = run.recent()
        took = [[each / 1e6 for each in recent.get(name, ())] for name in names]
    usual = [] if took else [weight / 1e6 for weight in run.weights]
    return Forecast(run.graph, run.workers, took, usual)


def _in_background(stream: TextIO) -> bool:
    """Tell whether the terminal is another's now: a job started with `&` draws nothing."""
    try:
        return os.tcgetpgrp(stream.fileno()) != os.getpgrp()
    except OSError:  # not the terminal that controls us: nobody else has it
        return False
