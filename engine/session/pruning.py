"""Letting old runs go: by command, or a little at a time when a run has ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, UsageError
from engine.session import run_files
from store import outlived, prune, retention, slots

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from engine.session.environment import Environment
    from store.connection import Database
    from store.retention import Limits, Verdict

logger = logging.getLogger("engine.run")

KEEP_DAYS = 90
KEEP_RUNS = 20
FOREVER = "forever"
AFTER_RUN_S = 1.0  # what a run's end may be held up
_BATCH = 50  # runs judged and marked in one transaction
_DAY_US = 86_400_000_000
_MOST = 1_000_000  # days, or runs: more is no other wish, and would not fit a number of SQLite's


@dataclass(slots=True)
class Pruned:
    """What went, or would go, of one workflow: whole runs, runs of which the row stays, sizes.

    `stuck` says of what could not be taken away why; the next prune tries again.
    """

    workflow: str
    runs: list[int] = field(default_factory=list)
    rows_kept: list[int] = field(default_factory=list)
    rows: int = 0
    value_bytes: int = 0
    file_bytes: int = 0
    stuck: list[str] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count a run as gone, or as going."""
        (self.runs if verdict.row else self.rows_kept).append(verdict.run_id)

    def weigh(self, cursor: sqlite3.Cursor, home: Path, going: Iterable[Verdict]) -> None:
        """Add what the going of some runs frees."""
        for verdict in going:
            rows, value_bytes = prune.weigh(cursor, verdict)
            self.rows += rows
            self.value_bytes += value_bytes
            self.file_bytes += _file_bytes(home, verdict)

    def as_dict(self) -> dict[str, Any]:
        """Give it for JSON."""
        return asdict(self) | {"runs": sorted(self.runs), "rows_kept": sorted(self.rows_kept)}


def limits(
    environment: Environment, *, days: int | None = None, runs: int | None = None
) -> Limits | None:
    """Give what is asked for, else ENGINE_KEEP_DAYS and ENGINE_KEEP_RUNS; None to keep all.

    Raises `UsageError` where these are no whole numbers.
    """
    if days is None and environment.secrets.setting("ENGINE_KEEP_DAYS") == FOREVER:
        return None
    days = days or _setting(environment, "ENGINE_KEEP_DAYS", KEEP_DAYS)
    runs = runs or _setting(environment, "ENGINE_KEEP_RUNS", KEEP_RUNS)
    before_us = environment.now_us - min(days, _MOST) * _DAY_US
    return retention.Limits(before_us, min(runs, _MOST))


def _setting(environment: Environment, name: str, default: int) -> int:
    text = environment.secrets.setting(name)
    if text is None:
        return default
    if not (text.isdecimal() and text.isascii() and len(text) < 10 and 0 < int(text) <= _MOST):
        more = f", or to {FOREVER}" if name == "ENGINE_KEEP_DAYS" else ""
        raise UsageError(f"{name} is '{text}'", hint=f"set it to a whole number above 0{more}")
    return int(text)


def prune_all(database: Database, environment: Environment, within: Limits) -> list[Pruned]:
    """Let go of all that is due, workflow by workflow."""
    with database.read() as cursor:
        names = {*retention.workflows(cursor), *slots.workflows(cursor)}
    found = [prune_workflow(database, environment, (name, within)) for name in sorted(names)]
    return [one for one in found if one.runs or one.rows_kept or one.stuck]


def prune_workflow(
    database: Database,
    environment: Environment,
    what: tuple[str, Limits],
    go_on: Callable[[], bool] = lambda: True,
) -> Pruned:
    """Let go of what is due of one workflow, oldest first, while `go_on` says so."""
    (workflow, within), home = what, environment.paths.home
    pruned = Pruned(workflow)
    with database.read() as cursor:
        due = retention.due(cursor, workflow, within)
    for batch in _batches(due):
        if not go_on():
            break
        with database.read() as cursor:
            going = retention.judge(cursor, workflow, within, batch)
        if not going:
            continue
        going = prune.mark(database, workflow, within, batch, environment.now_us)
        with database.read() as cursor:
            pruned.weigh(cursor, home, going)
        going = [verdict for verdict in going if _files_gone(home, verdict, pruned.stuck)]
        for verdict in prune.take_away(database, going, go_on):
            pruned.add(verdict)
    now_us = environment.now_us
    while go_on() and slots.let_go(database, workflow, within.before_us, now_us):
        prune.pause()
    while go_on() and outlived.let_go(database, within.before_us, now_us):
        prune.pause()
    return pruned


def preview(database: Database, environment: Environment, within: Limits) -> list[Pruned]:
    """Say what `prune_all` would do; nothing is changed."""
    found = []
    with database.read() as cursor:
        for workflow in retention.workflows(cursor):
            pruned = Pruned(workflow)
            due = retention.due(cursor, workflow, within)
            going = retention.judge(cursor, workflow, within, due)
            pruned.weigh(cursor, environment.paths.home, going)
            for verdict in going:
                pruned.add(verdict)
            if going:
                found.append(pruned)
    return found


def after_run(database: Database, environment: Environment, workflow: str) -> None:
    """Let go of what is due of a workflow that has had its turn, in a second at most; never raises.

    What is left is for the next run's end.
    """
    ends = environment.clock.now() + AFTER_RUN_S
    try:
        within = limits(environment)
        if within is None:
            return
        pruned = prune_workflow(
            database, environment, (workflow, within), lambda: environment.clock.now() < ends
        )
    except EngineError as error:
        logger.warning("old runs were not pruned: %s", environment.secrets.mask(error.message))
        return
    for text in pruned.stuck:
        logger.warning("%s", text)
    count = len(pruned.runs) + len(pruned.rows_kept)
    if count:
        logger.info("pruned %d old run%s of %s", count, "s" if count > 1 else "", workflow)


def _batches(runs: list[int]) -> Iterator[list[int]]:
    for at in range(0, len(runs), _BATCH):
        yield runs[at : at + _BATCH]


def _file_bytes(home: Path, verdict: Verdict) -> int:
    paths = run_files.of_run(home, verdict.workflow, verdict.run_id)
    try:
        return sum(run_files.size_bytes(path) for path in paths)
    except OSError:
        return 0


def _files_gone(home: Path, verdict: Verdict, stuck: list[str]) -> bool:
    """Take away a run's logs and reports; one of which some stay keeps its rows until they go."""
    for path in run_files.of_run(home, verdict.workflow, verdict.run_id):
        try:
            run_files.remove(path)
        except OSError as error:
            stuck.append(f"run {verdict.run_id} keeps '{path}': {error.strerror}")
            return False
    return True
