"""A timer's run that cannot even begin: recorded as failed, and told."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.cli import project
from engine.cli.console import print_result, setup, shown, under_journald
from engine.clock import SystemClock
from engine.errors import AlreadyRunning, EngineError, SlotTaken, StoreError, UsageError
from engine.model import Definition, RunStatus
from engine.ports import Paths
from engine.secrets import Secrets

if TYPE_CHECKING:
    from engine.session import Environment


class Loaded:
    """The workflow that is to run, once it could be loaded."""

    definition: Definition | None = None


@contextmanager
def failures_recorded(
    parsed: argparse.Namespace, paths: Paths, secrets: Secrets
) -> Iterator[Loaded]:
    """Record a definition, import or parameter error as a `failed` run with its alert and ping.

    If the store cannot be written, the alert goes out directly. The error goes on to the caller,
    unless the workflow's schedule is paused, or nothing is due: then there is no failure.
    """
    loaded = Loaded()
    if parsed.dry_run:  # changes nothing, whatever is wrong
        yield loaded
        return
    pinged = _Pinged(loaded, secrets)
    try:
        yield loaded
    except AlreadyRunning:
        raise
    except StoreError as error:
        with _warnings_shown(parsed, secrets), pinged.unless(error):
            if not error.alerted:
                _tell_directly(parsed.name, secrets, error)
        raise
    except UsageError as error:
        try:
            with _warnings_shown(parsed, secrets):
                environment = project.environment_in(parsed, paths, secrets)
                nothing = _record(parsed, environment, error, pinged)
        except SlotTaken:
            nothing = False  # another timer has just told the same
        except EngineError as store_error:
            with _warnings_shown(parsed, secrets), pinged.unless(error):
                _tell_directly(parsed.name, secrets, store_error)
            raise error from None
        if not nothing:
            raise


@contextmanager
def _warnings_shown(parsed: argparse.Namespace, secrets: Secrets) -> Iterator[None]:
    """Have warnings shown: of alerts and pings that are not sent; no run does that any more."""
    console = setup(
        log_file=None,
        quiet=parsed.quiet,
        json_lines=parsed.json_logs,
        journald=under_journald(sys.stderr, os.environ),
        mask=secrets.mask,
    )
    console.shown.setLevel(max(console.shown.level, logging.WARNING))
    try:
        yield
    finally:
        console.close()


class _Pinged:
    """Tells the dead-man service that a timer's run failed before it had begun."""

    def __init__(self, loaded: Loaded, secrets: Secrets) -> None:
        self._loaded, self._secrets = loaded, secrets

    @contextmanager
    def unless(self, error: EngineError, noted: str | None = None) -> Iterator[None]:
        """Do so while what else is to be told is told; not of a run that had begun.

        `noted` is the setting of a workflow that cannot be loaded, as it was noted last.
        """
        from engine.session.pinging import pings_of

        definition = self._loaded.definition
        pings = None
        if not error.begun and not (definition is not None and definition.dry_run):
            named = noted if definition is None else definition.ping
            pings = pings_of(named, self._secrets, SystemClock().now)
        if pings is not None:
            pings.end(well=False)
        try:
            yield
        finally:
            if pings is not None:
                pings.wait()


def _record(
    parsed: argparse.Namespace, environment: Environment, error: UsageError, pinged: _Pinged
) -> bool:
    """Record the failure with the slot that it takes; whether there is nothing to fail instead."""
    from engine.session import alerting
    from engine.session.opening import opened
    from engine.session.reconciling import reconcile_all
    from engine.session.schedules import pausing
    from engine.session.schedules.slots import settle_unloaded
    from engine.session.telling import telling_of
    from store import journal
    from store.history import History
    from store.new_run import NewRun

    with opened(environment) as database:
        history = History(database)
        reconcile_all(database, environment)
        now_us = environment.now_us
        found = settle_unloaded(database, parsed.name, now_us)
        if found.paused or found.idle:
            if not parsed.quiet:
                why = "it is paused" if found.paused else "no slot is due"
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
            note=environment.secrets.mask(error.message),
            slot=found.slot,
            zone=history.zone_name(parsed.name) or None,
        )
        telling = telling_of(environment)
        journal.record_ended_run(database, new, RunStatus.FAILED, telling=telling)
        with pinged.unless(error, found.ping):
            pausing.after_failures(database, environment, parsed.name, found.pause_after)
            alerting.deliver_due(database, history, environment)
        return False


def _tell_directly(name: str, secrets: Secrets, error: EngineError) -> None:
    from engine.session.alerting import tell_directly

    headline = f"a scheduled run of {name} could not be recorded"
    for warning in tell_directly(headline, error, secrets, SystemClock()):
        sys.stderr.write(f"{shown(warning)}\n")
