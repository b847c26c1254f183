"""`db`: the store itself."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import project
from engine.cli.console import print_json, print_result, say_lost
from engine.cli.pasted import pasteable
from engine.cli.writing import writing
from engine.text import human_size, printable

if TYPE_CHECKING:
    from engine.session.pruning import Pruned


EXIT_DAMAGED = 3
DAMAGED_SHOWN_MAX = 20


def upgrade(parsed: argparse.Namespace) -> int:
    """Bring the store's tables up to date, after taking a copy; makes a missing one."""
    environment = project.environment_of(parsed)
    with writing(environment) as database:
        print_result(f"the store '{_path(database.path)}' is up to date")
    return 0


# -- backup and restore ---------------------------------------------------------------------------


def backup(parsed: argparse.Namespace) -> int:
    """Copy the store, also while runs go on, and read the copy back."""
    from engine.logs import make_private_folder
    from store import losses
    from store.copies import backup as copy_store
    from store.database import check_owner, open_reader, path_of

    environment = project.environment_of(parsed)
    if parsed.file is not None:
        target = Path(parsed.file).absolute()
    else:
        day = f"{environment.clock.utc():%Y%m%d-%H%M%S}"
        target = environment.paths.home / "backups" / f"runs-{day}.db"
    database = open_reader(path_of(environment.paths.store_url))
    try:
        say_lost(losses.told(losses.of_store(database)))
        if parsed.file is None:  # its folder would be closed to the store's owner
            check_owner(database.path, database.path.stat().st_uid)
            make_private_folder(target.parent)
        made = copy_store(database, target)
    finally:
        database.close()
    print_result(
        f"saved '{_path(made.path)}': {_count(made.runs, 'run')}, {human_size(made.size_bytes)}"
    )
    _say_damaged(made.damaged)
    return EXIT_DAMAGED if made.damaged else 0


def restore(parsed: argparse.Namespace) -> int:
    """Put another store in place of this one, which is kept."""
    from engine.paths import make_home
    from engine.session import run_files
    from store.database import path_of
    from store.restore import restore as put_in_place

    paths = project.paths_of(parsed)
    make_home(paths.home)
    path, file = path_of(paths.store_url), Path(parsed.file).absolute()
    done = put_in_place(path, file, beyond=run_files.highest_run(paths.home))
    print_result(f"restored '{_path(path)}' from '{_path(file)}': {_count(done.runs, 'run')}")
    if done.kept is not None:
        print_result(f"the store that was there is kept as '{_path(done.kept)}'")
    for run in done.ended:
        print_result(
            f"run {run.run_id} of {printable(run.workflow)} was on; it is {run.status} now"
        )
    if done.alerts:
        print_result(f"{_count(done.alerts, 'alert')} dropped")
    _say_damaged(done.damaged)
    return 0


def _say_damaged(found: tuple[str, ...]) -> None:
    """Say which values it holds as the store had them: damaged."""
    for text in found[:DAMAGED_SHOWN_MAX]:
        sys.stderr.write(f"{printable(text)}\n")
    if len(found) > DAMAGED_SHOWN_MAX:
        more = f"and {len(found) - DAMAGED_SHOWN_MAX:,} more: see `db verify`"
        sys.stderr.write(f"{pasteable(more)}\n")


def _path(path: Path) -> str:
    return printable(str(path))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# -- prune ----------------------------------------------------------------------------------------


def prune(parsed: argparse.Namespace) -> int:
    """Let old runs go, or say which would."""
    from engine.session import pruning
    from store.database import is_there, open_reader, path_of

    environment = project.environment_of(parsed)
    within = pruning.limits(environment, days=parsed.keep_days, runs=parsed.keep_runs)
    path = path_of(environment.paths.store_url)
    found: list[Pruned] = []
    if within is not None and is_there(path):
        if parsed.dry_run:
            database = open_reader(path)
            try:
                found = pruning.preview(database, environment, within)
            finally:
                database.close()
        else:
            with writing(environment) as database:
                found = pruning.prune_all(database, environment, within)
                database.checkpoint()
    if parsed.json:
        workflows = [one.as_dict() for one in found]
        print_json({"dry_run": parsed.dry_run, "workflows": workflows})
    elif within is None:
        print_result("nothing is pruned: ENGINE_KEEP_DAYS is forever")
    else:
        _print_pruned(found, dry=parsed.dry_run)
    return 0


def _print_pruned(found: list[Pruned], *, dry: bool) -> None:
    for one in found:
        for text in one.stuck:
            sys.stderr.write(f"{printable(text)}\n")
        runs = f"{_count(len(one.runs), 'run')} {'would go' if dry else 'gone'}"
        if one.rows_kept:
            runs += f", {len(one.rows_kept):,} {'would keep' if dry else 'kept'} as bare rows"
        values, files = human_size(one.value_bytes), human_size(one.file_bytes)
        print_result(
            f"{printable(one.workflow)}: {runs}"
            f" ({_count(one.rows, 'row')}, {values} of values, {files} of logs and reports)"
        )
    if not found:
        print_result("nothing to prune")
