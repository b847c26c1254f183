"""From a checked definition and a request to a report: the parts wired together."""

from __future__ import annotations

import getpass
import hashlib
import logging
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from queue import SimpleQueue
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from engine import params as parameters
from engine.clock import SystemClock
from engine.errors import AlreadyRunning, UsageError
from engine.events import Event
from engine.model import Definition, Encoded
from engine.ports import Paths
from engine.secrets import Secrets
from engine.session.compiled import Compiled, compile_definition
from engine.session.decide import Asked, Decision, decide
from engine.session.preview import dry_report, plan_rows
from engine.session.request import RunRequest

if TYPE_CHECKING:
    from engine.logs import LogLine
    from store.history import History

logger = logging.getLogger("engine.run")

# As a library nobody may listen; without this, logging prints warnings by itself.
logging.getLogger("engine").addHandler(logging.NullHandler())

WORKERS_MAX = 1_000

_URL_PASSWORD = re.compile(r"://[^/?#\s:@]*:[^/?#\s@]+@")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and for whom a run runs.

    `inbox` takes a `StopRequested` from outside; `forward` gets every line of an attempt's log;
    `command` is the complete program with its global options, for the commands we print; `show`
    gets the preview of a continued run before it begins.
    """

    paths: Paths
    secrets: Secrets
    clock: SystemClock
    environ: Mapping[str, str]
    command: Sequence[str] = ("python", "-m", "engine")
    inbox: SimpleQueue[Event] = field(default_factory=SimpleQueue)
    forward: Callable[[LogLine], None] | None = None
    show: Callable[[Decision, list[dict[str, Any]]], None] | None = None

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


def run_as_library(
    definition: Definition, request: RunRequest, *, store_url: str | None
) -> dict[str, Any]:
    """Run for `Workflow.run`: paths found as the command finds them, nothing global touched."""
    from engine.places import find_paths

    paths = find_paths(os.environ, store_url=store_url, strict=False)
    environment = Environment(
        paths=paths,
        secrets=Secrets(paths.home, os.environ),
        clock=SystemClock(),
        environ=os.environ,
    )
    return run_workflow(definition, request, environment)


def run_workflow(
    definition: Definition, request: RunRequest, environment: Environment
) -> dict[str, Any]:
    """Do what one invocation of `run` does; gives the report.

    Raises `UsageError`, `StoreError` or `AlreadyRunning` as the command's exit codes say.
    """
    _check(request)
    compiled = compile_definition(definition, environment.paths.root)
    asked, encoded = _asked(definition, request, environment)
    dry = definition.dry_run if request.dry_run is None else request.dry_run or definition.dry_run
    if dry:
        return _dry_run(compiled, asked, environment)
    from engine.session.live import LiveRun

    return LiveRun(compiled, asked, encoded, environment).go()


def _check(request: RunRequest) -> None:
    workers = request.workers
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= WORKERS_MAX:
        raise UsageError(f"workers is {workers!r}", hint=f"give 1 to {WORKERS_MAX}")


def _asked(
    definition: Definition, request: RunRequest, environment: Environment
) -> tuple[Asked, list[tuple[str, Encoded]]]:
    """Resolve parameters and encode the initial context, before anything is touched."""
    from engine.context import check_key
    from store.values import encode

    clock, secrets = environment.clock, environment.secrets
    today = _today(definition, clock)
    if request.resume is not None and request.params:
        raise UsageError(
            "--resume goes on with the run's recorded parameters; --set cannot be given",
            hint="start anew with --fresh --set …, or leave --set out",
        )
    given = request.params
    if request.resume is not None and request.context:
        raise UsageError(
            "resume goes on with the run's recorded context; another cannot be given",
            hint="start anew with fresh=True, or leave the context out",
        )
    resolved: dict[str, Any] = {}
    if request.resume is None:
        resolved = parameters.resolve(
            definition.params, given, today=today, workflow=definition.name
        )
        for name, text in parameters.as_text(resolved).items():
            if secrets.contains(text) or _URL_PASSWORD.search(text):
                raise UsageError(
                    f"parameter '{name}' holds a secret or a URL with a password",
                    hint="parameters are recorded as they are; leave it to ctx.secret instead",
                )
    encoded = [
        (check_key(key), encode(key, value, reject=secrets.contains))
        for key, value in request.context.items()
    ]
    digest = hashlib.sha256()
    for key, value in sorted(encoded, key=lambda pair: pair[0]):
        digest.update(f"{key}\0{value.codec}\0{value.sha256}\0".encode())
    asked = Asked(
        request=request,
        params=MappingProxyType(resolved),
        context_sha256=digest.hexdigest() if encoded else "",
        today=today,
        now_us=clock.stamp(clock.now()),
    )
    return asked, encoded


def _today(definition: Definition, clock: SystemClock) -> date:
    """Give the day on which the run starts, in the workflow's zone."""
    if definition.timezone is None:
        return clock.utc().astimezone().date()
    from zoneinfo import ZoneInfo

    return clock.utc().astimezone(ZoneInfo(definition.timezone)).date()


def _dry_run(compiled: Compiled, asked: Asked, environment: Environment) -> dict[str, Any]:
    """Plan with a read-only look at the store, or without one where there is none."""
    from store.database import open_reader, path_of

    path = path_of(environment.paths.store_url)
    if not path.exists():
        return _planned(compiled, asked, None)
    from store.history import History

    database = open_reader(path)
    try:
        return _planned(compiled, asked, History(database))
    finally:
        database.close()


def _planned(compiled: Compiled, asked: Asked, history: History | None) -> dict[str, Any]:
    decision = decide(compiled, asked, history)
    expected = history.medians(compiled.definition.name) if history is not None else {}
    rows = [] if decision.nothing else plan_rows(compiled, decision, expected)
    return dry_report(compiled, decision, rows, parameters.as_text(decision.params))


def lock_name(definition: Definition, params_text: str) -> str:
    """Name the lock that two runs which must not overlap share."""
    if definition.overlap == "params":
        return f"{definition.name}@{hashlib.sha256(params_text.encode()).hexdigest()[:16]}"
    return definition.name


def already_running(
    history: History, workflow: str, *, params: str | None = None
) -> AlreadyRunning:
    """Make the error for a second run at once, naming the first (with `params`, of those)."""
    running = [
        run
        for run in history.runs(workflow=workflow, limit=20)
        if run["status"] == "running" and params in (None, run["params"])
    ]
    if not running:
        return AlreadyRunning(
            f"a run of '{workflow}' is just starting or ending",
            hint="try again in a moment",
        )
    first = running[0]
    return AlreadyRunning(
        f"run {first['run_id']} of '{workflow}' is on since {first['started_at']}",
        hint=f"look at it with `show {first['run_id']}`, or wait until it has ended",
    )
