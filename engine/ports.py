"""The seams of the engine, as Protocols; each docstring is a contract for every implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from engine.alert import AlertRow, Failure
from engine.errors import ContextKeyError
from engine.events import Action, Event
from engine.produced import Encoded, OutputFile
from engine.records import record


class Clock(Protocol):
    """Time and randomness, the only way into the engine for either."""

    def now(self) -> float:
        """Monotonic seconds; never goes back, has no meaning outside this process."""

    def cpu_s(self) -> float:
        """Seconds that this process has computed, all its threads together."""

    def stamp(self, at: float) -> int:
        """Microseconds since 1970 UTC of the monotonic instant `at`."""

    def instant(self, stamp_us: int) -> float:
        """Turn microseconds since 1970 UTC back into a monotonic instant."""

    def utc(self) -> datetime:
        """Wall time now, UTC.

        Anchored once when the clock is made: a clock change in mid-run moves no recorded time.
        """

    def random(self) -> float:
        """Draw evenly from [0, 1)."""


class Job(NamedTuple):
    """An attempt handed to a worker: which, and whether its start is to be reported.

    Of those that are queued the one with the lowest `rank` goes first.
    """

    step: int
    number: int
    report: bool
    rank: int = 0


# Of a tuple of all fields: see `engine.events`.
new_job: Callable[[tuple[int, int, bool, int]], Job]
new_job = partial(tuple.__new__, Job)


class Workers(Protocol):
    """Where attempts run. Called from the runner's thread only."""

    def dispatch(self, jobs: Sequence[Job]) -> None:
        """Queue attempts, sorted by rank, among those that are queued.

        Each gives exactly one `AttemptFinished` or `AttemptWithdrawn`. A body's exceptions never
        come out here: they are outcomes.
        """

    def wait(self, timeout_s: float | None) -> list[Event]:
        """Block until something happened or `timeout_s` has passed; give all pending events."""

    def begun(self) -> Sequence[Event]:
        """Give an `AttemptStarted` for every attempt that runs now."""

    def leave_behind(self, step: int, number: int) -> None:
        """Count no longer on the worker of an attempt that could not be stopped."""

    def stop(self, step: int, number: int, reason: str, *, withdraw: bool) -> None:
        """Take a queued attempt back; a begun one is stopped unless `withdraw`.

        Stopping is asked for, not awaited. Unknown or ended attempts are ignored.
        """

    def left_running(self) -> list[tuple[int, int]]:
        """(step, number) of attempts whose bodies still run."""

    def close(self) -> None:
        """End idle workers; never waits for a body."""


class Store(Protocol):
    """The write side a run needs; the implementation is the only truth about the run.

    Every write is guarded by the state it leaves; a guard that finds another raises
    `SupersededError` and the whole tick is rolled back.
    """

    def commit_tick(self, actions: Sequence[Action]) -> None:
        """Apply the actions in order in ONE transaction; durable when this returns.

        Raises `StoreBusy` if the write lock could not be had (nothing was written; may be tried
        again), `StoreError` for all else.
        """

    def mark_published(self, steps: Sequence[int]) -> None:
        """Record that the output files of these steps stand at their targets."""

    def asked_to_stop(self) -> str | None:
        """Tell who wants this run cancelled, if somebody does; cheap enough for twice a second.

        Told at least once; raises as `commit_tick` does.
        """


class Values(Protocol):
    """Context values as stored; safe to call from any thread."""

    def load(self, step: int, key: str) -> Encoded:
        """Give the value `step` wrote under `key` in this run or the one it was cached from."""


class Readable(Protocol):
    """Who wrote which key in a run, as a context asks; safe to call from any thread."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the steps, by position."""

    def load(self, step: int, key: str) -> Encoded:
        """Give the value `step` wrote under `key`."""

    def visible(self, reader: int) -> set[str]:
        """Give the keys that ancestors of `reader` and the initial context wrote."""

    def writer_for(self, reader: int, key: str) -> int | None:
        """Give the writer whose `key` the reader sees, None if nobody wrote it.

        Raises `ContextKeyError` where the graph does not let the reader see it.
        """

    def wrote(self, reader: int, step: str, key: str) -> int | None:
        """Give the position of an ancestor of the reader if it wrote `key`.

        Raises `ContextKeyError` if it is none.
        """

    def status(self, reader: int, step: str) -> str:
        """Give the status of an ancestor of the reader, `ok` for a cached one.

        Raises `ContextKeyError` if it is none.
        """

    def unknown(self, reader: int, key: str, own: Iterable[str] = ()) -> ContextKeyError:
        """Make the error for a key that nobody wrote."""


class AttemptLog(Protocol):
    """The one log file of one attempt, made when its first line is written. Thread-safe."""

    def write(self, text: str, *, stream: str = "out") -> None:
        """Add text as it comes; whole lines are masked, escaped and passed on to the console."""

    def close(self) -> None:
        """Flush what is left of an unfinished line."""


class Logs(Protocol):
    """Opens attempt logs."""

    def open(self, step: str, number: int) -> AttemptLog:
        """Give the log of an attempt of this run."""


@record
class CommandResult:
    """How a command ended: its exit code (negative: the signal), output files, JSON-line values."""

    returncode: int
    values: tuple[tuple[str, Any], ...] = ()
    files: tuple[OutputFile, ...] = ()
    error: str = ""


@record
class Paths:
    """Where a run works: project root, home (`<root>/var`), and the store's URL."""

    root: Path
    home: Path
    store_url: str


class Outbox(Protocol):
    """Undelivered alerts in the store."""

    def claim(self, limit: int = 20) -> list[AlertRow]:
        """Mark due alerts as being sent by this process, durably, and give them, oldest first.

        A row claimed by a process that has died, or that may have arrived, has `repeat` true.
        """

    def sent(self, alert_id: int, thread: Mapping[str, Any] | None = None) -> None:
        """Record the delivery, and where the first message on its incidents is now."""

    def failed(self, alert_id: int, failure: Failure) -> None:
        """Record a failed try, or that none was tried; it is due again unless given up."""
