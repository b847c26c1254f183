"""What is drawn in a terminal while a run is on, drawing by drawing."""

from __future__ import annotations

import io
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.cli import display, watcher
from engine.cli.console import prepare_streams
from engine.cli.display import Display
from engine.cli.log_lines import ConsoleHandler
from engine.cli.step_output import StepOutput
from engine.cli.watcher import is_wanted
from engine.errors import StoreBusy
from engine.events import Action, BackOff, Claim, EndAttempt, EndStep
from engine.model import AttemptOutcome, StepStatus
from engine.session.environment import Watched
from tests.builders import graph_of
from tests.fakes import FakeClock
from tests.screen import Screen

if TYPE_CHECKING:
    from engine.clock import SystemClock


class Terminal(io.StringIO):
    """A terminal that tells its size, and shows what was written at each flush."""

    encoding = "utf-8"

    def __init__(self) -> None:
        """Begin empty, of 60 columns and 24 rows."""
        super().__init__()
        self.screen = Screen(60)
        self.size = (60, 24)
        self.writes: list[str] = []

    def isatty(self) -> bool:
        """It is one."""
        return True

    def write(self, text: str) -> int:
        """Show it."""
        self.writes.append(text)
        self.screen.feed(text)
        return len(text)


class Drawn:
    """A display of a run of four steps at a virtual clock."""

    def __init__(self, recent: Callable[[], dict[str, Sequence[int]]]) -> None:
        """Begin it; `recent` reads what its steps took lately."""
        self.terminal, self.clock, self.noted = Terminal(), FakeClock(), deque[Any]()
        self.handler = ConsoleHandler(self.terminal)
        self.handler.setFormatter(logging.Formatter("%(message)s"))
        graph = graph_of("a b>a c>a d>b,c")
        clock = cast("SystemClock", self.clock)
        self.run = run = Watched(graph, 2, [None] * 4, (), recent, clock, 0.0)
        self.display = Display(run, self.noted, self.handler, self.terminal)
        self.handler.divert(self.display._hold)

    def note(self, *actions: Action) -> None:
        """Let a tick be committed now."""
        self.noted.append((actions, self.clock.now()))

    def say(self, text: str) -> None:
        """Log a line."""
        self.handler.handle(logging.LogRecord("x", logging.INFO, "", 0, text, None, None))

    def shown(self, at: float) -> list[str]:
        """Draw at an instant; gives the screen."""
        self.clock.pass_to(at)
        self.display._drawn_at = at
        self.display._draw(colour=False)
        return self.terminal.screen.shown

    def left(self) -> list[str]:
        """End the display; gives what it leaves."""
        self.handler.divert(None, before=self.display._leave)
        return self.terminal.screen.shown


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Give a display of steps whose last runs are known."""
    size_of = cast("Any", lambda terminal: terminal.size)
    monkeypatch.setattr(display, "size_of", size_of)
    monkeypatch.setattr(watcher, "size_of", size_of)
    monkeypatch.setattr(display, "_in_background", lambda _stream: False)
    return Drawn(lambda: dict.fromkeys("abcd", (10_000_000, 20_000_000, 30_000_000)))


def claim(step: int, at: float) -> Claim:
    """Claim a first attempt."""
    return Claim(step, 1, at, report=False)


def test_lines_go_above_the_block(drawn: Drawn) -> None:
    """Whole, in order, also those longer than the terminal is wide; at the end they alone stay."""
    drawn.note(claim(0, 0.0))
    drawn.say("one")
    block = ["───────────────  0/4  about 1m left (30s–2m)", "▶ a  0s, usually 20.0s", ""]
    assert drawn.shown(0.0) == ["one", *block]
    drawn.say("two" * 30)
    drawn.say("three")
    lines = ["one", ("two" * 30)[:60], ("two" * 30)[60:], "three"]
    block[1] = "▶ a  1s, usually 20.0s"
    assert drawn.shown(1.0)[:4] == lines
    assert drawn.shown(1.0)[5:] == block[1:]
    before = len(drawn.terminal.writes)
    assert drawn.shown(1.5)[:4] == lines
    assert len(drawn.terminal.writes) == before  # nothing new to show
    drawn.say("four")
    drawn.handler.pass_on("with no end")
    assert drawn.left() == [*lines, "four", "with no end", ""]
    drawn.say("after")
    assert drawn.terminal.screen.shown[-2:] == ["after", ""]


def test_the_end_is_asked_for_once_a_second_and_counted_down(drawn: Drawn) -> None:
    """A step that failed waits for its retry; nobody is asked more often than it is worth."""
    drawn.note(claim(0, 0.0))
    drawn.shown(0.0)
    failed = EndAttempt(0, 1, AttemptOutcome.FAILED, 0.0, 0.4)
    drawn.clock.pass_to(0.4)
    drawn.note(failed, BackOff(0, 1, 30.0))
    assert drawn.shown(0.5)[:2] == [
        "───────────────  0/4  1 retried  about 1m left (30s–2m)",
        "⏱ a  retry in 30s, attempt 2",
    ]
    assert drawn.shown(1.0)[0] == "───────────────  0/4  1 retried  about 1m left (1–2m)"


@pytest.mark.usefixtures("drawn")
def test_without_history_the_rest_is_shown() -> None:
    """Whatever kept it from being read."""

    def unreadable() -> dict[str, Sequence[int]]:
        raise StoreBusy("the store is busy")

    bare = Drawn(unreadable)
    bare.note(claim(0, 0.0))
    assert bare.shown(2.0) == ["───────────────  0/4", "▶ a  2s", ""]


def test_no_room_no_block(drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a window made too small, or in the background, lines come alone; then it is back."""
    drawn.note(claim(0, 0.0))
    assert len(drawn.shown(0.0)) == 3
    drawn.terminal.size = (39, 24)
    drawn.say("small")
    assert drawn.shown(0.1) == ["small", ""]
    drawn.terminal.size = (60, 4)
    assert drawn.shown(0.2) == ["small", ""]
    drawn.terminal.size = (60, 24)
    monkeypatch.setattr(display, "_in_background", lambda _stream: True)
    assert drawn.shown(0.3) == ["small", ""]
    monkeypatch.setattr(display, "_in_background", lambda _stream: False)
    assert len(drawn.shown(0.4)) == 4


