"""What a store must still know after a power cut: every fact it had acknowledged before."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from engine import outputs
from store.connection import Database
from store.database import open_writer
from store.reconcile import reconcile
from tests.system.powercut.record import Kind, Line

Fact = dict[str, Any]


def facts_in(lines: Iterable[Line]) -> list[Fact]:
    """Give the facts that are marked in a piece of a record."""
    return [json.loads(line.data) for line in lines if line.kind is Kind.MARK]


def faults(store: Path, known: Sequence[Fact], all_facts: Sequence[Fact]) -> list[str]:
    """Open the store as the next command would; say what it has lost or torn.

    `known` had been acknowledged at the cut; `all_facts` are those of the whole record: a commit
    that was not yet acknowledged may be there, but whole.
    """
    if not store.exists():
        return ["the store is gone"] if known else []
    database = open_writer(store)
    try:
        found = [f"lost: {fact}" for fact in known if not _is_known(database, fact)]
        found += _torn(database, all_facts)
        reconcile(database, mine=None, channels=lambda _: (), now_us=0, publish=outputs.publish)
        found += _gaps(database)
        found += _files(known, all_facts)
        return found + _integrity(database)
    finally:
        database.close()


def _is_known(database: Database, fact: Fact) -> bool:
    run, step = fact.get("run", 0), fact.get("step", "")
    ask = database.raw.execute
    match fact["fact"]:
        case "run":
            row = ask("SELECT status FROM runs WHERE id = ?", (run,)).fetchone()
            return row is not None and fact["status"] in ("running", row[0])
        case "claim" | "attempt":
            sql = "SELECT outcome FROM attempts WHERE run_id = ? AND step = ? AND number = ?"
            row = ask(sql, (run, step, fact["number"])).fetchone()
            return row is not None and fact.get("outcome") in (None, row[0])
        case "step":
            sql = "SELECT status FROM step_runs WHERE run_id = ? AND step = ?"
            row = ask(sql, (run, step)).fetchone()
            return row == (fact["status"],) and _outputs(database, run, step) == _digests(fact)
        case "copy":
            return _copy_holds(Path(fact["path"]), fact["runs"])
        case _:
            return True  # an effect, or a file: looked at once pending renames are made


def _copy_holds(path: Path, runs: list[list[object]]) -> bool:
    """Whether a copy of the store is whole, and has these runs."""
    try:
        with closing(sqlite3.connect(path)) as copy:
            said = copy.execute("PRAGMA integrity_check").fetchall()
            found = copy.execute("SELECT id, status FROM runs").fetchall()
    except sqlite3.Error:
        return False
    return said == [("ok",)] and found == [tuple(run) for run in runs]


def _digests(fact: Fact) -> dict[str, str]:
    return dict(fact.get("outputs", {}))


def _outputs(database: Database, run: int, step: str) -> dict[str, str]:
    """Digest what is really there, whatever digest is recorded beside it."""
    sql = "SELECT key, data FROM outputs WHERE run_id = ? AND step = ?"
    rows = database.raw.execute(sql, (run, step)).fetchall()
    return {key: hashlib.sha256(data).hexdigest() for key, data in rows}


def _torn(database: Database, all_facts: Sequence[Fact]) -> list[str]:
    """Find outputs without their step's success, and a success without all of them."""
    ends = {(f["run"], f["step"]): f for f in all_facts if f["fact"] == "step"}
    ok = set(
        database.raw.execute("SELECT run_id, step FROM step_runs WHERE status = 'ok'").fetchall()
    )
    left = set(database.raw.execute("SELECT run_id, step FROM outputs WHERE step <> ''").fetchall())
    found = [f"outputs without a success: {key}" for key in sorted(left - ok)]
    for run, step in sorted(ok):
        fact = ends.get((run, step))
        if fact is None or fact["status"] != "ok":
            found.append(f"a success that never was: {run} {step}")
        elif _outputs(database, run, step) != _digests(fact):
            found.append(f"a success without all of its outputs: {run} {step}")
    return found


def _gaps(database: Database) -> list[str]:
    rows = database.raw.execute(
        "SELECT run_id, count(*), min(seq), max(seq), count(DISTINCT seq) FROM events"
        " GROUP BY run_id"
    ).fetchall()
    return [
        f"the events of run {run} have gaps"
        for run, count, first, last, distinct in rows
        if not (first == 1 and count == last == distinct)
    ]


def _files(known: Sequence[Fact], all_facts: Sequence[Fact]) -> list[str]:
    """Find targets that hold neither what an acknowledged success made of them, nor a later file.

    A later rename may have come through before its acknowledgement.
    """
    made: dict[str, list[str]] = {}
    least: dict[str, int] = {}
    for at, fact in enumerate(all_facts):
        for target, sha256 in fact.get("files", {}).items():
            made.setdefault(target, []).append(sha256)
            if at < len(known):
                least[target] = len(made[target]) - 1
    found = []
    for target, first in least.items():
        there = ""
        with suppress(OSError):
            there = hashlib.sha256(Path(target).read_bytes()).hexdigest()
        if there not in made[target][first:]:
            found.append(f"the file '{target}' is lost")
    return found


def _integrity(database: Database) -> list[str]:
    said = [row[0] for row in database.raw.execute("PRAGMA integrity_check").fetchall()]
    return [] if said == ["ok"] else [f"integrity: {line}" for line in said]
