"""A glimpse of the store for completing a command line: SQLite alone, as it has to be quick.

Nothing is checked and nothing is written; what cannot be read has nothing to offer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

BUSY_S = 0.05
RUNS_MAX = 50
STEPS_MAX = 10_000

_RUNS = "SELECT id, workflow FROM run_rows ORDER BY id DESC LIMIT ?"
_WORKFLOWS = "SELECT DISTINCT workflow FROM run_rows ORDER BY workflow"
_OF = {True: "id = ?", False: "workflow = ?"}
_STEPS = """
SELECT d.name FROM definition_steps d WHERE d.definition_id = (
    SELECT definition_id FROM run_rows WHERE {} AND definition_id IS NOT NULL
    ORDER BY id DESC LIMIT 1)
ORDER BY d.position LIMIT ?"""


def runs(path: Path) -> list[tuple[int, str]]:
    """Give number and workflow of the newest runs."""
    return _rows(path, _RUNS, (RUNS_MAX,))


def workflows(path: Path) -> list[str]:
    """Name the workflows that have runs."""
    return [name for (name,) in _rows(path, _WORKFLOWS, ())]


def steps(path: Path, run: str) -> list[str]:
    """Name the steps of a run, which is a number, `latest`, or a workflow's name."""
    if run == "latest":
        found = _rows(path, _STEPS.format("1"), (STEPS_MAX,))
    else:
        is_number = run.isdecimal() and run.isascii() and len(run) < 19
        key: object = int(run) if is_number else run
        found = _rows(path, _STEPS.format(_OF[is_number]), (key, STEPS_MAX))
    return [name for (name,) in found]


def _rows(path: Path, sql: str, parameters: Sequence[object]) -> list[Any]:
    try:
        uri = f"file:{quote(str(path))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as connection:
            return connection.execute(sql, tuple(parameters)).fetchall()
    except (sqlite3.Error, UnicodeError):
        return []
