"""The store as commands other than `run` open it to write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.cli.console import shown

if TYPE_CHECKING:
    from engine.session import Environment
    from store.connection import Database


@contextmanager
def writing(environment: Environment) -> Iterator[Database]:
    """Open the store for writing; record first what died meanwhile, and last what is missing."""
    from engine.session.opening import opened
    from engine.session.reconciling import reconcile_all
    from engine.session.schedules import missing

    with opened(environment) as database:
        say_upgraded(database)
        reconcile_all(database, environment)
        yield database
        missing.notice(database, environment)


def say_upgraded(database: Database) -> None:
    """Say that the store was of an older version; `run` and `backfill` have it in their log."""
    if database.upgraded:
        sys.stderr.write(f"{shown(database.upgraded)}\n")