def test_after_a_halt_nothing_of_others_is_wiped_out(drawn: Drawn) -> None:
    """Whoever stopped the run with Ctrl-Z has used the terminal since."""
    drawn.note(claim(0, 0.0))
    drawn.shown(0.0)
    drawn.terminal.write("$ fg\n")
    drawn.clock.pass_to(9.0)
    drawn.display._draw(colour=False)
    shown = drawn.terminal.screen.shown
    assert shown[2] == "$ fg"
    assert shown[4] == "▶ a  9s, usually 20.0s"


def test_a_terminal_that_takes_nothing_fills_no_memory(
    drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines beyond a bound are counted, and are in the log."""
    monkeypatch.setattr(display, "HELD_MAX", 2)
    for number in range(5):
        drawn.say(f"line {number}")
    assert drawn.shown(0.0)[:3] == ["line 0", "line 1", "… 3 lines are in the log only"]


def test_a_terminal_without_our_signs_gets_others(drawn: Drawn) -> None:
    """As wide as they are."""
    drawn.terminal.encoding = "ascii"
    prepare_streams()
    drawn.note(claim(0, 0.0))
    drawn.note(EndAttempt(0, 1, AttemptOutcome.OK, 0.0, 1.0), EndStep(0, StepStatus.OK, 1.0))
    drawn.note(claim(1, 0.0))
    drawn.note(EndAttempt(1, 1, AttemptOutcome.FAILED, 0.0, 1.0))
    drawn.note(EndStep(1, StepStatus.FAILED, 1.0), EndStep(3, StepStatus.SKIPPED, 1.0))
    drawn.note(claim(2, 0.0))
    assert drawn.shown(0.0)[:2] == [
        "###########----  3/4  1 failed . 1 skipped",
        "about 20s left (10-30s)",
    ]


def test_what_others_print_does_not_break_the_block(drawn: Drawn) -> None:
    """A thread that a step has started prints to the terminal: its lines go above as well."""
    output = StepOutput(drawn.terminal, "out", str.upper, drawn.handler.pass_on)
    drawn.note(claim(0, 0.0))
    drawn.shown(0.0)
    output.write("from ")
    output.write("a thread\n")
    assert drawn.shown(0.1)[0] == "FROM A THREAD"
    drawn.left()
    output.write("later\n")
    assert drawn.terminal.screen.shown == ["FROM A THREAD", "LATER", ""]


def test_a_display_that_fails_leaves_plain_lines(
    drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no memory of what it would have drawn; the run hears nothing of it."""
    monkeypatch.setattr(watcher, "APPEARS_AFTER_S", 0.0)
    monkeypatch.setattr(display, "_in_background", lambda _stream: 1 / 0)
    drawn.handler.divert(None)
    looking = watcher.Watch(drawn.handler, drawn.terminal, colour=False)
    looking.note([claim(0, 0.0)], 0.0)
    looking.begin(drawn.run)
    assert looking._thread is not None
    looking._thread.join()
    looking.note([claim(1, 0.0)], 0.0)
    assert not looking._noted
    looking.end()
    drawn.say("a line")
    assert drawn.terminal.screen.shown == ["a line", ""]


def test_who_is_shown_a_block(drawn: Drawn) -> None:
    """A person at a terminal that can be drawn in and is wide enough, and no machine."""
    terminal = drawn.terminal
    assert is_wanted(terminal, {"TERM": "xterm", "NO_COLOR": "1"})
    for environ in ({}, {"TERM": "dumb"}, {"TERM": "xterm", "CI": "true"}):
        assert not is_wanted(terminal, environ)
    terminal.size = (39, 24)
    assert not is_wanted(terminal, {"TERM": "xterm"})
    assert not is_wanted(io.StringIO(), {"TERM": "xterm"})
    assert not is_wanted(None, {"TERM": "xterm"})
