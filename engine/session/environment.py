"""Where and for whom a run runs."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from engine.clock import SystemClock
from engine.events import Event
from engine.ports import Paths
from engine.records import record
from engine.secrets import Secrets

if TYPE_CHECKING:
    from engine.logs import LogLine
    from engine.session.decision import Decision


@record
class Environment:
    """Where and for whom a run runs.

    `inbox` takes a `StopRequested` from outside; `forward` gets every line of an attempt's log;
    `command` is the complete program with its global options, for the commands we print; `show`
    gets the preview of a run that is not simply all steps, before it begins; with `pages` a run's
    end writes its page beside its JSON report.
    """

    paths: Paths
    secrets: Secrets
    clock: SystemClock
    environ: Mapping[str, str]
    command: Sequence[str] = ("python", "-m", "engine")
    inbox: SimpleQueue[Event] = field(default_factory=SimpleQueue)
    forward: Callable[[LogLine], None] | None = None
    show: Callable[[Decision, list[dict[str, Any]]], None] | None = None
    pages: bool = False

    @property
    def user(self) -> str:
        """Name of the user this process runs as."""
        with suppress(Exception):
            return getpass.getuser()
        return f"#{os.geteuid()}"

    @property
    def host(self) -> str:
        """Name of this machine."""
        return socket.gethostname()
