"""`db`: the store itself."""

from __future__ import annotations

import argparse

from engine.cli import place
from engine.cli.console import print_result


def database(parsed: argparse.Namespace) -> int:
    """Do what is asked of the store."""
    if parsed.what == "verify":
        from engine.cli.verifying import verify

        return verify(parsed)
    return _upgrade(parsed)


def _upgrade(parsed: argparse.Namespace) -> int:
    """Bring the store's tables up to date, after taking a copy; makes a missing one."""
    from engine.places import make_home
    from engine.session.reconciling import reconcile_all
    from store.database import open_writer, path_of

    environment = place.environment_of(parsed)
    make_home(environment.paths.home)
    path = path_of(environment.paths.store_url)
    store = open_writer(path)
    try:
        reconcile_all(store, environment)
    finally:
        store.close()
    print_result(f"the store '{path}' is up to date")
    return 0
