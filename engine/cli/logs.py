"""`logs`: what the steps of a run logged and printed, also while they still do."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.cli import project
from engine.cli.console import print_json, print_parts, print_result
from engine.cli.reading import load_reading, reading_history
from engine.cli.signals import Stopped
from engine.clock import SystemClock
from engine.errors import UsageError
from engine.logs import attempt_of
from engine.text import printable

if TYPE_CHECKING:
    from store.history import History

EACH_S = 0.2
LOOKING_SHARE = 5  # times as long as a look takes, the next is waited for


class _Log(NamedTuple):
    """The log of one attempt; sorts by the step's place in the definition."""

    place: int
    number: int
    step: str
    path: Path

    @property
    def head(self) -> str:
        return f"── {self.step}, attempt {self.number}: {self.path}\n"


def logs(parsed: argparse.Namespace) -> int:
    """Print what is there; with `--follow`, go on until the run ends."""
    load_reading()
    paths = project.paths_of(parsed)
    with reading_history(paths) as past:
        run = past.run(past.find(parsed.run))
        secrets = project.secrets_of(paths)
        of_run = _LogsOf(past, run, paths.home, parsed.step, secrets.mask)
        of_run.check()
        if parsed.follow:
            return _follow(of_run)
        there = of_run.there()
    if parsed.json:
        print_json(
            [
                {"step": log.step, "attempt": log.number, "file": str(log.path), "lines": lines}
                for log in there
                for lines in [of_run.text(log).splitlines()]
            ]
        )
        return 0
    for log in there:
        print_parts([log.head, *(f"{line}\n" for line in of_run.text(log).splitlines())])
    if not there:
        _say_nothing(of_run)
    return 0


def _say_nothing(of_run: _LogsOf) -> None:
    of = f" by '{printable(of_run.step)}'" if of_run.step is not None else ""
    print_result(f"nothing was logged or printed{of} in run {of_run.run_id}")


class _LogsOf:
    """The logs in a run's folder, of one step only if it is given."""

    def __init__(
        self,
        past: History,
        run: dict[str, Any],
        home: Path,
        step: str | None,
        mask: Callable[[str], str],
    ) -> None:
        self._past = past
        self.mask = mask  # what was no secret when it was written may be one
        self.run_id: int = run["run_id"]
        self.step = step
        self._folder = home / "logs" / run["workflow"] / str(self.run_id)
        self._places: dict[str, int] = {}  # of the steps that are known; others are none of its own

    def check(self) -> None:
        """Refuse a step that the run does not have."""
        if self.step is None or self.step in self._past.positions(self.run_id, [self.step]):
            return
        raise UsageError(
            f"run {self.run_id} has no step '{self.step}'",
            hint=f"its steps: {', '.join(self._past.first_steps(self.run_id, 20))}",
        )

    def is_on(self) -> bool:
        """Whether the run is on: one whose engine is dead has ended."""
        return bool(self._past.run(self.run_id)["status"] == "running")

    def there(self) -> list[_Log]:
        """Give the logs that are there, in declaration order, then by attempt."""
        found = list(self._found())
        if new := {step for step, _, _ in found} - self._places.keys():
            self._places |= dict.fromkeys(new, -1) | self._past.positions(self.run_id, new)
        places = self._places
        return sorted(
            _Log(places[step], number, step, path)
            for step, number, path in found
            if places[step] >= 0
        )

    def text(self, log: _Log) -> str:
        """Give what is in a log."""
        return self.mask(log.path.read_text(encoding="utf-8", errors="replace"))

    def _found(self) -> Iterator[tuple[str, int, Path]]:
        try:
            names = os.listdir(self._folder)  # noqa: PTH208 - names, of a folder with thousands
        except OSError:
            return
        for name in names:
            log = attempt_of(name)
            if log and self.step in (None, log[0]):
                yield *log, self._folder / name


def _follow(of_run: _LogsOf) -> int:
    """Print whole lines as they come, under the head of their attempt, until the run has ended."""
    clock, read, last = SystemClock(), dict[Path, int](), None
    try:
        while True:
            begun = clock.now()
            is_on = of_run.is_on()  # asked first: what comes before its end is read below
            for log in of_run.there():
                at = read.get(log.path, 0)
                if data := _new_lines(log.path, at, whole=is_on):
                    read[log.path] = at + len(data)
                    head = [] if log == last else [log.head]
                    if not print_parts([*head, of_run.mask(data.decode("utf-8", "replace"))]):
                        return 0
                    last = log
            if not is_on:
                break
            Event().wait(max(EACH_S, LOOKING_SHARE * (clock.now() - begun)))
    except KeyboardInterrupt as stop:
        return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
    if last is None:
        _say_nothing(of_run)
    return 0


def _new_lines(path: Path, at: int, *, whole: bool) -> bytes:
    """Give what a log has from a place on; of a run that is on, whole lines only."""
    try:
        if path.stat().st_size <= at:
            return b""
        with path.open("rb") as file:
            file.seek(at)
            data = file.read()
    except OSError:  # pruned meanwhile
        return b""
    return data[: data.rfind(b"\n") + 1] if whole else data
