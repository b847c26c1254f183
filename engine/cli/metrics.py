"""`metrics`: how all workflows stand, for a monitor."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli import project
from engine.cli.console import print_parts
from engine.cli.reading import load_reading, reading
from engine.errors import UsageError
from engine.reports.prometheus import text_of
from engine.reports.run_report import write_whole


def metrics(parsed: argparse.Namespace) -> int:
    """Print them, or put them into a file, whole or not at all, that any user may read."""
    load_reading()
    from store.metrics import read_state

    paths = project.paths_of(parsed)
    with reading(paths) as database:
        text = text_of(read_state(database), project.secrets_of(paths).mask)
    if parsed.output is None:
        print_parts([text])
        return 0
    path = Path(parsed.output)
    if not path.parent.is_dir():
        raise UsageError(
            f"'{path}' cannot be written: there is no folder '{path.parent}'",
            hint="give a file in the folder that the collector reads",
        )
    write_whole([text], path, mode=0o644)  # who collects it is another user
    return 0
