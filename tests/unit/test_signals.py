"""Signals as they come in, also the next one in the middle of the handler of the first."""

from __future__ import annotations

import signal
import sys
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from engine.cli.signals import Stops
from engine.events import Event, StopRequested

if TYPE_CHECKING:
    import pytest

LINES = Stops.handle.__code__


class NoTimer:
    """Would end the process a second after the second signal."""

    def __init__(self, *_: Any) -> None:
        self.daemon = False

    def start(self) -> None:
        """Do nothing."""


def handled_at(instruction: int) -> list[StopRequested] | None:
    """Let SIGTERM come at an instruction of the handling of SIGINT; None if it has fewer."""
    inbox: SimpleQueue[Event] = SimpleQueue()
    stops, seen = Stops(inbox), 0

    def within(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        seen += event == "opcode"
        if event == "opcode" and seen == instruction:
            sys.settrace(None)
            frame.f_trace = None
            stops.handle(signal.SIGTERM, None)
        return within

    def trace(frame: FrameType, _event: str, _arg: Any) -> Any:
        if frame.f_code is not LINES:
            return None
        frame.f_trace_opcodes = True
        return within

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        stops.handle(signal.SIGINT, None)
    finally:
        sys.settrace(before)
    if seen < instruction:
        return None
    return [inbox.get_nowait() for _ in range(inbox.qsize())]  # type: ignore[misc]


def test_a_second_signal_at_any_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was lost now and then: both counted as the first, and the run took its grace."""
    monkeypatch.setattr("engine.cli.signals.threading.Timer", NoTimer)
    instruction = 1
    while (asked := handled_at(instruction)) is not None:
        assert sorted(stop.at_once for stop in asked) == [False, True], instruction
        instruction += 1
    assert instruction > 20
