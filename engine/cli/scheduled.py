"""A timer's run that cannot even begin: recorded as failed, and told."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from engine.cli import project
from engine.cli.console import print_result, shown
from engine.clock import SystemClock
from engine.errors import AlreadyRunning, EngineError, SlotTaken, StoreError, UsageError
from engine.model import RunStatus
from engine.ports import Paths
from engine.secrets import Secrets


@contextmanager
def failures_recorded(parsed: argparse.Namespace, paths: Paths, secrets: Secrets) -> Iterator[None]:
    """Record a definition, import or parameter error as a `failed` run with its alert.

    If the store cannot be written, the alert goes out directly. The error goes on to the caller,
    unless the workflow's schedule is paused, or nothing is due: then there is no failure.
    """
    if parsed.dry_run:  # changes nothing, whatever is wrong
        yield
        return
    try:
        yield
    except AlreadyRunning:
        raise
    except StoreError as error:
        if not error.alerted:
            _tell_directly(parsed.name, secrets, error)
        raise
    except UsageError as error:
        try:
            nothing = _record(parsed, paths, secrets, error)
        except SlotTaken:
            nothing = False  # another timer has just told the same
        except EngineError as store_error:
            _tell_directly(parsed.name, secrets, store_error)
            raise error from None
        if not nothing:
            raise


def _record(parsed: argparse.Namespace, paths: Paths, secrets: Secrets, error: UsageError) -> bool:
    """Record the failure with the slot that it takes; whether there is nothing to fail instead."""
    from engine.paths import make_home
    from engine.session import alerting, pausing
    from engine.session.reconciling import reconcile_all
    from engine.session.run_files import highest_run
    from engine.session.slots import settle_unloaded
    from store import journal
    from store.database import open_writer, path_of
    from store.history import History
    from store.new_run import NewRun

    environment = project.environment_of(parsed)
    clock = environment.clock
    make_home(paths.home)
    path = path_of(paths.store_url)
    database = open_writer(path, beyond=lambda: highest_run(paths.home))
    try:
        history = History(database)
        reconcile_all(database, environment)
        now_us = clock.stamp(clock.now())
        found = settle_unloaded(database, parsed.name, now_us)
        if found.paused or found.idle:
            why = "it is paused" if found.paused else "no slot is due"
            if not parsed.quiet:
                print_result(f"nothing to do: {why}; and it could not begin, see `check`")
            return True
        new = NewRun(
            workflow=parsed.name,
            params="{}",
            started_at=now_us,
            started_by="timer",
            user=environment.user,
            host=environment.host,
            owner="",
            workers=parsed.workers,
            note=secrets.mask(error.message),
            slot=found.slot,
        )
        telling = alerting.telling(environment)
        journal.record_ended_run(database, new, RunStatus.FAILED, telling=telling)
        pausing.after_failures(database, environment, parsed.name, found.pause_after)
        alerting.deliver_due(database, history, environment)
        return False
    finally:
        database.close()


def _tell_directly(name: str, secrets: Secrets, error: EngineError) -> None:
    from engine.session.alerting import tell_directly

    headline = f"{name} could not be recorded"
    for warning in tell_directly(headline, error, secrets, SystemClock()):
        sys.stderr.write(f"{shown(warning)}\n")
