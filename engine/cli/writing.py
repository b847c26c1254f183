"""The store as commands other than `run` open it to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.session import Environment
    from store.connection import Database


@contextmanager
def writing(environment: Environment) -> Iterator[Database]:
    """Open the store for writing; record first what died meanwhile, and last what is missing."""
    from engine.session import missing
    from engine.session.opening import opened
    from engine.session.reconciling import reconcile_all

    with opened(environment) as database:
        reconcile_all(database, environment)
        yield database
        missing.notice(database, environment)
