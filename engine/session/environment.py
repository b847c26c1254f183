"""Where and for whom a run runs."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from engine.clock import SystemClock
from engine.events import Action, Event
from engine.graph import Graph
from engine.model import StepStatus
from engine.ports import Paths
from engine.records import record
from engine.secrets import Secrets

if TYPE_CHECKING:
    from engine.logs import LogLine
    from engine.session.deciding.decision import Decision


def this_user() -> str:
    """Name the user this process runs as, whatever the environment says (`su` leaves LOGNAME)."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"#{os.geteuid()}"


class Watched(NamedTuple):
    """A run that has begun, as who looks on needs it.

    `ended_as` has the statuses of steps that have ended already, `weights` what they are ordered
    by; `recent` reads what steps took lately, in any thread.
    """

    graph: Graph
    workers: int
    ended_as: Sequence[StepStatus | None]
    weights: Sequence[int]
    recent: Callable[[], Mapping[str, Sequence[int]]]
    clock: SystemClock
    begun_at: float


class Watcher(Protocol):
    """Looks on while a run is driven, and never holds it up."""

    def note(self, actions: Sequence[Action], now: float) -> None:
        """Take a tick's actions, committed at `now`."""

    def begin(self, run: Watched) -> None:
        """Learn what run it is; the actions of its first tick have been noted."""

    def end(self) -> None:
        """Stop looking: what comes next is said by others."""


@record
class Environment:
    """Where and for whom a run runs.

    `inbox` takes a `StopRequested` from outside; `forward` gets every line of an attempt's log;
    `command` is the complete program with its global options, for the commands we print; `show`
    gets the preview of a run that is not simply all steps, before it begins; `watcher` looks on;
    with `pages` a run's end writes its page beside its JSON report; `said_missing` are workflows
    whose missing runs were spoken of.
    """

    paths: Paths
    secrets: Secrets
    clock: SystemClock
    environ: Mapping[str, str]
    command: Sequence[str] = ("python", "-m", "engine")
    inbox: SimpleQueue[Event] = field(default_factory=SimpleQueue)
    forward: Callable[[LogLine], None] | None = None
    show: Callable[[Decision, list[dict[str, Any]]], None] | None = None
    watcher: Watcher | None = None
    pages: bool = False
    said_missing: set[str] = field(default_factory=set)

    @property
    def now_us(self) -> int:
        """The time, as the store has it."""
        return self.clock.stamp(self.clock.now())

    @property
    def user(self) -> str:
        """Name of the user this process runs as."""
        return this_user()

    @property
    def host(self) -> str:
        """Name of this machine."""
        return socket.gethostname()
