"""The store as commands open it that may be the first to write to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.paths import make_home
from engine.session.run_files import highest_run
from store.database import open_writer, path_of

if TYPE_CHECKING:
    from engine.session.environment import Environment
    from store.connection import Database


@contextmanager
def opened(environment: Environment) -> Iterator[Database]:
    """Open the store for writing, made in its home if it is missing; raises as `open_writer`."""
    home = environment.paths.home
    make_home(home)
    path = path_of(environment.paths.store_url)
    database = open_writer(path, beyond=lambda: highest_run(home))
    try:
        yield database
    finally:
        database.close()
