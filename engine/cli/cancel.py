"""`cancel`: end a run from another terminal."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from engine.cli import project
from engine.cli.console import print_result
from engine.cli.pasted import pasteable

if TYPE_CHECKING:
    from engine.clock import SystemClock

WAIT_S = 10.0  # how long the command looks on before it says how far things are
LOOK_S = 0.05
NAMED_MAX = 20  # of the steps that still run


def cancel(parsed: argparse.Namespace) -> int:
    """Ask a run's engine to end it, wait a while, and say how it stands."""
    from engine.session.reconciling import reconcile_all
    from engine.session.schedules import missing
    from store import cancels
    from store.database import must_exist, open_writer, path_of
    from store.history import History

    environment = project.environment_of(parsed)
    clock = environment.clock
    path = path_of(environment.paths.store_url)
    must_exist(path)
    database = open_writer(path)
    try:
        history = History(database)
        reconcile_all(database, environment)
        run_id = history.find(parsed.run, on=True)
        run = history.run(run_id)
        if run["status"] == "running":
            cancels.ask(database, run_id, at_us=clock.stamp(clock.now()), by=environment.user)
        missing.notice(database, environment)
    finally:
        database.close()
    if run["status"] != "running":
        print_result(_ended(run))
        return 0
    print_result(_watched(path, run_id, clock))
    return 0


def _ended(run: dict[str, Any]) -> str:
    """Say that there was nothing to cancel any more, and why."""
    from store.reconcile import ENGINE_DIED

    died, _, _ = run["note"].rpartition("; the end is")
    if ENGINE_DIED in died and run["status"] in ("interrupted", "cancelled"):
        return f"run {run['id']} is not on: {died}; it is recorded as {run['status']}"
    return f"run {run['id']} has ended: {run['status']}"


def _watched(path: Path, run_id: int, clock: SystemClock) -> str:
    """Look on, reading only, until the run has ended or time is up; say how it stands."""
    from store.database import open_reader
    from store.history import History

    until = clock.now() + WAIT_S
    pause = Event()
    reader = open_reader(path)
    try:
        history = History(reader)
        with suppress(KeyboardInterrupt):  # the request stands; only the looking on ends
            while history.run(run_id)["status"] == "running" and clock.now() < until:
                pause.wait(LOOK_S)
        run = history.run(run_id)
        steps = history.page(run_id, NAMED_MAX).steps
        on = [step.step for step in steps if step.status == "running"]
    finally:
        reader.close()
    if run["status"] == "running":
        still = f"{', '.join(on)} still run{'s' if len(on) == 1 else ''}" if on else "not yet over"
        return f"run {run_id} is stopping: {still}; {pasteable(f'see `show {run_id}`')}"
    if run.get("dead"):
        return f"run {run_id} is not on: {run['note']}"
    if run["status"] == "cancelled":
        return f"run {run_id} is cancelled"
    return _ended(run)
