"""`watch`: whether all is well with the schedules and runs, for a person or a monitor."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from engine.cli import project
from engine.cli.console import print_json, print_result, shown
from engine.cli.reading import load_reading, reading
from engine.errors import StoreError

if TYPE_CHECKING:
    from engine.session import Environment

EXIT_WRONG = 1


def watch(parsed: argparse.Namespace) -> int:
    """Say what is wrong; 1 if something is. Only with `--alert` it records and sends that."""
    from store.database import is_there, path_of

    environment = project.environment_of(parsed)
    path = path_of(environment.paths.store_url)
    if not is_there(path):  # a monitor that looks at nothing is not to say that all is well
        raise StoreError(
            f"there is no store '{path}' to look at",
            hint="a first run or `schedule install` makes it; --home or --store names another",
        )
    found = _look(environment)
    if parsed.json:
        print_json(found)
    else:
        _print(found)
    if parsed.alert and not found["ok"]:
        _alert(environment)
    return 0 if found["ok"] else EXIT_WRONG


def _look(environment: Environment) -> dict[str, Any]:
    load_reading()
    from engine.session import watching
    from store.history import History

    with reading(environment.paths) as database:
        return watching.look(database, History(database), environment)


def _print(found: dict[str, Any]) -> None:
    for kind in ("missing", "late", "dead", "paused"):
        for one in found[kind]:
            print_result(shown(f"{kind}: {one['text']}"))
    if count := found["undelivered"]:
        print_result(f"undelivered: {count} alert{'s' if count != 1 else ''}; see `alerts`")
    if count := found["given_up"]:
        lost = f"{count} alert{'s' if count != 1 else ''}"
        print_result(f"given up: {lost} within a day, which nobody was sent; see `alerts`")
    if found["ok"]:
        print_result("all is well: nothing is missing, late, dead, paused by itself or undelivered")


def _alert(environment: Environment) -> None:
    from engine.session import alerting
    from engine.session.reconciling import reconcile_all
    from store.database import open_writer, path_of
    from store.history import History

    database = open_writer(path_of(environment.paths.store_url))
    try:
        reconcile_all(database, environment)
        result = alerting.deliver_due(database, History(database), environment)
    finally:
        database.close()
    for warning in result.warnings if result is not None else ():
        sys.stderr.write(f"{shown(environment.secrets.mask(warning))}\n")
