"""`metrics`: how all workflows stand, for a monitor."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli import project
from engine.cli.console import print_parts
from engine.cli.reading import load_reading, reading
from engine.clock import SystemClock
from engine.errors import UsageError
from engine.reports.prometheus import text_of
from engine.reports.run_report import write_whole


def metrics(parsed: argparse.Namespace) -> int:
    """Print them, or put them into a file, whole or not at all, that any user may read."""
    load_reading()
    from store.database import path_of
    from store.metrics import read_state

    paths, clock = project.paths_of(parsed), SystemClock()
    with reading(paths) as database:
        text = text_of(
            read_state(database, clock.stamp(clock.now())), project.secrets_of(paths).mask
        )
    if parsed.output is None:
        print_parts([text])
        return 0
    path = Path(parsed.output).resolve()  # of a link the file that it names
    if why := _why_not(path, path_of(paths.store_url)):
        raise UsageError(
            f"'{parsed.output}' cannot be written: {why}",
            hint="give a file in the folder that the collector reads",
        )
    write_whole([text], path, mode=0o644)  # who collects it is another user
    return 0


def _why_not(path: Path, store: Path) -> str:
    """Say why a file cannot take the place of what is there, which would be lost; '' if it can."""
    if not path.parent.is_dir():
        return f"there is no folder '{path.parent}'"
    if path.exists() and not path.is_file():
        return "it is no file"
    if path.exists() and store.exists() and path.samefile(store):
        return "it is the store"
    return ""
