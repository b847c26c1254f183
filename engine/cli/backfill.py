"""`backfill`: a run for each value of a parameter."""

from __future__ import annotations

import argparse
import os
import sys

from engine.cli import project
from engine.cli.console import setup, under_journald
from engine.cli.run import carry_out, given, once, watcher_of
from engine.definitions import load
from engine.naming import BACKFILL_SUFFIX
from engine.session.backfill.launch import run_backfill
from engine.session.backfill.resolved import BackfillRequest
from engine.zones import zone_named


def backfill(parsed: argparse.Namespace) -> int:
    """Run a workflow for each value; gives the exit code of the whole."""
    paths = project.paths_of(parsed)
    secrets = project.secrets_of(paths)
    params = given(parsed.set)
    definition = load(parsed.name, project.folder_of(parsed))
    dry = parsed.dry_run or definition.dry_run
    logs = paths.home / "logs"
    console = setup(
        log_file=None if dry else logs / f"{definition.name}{BACKFILL_SUFFIX}.log",
        quiet=parsed.quiet or dry,
        json_lines=False,
        journald=under_journald(sys.stderr, os.environ),
        mask=secrets.mask,
    )
    if not dry:
        console.follow_values(logs / f"{definition.name}.log", secrets.mask)
    console.tell_times_in(zone_named(definition.tz))
    request = BackfillRequest(
        param=parsed.param,
        first=parsed.first,
        last=parsed.last,
        parallel=parsed.parallel,
        workers=parsed.workers,
        params=params,
        dry_run=dry,
    )
    watcher = None if dry else watcher_of(parsed, console)
    environment = project.environment_in(
        parsed, paths, secrets, forward=console.line, watcher=watcher
    )
    one = once(lambda: run_backfill(definition, request, environment))
    return carry_out(parsed, console, environment, one)
