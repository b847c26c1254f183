"""Signals as they come in, also the next one in the middle of the handler of the first."""

from __future__ import annotations

import argparse
import itertools
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from engine.cli import run
from engine.cli.signals import Stopped, Stops
from engine.events import Event, StopRequested


class NoTimer:
    """Would end the process a second after the second signal."""

    def __init__(self, *_: Any) -> None:
        self.daemon = False

    def start(self) -> None:
        """Do nothing."""


def test_a_second_signal_while_the_first_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was lost now and then: both counted as the first, and the run took its whole grace."""
    monkeypatch.setattr("engine.cli.signals.threading.Timer", NoTimer)
    inbox: SimpleQueue[Event] = SimpleQueue()
    stops, counts = Stops(inbox), itertools.count(1)

    class Interrupted:
        """Counts, and has SIGTERM come in the moment it has counted SIGINT."""

        def __next__(self) -> int:
            count = next(counts)
            if count == 1:
                stops.handle(signal.SIGTERM, None)
            return count

    stops._counts = Interrupted()  # type: ignore[assignment]
    stops.handle(signal.SIGINT, None)
    asked = [inbox.get_nowait() for _ in range(inbox.qsize())]
    assert asked == [StopRequested("SIGTERM", at_once=True), StopRequested("SIGINT")]


def test_a_run_that_outlives_a_stop_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """It had taken the stop: the next one is told again, and the code says that it was stopped."""
    monkeypatch.setattr(run, "step_output", lambda *_: nullcontext())
    told: list[str] = []
    monkeypatch.setattr(run, "print_result", told.append)

    def runs() -> Iterator[dict[str, Any]]:
        for number in range(3):
            if not environment.inbox.empty():
                raise KeyboardInterrupt  # as a run that is not begun yet
            if number == 1:
                signal.raise_signal(signal.SIGTERM)
                environment.inbox.get()
            yield {"dry_run": False, "nothing_to_do": str(number)}

    environment: Any = SimpleNamespace(inbox=SimpleQueue(), secrets=SimpleNamespace(mask=str))
    parsed = argparse.Namespace(json=False, quiet=False)
    console: Any = SimpleNamespace(close=lambda: None, shown=SimpleNamespace(pass_on=None))
    with pytest.raises(Stopped) as caught:
        run.carry_out(parsed, console, environment, runs())
    assert caught.value.number == signal.SIGTERM
    assert told == ["nothing to do: 0", "nothing to do: 1"]
