"""The options of `db`, the commands about the store itself."""

from __future__ import annotations

from engine.cli.option_forms import Add, json, whole

_RESTORE_EPILOG = """\
The one way to move a store, to go back to a backup, or to go on with what is
left after a loss: FILE may be the store itself. The store that was there is
kept beside it. Runs that were on in FILE are ended as interrupted, alerts that
it had still to deliver are dropped."""

_PRUNE_EPILOG = """\
Kept are runs that are on or have an alert to deliver, each workflow's last
failure, and what a kept run goes on from. Of the last run that was ok with each
set of parameters the row stays."""


def add_commands(add: Add) -> None:
    """Add the commands of `db`."""
    add("upgrade", "db:upgrade", "bring the store's tables up to date, after taking a copy")
    json(add("verify", "verifying:verify", "say what is wrong with the store; change nothing"))
    backup = add("backup", "db:backup", "copy the store, also while runs go on, and read it back")
    backup.add_argument(
        "file", metavar="FILE", nargs="?", help="HOME/backups/runs-DATE-TIME.db without"
    )
    restore = add(
        "restore", "db:restore", "put another store in place of this one", epilog=_RESTORE_EPILOG
    )
    restore.add_argument("file", metavar="FILE", help="a backup or another store")
    prune = add("prune", "db:prune", "let old runs go, with logs and reports", epilog=_PRUNE_EPILOG)
    prune.add_argument(
        "--keep-days",
        metavar="N",
        type=whole,
        help="keep what ended in the last N days (ENGINE_KEEP_DAYS, else 90)",
    )
    prune.add_argument(
        "--keep-runs",
        metavar="N",
        type=whole,
        help="keep the N newest runs of each workflow (ENGINE_KEEP_RUNS, else 20)",
    )
    prune.add_argument("--dry-run", action="store_true", help="say what would go; change nothing")
    json(prune)
