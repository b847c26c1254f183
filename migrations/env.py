"""Alembic's environment: on a connection handed in by the store, or on ENGINE_STORE."""

from __future__ import annotations

import os

from alembic import context
from alembic.util import CommandError
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.pool import NullPool

from store.database import path_of
from store.tables import metadata
from store.version import APPLICATION_ID

DEFAULT_STORE = "sqlite:///var/runs.db"


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _on_url(url: str) -> None:
    path = path_of(url)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    database = URL.create("sqlite", database=str(path))
    engine = create_engine(database, hide_parameters=True, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _own_transactions(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.begin() as connection:
        new = not connection.exec_driver_sql("SELECT 1 FROM sqlite_master").fetchall()
        found = connection.exec_driver_sql("PRAGMA application_id").scalar()
        if new:
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        elif found != APPLICATION_ID:
            raise CommandError(f"'{path}' is not a store of this program")
        _migrate(connection)
    engine.dispose()


handed_in = context.config.attributes.get("connection")
if handed_in is not None:
    _migrate(handed_in)
else:
    _on_url(os.environ.get("ENGINE_STORE") or DEFAULT_STORE)
