"""`db`: the store itself."""

from __future__ import annotations

import argparse

from engine.cli import place
from engine.cli.console import print_result


def database(parsed: argparse.Namespace) -> int:
    """Bring the store's tables up to date, after taking a copy; makes a missing one."""
    from engine.places import make_home
    from store.database import open_writer, path_of

    paths = place.paths_of(parsed)
    make_home(paths.home)
    path = path_of(paths.store_url)
    open_writer(path).close()
    print_result(f"the store '{path}' is up to date")
    return 0
