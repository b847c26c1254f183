"""A store of the first version, with a run in it as that version recorded it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command

from store import migrate

if TYPE_CHECKING:
    import pytest


def make(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the store at `path`, in a folder that is made too."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with monkeypatch.context() as patched:
        patched.setenv("ENGINE_STORE", f"sqlite:///{path}")
        command.upgrade(migrate.config(), "0001")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO run_rows (workflow, status, params, context_sha256, started_at,"
            " finished_at, root_run, started_by, note, user, host, owner, workers)"
            " VALUES ('flow', 'failed', '{}', '', 1, 2, 1, 'hand', 'of old', '', '', '', 4)"
        )
        connection.commit()
