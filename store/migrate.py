"""Schema upgrades: a copy first, then every migration in one transaction."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import event

from engine.errors import StoreError
from engine.failpoints import failpoint
from store.connection import Database, translated


def scripts() -> Path:
    """Where the migrations lie: inside the installed package, or at the top of a checkout."""
    inside = Path(__file__).parent / "_migrations"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "migrations"


def config() -> Config:
    """Alembic's configuration without an ini file, for calls from here."""
    settings = Config()
    settings.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    return settings


def copy_name(path: Path, version: str) -> Path:
    """Give a free name for the copy taken before an upgrade from `version`."""
    stem = f"{path.name}.before-upgrade-from-{version or 'none'}"
    number = 1
    while (copy := path.with_name(f"{stem}.{number}")).exists():
        number += 1
    return copy


def _statement_done(*_: object) -> None:
    failpoint("migration-statement")


def upgrade(database: Database, version: str) -> Path:
    """Copy the store, then migrate it to the newest version; gives the copy's path.

    Raises `StoreError`; the store is then as it was.
    """
    failpoint("upgrade-before-copy")
    copy = copy_name(database.path, version)
    try:
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
        database.raw.execute("VACUUM INTO CAST(? AS TEXT)", (os.fsencode(copy),))
    except (OSError, sqlite3.Error) as error:
        if not isinstance(error, FileExistsError):
            copy.unlink(missing_ok=True)
        raise StoreError(
            f"cannot copy the store to '{copy}' before its upgrade: {error}",
            hint="make space beside the store; it was not changed",
        ) from error
    failpoint("upgrade-after-copy")
    migrate(database)
    return copy


def migrate(database: Database) -> None:
    """Bring a store to the newest version in one transaction; there is no copy of it."""
    settings = config()
    told = logging.getLogger("alembic.runtime.migration")  # in its own words, not in ours
    level = told.level
    told.setLevel(logging.WARNING)
    try:
        with database.engine.begin() as connection:
            event.listen(connection, "after_cursor_execute", _statement_done)
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
    except Exception as error:
        cause = getattr(error, "orig", error)
        if isinstance(cause, sqlite3.Error):
            raise translated(cause, database.path) from error
        raise
    finally:
        told.setLevel(level)
