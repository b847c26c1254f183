"""Questions of users in SQL: any `SELECT`, and nothing that does more than look."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from engine.errors import StoreError, UsageError
from store.connection import Database, translated

_LOOKS = frozenset(
    (
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    )
)
_TELL = frozenset(("table_info", "table_xinfo", "table_list", "index_list", "index_info"))
_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine: about a millisecond
_FORBIDDEN = re.compile("authoriz|prohibited|cannot modify|may not be modified|readonly")
_MISSING = re.compile(r"no such (table|column): (?:\w+\.)?(.+)")


class Answer(NamedTuple):
    """Names of the columns, each once, and the rows as they are read."""

    columns: Sequence[str]
    rows: Iterator[Sequence[Any]]


def views(database: Database) -> Answer:
    """Give what can be asked for: the views that are for users, with their columns."""
    known = _known(database)
    return Answer(("view", "columns"), ((view, ", ".join(known[view])) for view in known))


def _known(database: Database) -> dict[str, list[str]]:
    from store.views import VIEWS

    return {
        view: [row[1] for row in database.raw.execute(f"PRAGMA table_info({view})")]
        for view in VIEWS
    }


def ask(database: Database, sql: str, stopped: Callable[[], int]) -> Answer:
    """Ask the store, until it has told all or `stopped` gives something other than 0.

    Raises `UsageError` for what SQLite cannot read and for all that would do more than look, while
    the rows are read `StoreError` too.
    """
    raw = database.raw
    known = _known(database)
    raw.set_progress_handler(stopped, _STEPS_BETWEEN_LOOKS)
    raw.set_authorizer(_only_looks)
    cursor = raw.cursor()
    try:
        cursor.execute(sql)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _refused(database, error, known) from error
    if cursor.description is None:
        raise UsageError("there is no question in that", hint='write `sql "SELECT …"`')
    return Answer(_each_once([column[0] for column in cursor.description]), _rows(database, cursor))


def _only_looks(action: int, first: str | None, *_: str | None) -> int:
    if action in _LOOKS or (action == sqlite3.SQLITE_PRAGMA and first in _TELL):
        return sqlite3.SQLITE_OK
    if (action, first) == (sqlite3.SQLITE_UPDATE, "sqlite_master"):
        return sqlite3.SQLITE_OK  # so SQLite makes `json_each` known; by hand it refuses it itself
    return sqlite3.SQLITE_DENY


def _rows(database: Database, cursor: sqlite3.Cursor) -> Iterator[Sequence[Any]]:
    try:
        for row in cursor:  # noqa: UP028 - `yield from` would close it late, on a closed store
            yield row
    except sqlite3.Error as error:
        raise _refused(database, error, {}) from error


def _refused(
    database: Database, error: Exception, known: dict[str, list[str]]
) -> UsageError | StoreError:
    """Say what is wrong with a question, or with the store."""
    text = str(error)
    if _FORBIDDEN.search(text):
        return UsageError(
            "`sql` only looks: what writes, attaches or sets is refused",
            hint="take a copy (`db backup FILE`), and change that",
        )
    if "one statement" in text:
        return UsageError("that is more than one statement", hint="ask one question at a time")
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) or sqlite3.SQLITE_ERROR
    if code & 0xFF != sqlite3.SQLITE_ERROR:
        assert isinstance(error, sqlite3.Error)
        return translated(error, database.path)
    return UsageError(f"SQLite cannot answer that: {text}", hint=_hint(text, known))


def _hint(text: str, known: dict[str, list[str]]) -> str:
    missing = _MISSING.fullmatch(text)
    see = "`sql` alone lists the views and their columns"
    if missing is None:
        return see
    kind, name = missing.groups()
    names = known if kind == "table" else {each: 0 for names in known.values() for each in names}
    near = get_close_matches(name, names, 1)
    return f"did you mean '{near[0]}'? {see}" if near else see


def _each_once(names: Sequence[str]) -> list[str]:
    """Give the second `id` of a question as `id_2`."""
    found: list[str] = []
    for name in names:
        number, each = 1, name
        while each in found:
            number += 1
            each = f"{name}_{number}"
        found.append(each)
    return found
