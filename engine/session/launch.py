"""From a checked definition and a request to a report: really run, or planned."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine import failpoints
from engine import params as parameters
from engine.clock import SystemClock
from engine.garbage import left_alone
from engine.model import Definition
from engine.paths import find_paths
from engine.secrets import Secrets
from engine.session.deciding.asked import Asked, resolve_request
from engine.session.deciding.compiled import Compiled, compile_definition
from engine.session.deciding.decide import decide
from engine.session.deciding.preview import dry_report, plan_rows
from engine.session.deciding.request import RunRequest
from engine.session.environment import Environment

if TYPE_CHECKING:
    from store.history import History

# As a library nobody may listen; without this, logging prints warnings by itself.
logging.getLogger("engine").addHandler(logging.NullHandler())


def run_as_library(
    definition: Definition, request: RunRequest, *, store_url: str | None
) -> dict[str, Any]:
    """Run for `Workflow.run`: paths found as the command finds them, nothing global touched."""
    failpoints.arm(os.environ)
    paths = find_paths(os.environ, store_url=store_url, strict=False)
    environment = Environment(
        paths=paths,
        secrets=Secrets(paths.home, os.environ),
        clock=SystemClock(),
        environ=os.environ,
        command=(
            *(sys.executable, "-m", "engine", "--home", str(paths.home)),
            *("--store", paths.store_url),
        ),
    )
    return run_workflow(definition, request, environment)


def run_workflow(
    definition: Definition, request: RunRequest, environment: Environment
) -> dict[str, Any]:
    """Do what one invocation of `run` does; gives the report.

    Raises `UsageError`, `StoreError` or `AlreadyRunning` as the command's exit codes say.
    """
    with left_alone(len(definition.steps)):
        return _run(definition, request, environment)


def _run(definition: Definition, request: RunRequest, environment: Environment) -> dict[str, Any]:
    compiled = compile_definition(definition, environment.paths.root)
    asked, encoded = resolve_request(definition, request, environment.clock, environment.secrets)
    dry = definition.dry_run if request.dry_run is None else request.dry_run or definition.dry_run
    if dry:
        return look(environment, lambda history: _planned(compiled, asked, history))
    from engine.session.live import LiveRun
    from engine.session.record import Going

    return LiveRun(Going(compiled, asked, encoded, environment)).go()


def look(
    environment: Environment, plan: Callable[[History | None], dict[str, Any]]
) -> dict[str, Any]:
    """Make a dry run's report with a read-only look at the store, or without one where none is."""
    from store.database import is_there, open_reader, path_of

    path = path_of(environment.paths.store_url)
    if not is_there(path):
        return plan(None) | {"lost": "", "undelivered": 0}
    from store import losses
    from store.history import History

    database = open_reader(path)
    try:
        history = History(database)
        lost = losses.told(losses.of_store(database))
        return plan(history) | {"lost": lost, "undelivered": history.undelivered()}
    finally:
        database.close()


def _planned(compiled: Compiled, asked: Asked, history: History | None) -> dict[str, Any]:
    decision = decide(compiled, asked, history)
    expected = history.medians(compiled.definition.name) if history is not None else {}
    rows = [] if decision.nothing else plan_rows(compiled, decision, expected)
    return dry_report(compiled, decision, rows, parameters.as_text(decision.params))
