"""All that is recorded of one run, as values: what `why`, `diff` and reports are made from."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, NamedTuple

from engine.records import record
from store.step_runs import StepRun


class Try(NamedTuple):
    """An attempt; times in microseconds since 1970 UTC. While it runs, `outcome` is None."""

    number: int
    outcome: str | None
    started_at: int | None
    finished_at: int | None
    error: str
    retry_at: int | None


class Decided(NamedTuple):
    """A decision about a step, with its facts: see docs/sql.md."""

    seq: int
    what: str
    facts: Mapping[str, Any]


@record
class StepFacts:
    """A step of a run: what it is, what became of it, and what it left.

    `upstreams` are names; `values` and `files` have sums by key and by path. `why` says why a step
    that had ended well is redone, `used` counts the failures that it was begun with, `retry_at` is
    when its retry was due then.
    """

    told: StepRun
    upstreams: tuple[str, ...]
    fingerprint: str
    parts: Mapping[str, str]
    tries: Sequence[Try] = ()
    decisions: Sequence[Decided] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    used: int = 0
    retry_at: int | None = None


@record
class RunFacts:
    """A run: its row as `History.run` tells it, its steps by name, as declared, and its versions.

    `context` has the sums of its initial values by key, `order` by what ready steps were ordered,
    in microseconds by position, or nothing.
    """

    run: Mapping[str, Any]
    steps: Mapping[str, StepFacts]
    versions: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    order: Sequence[int] = ()


def read_run(cursor: sqlite3.Cursor, run: Mapping[str, Any], told: Sequence[StepRun]) -> RunFacts:
    """Give what is recorded of a run, whose row and steps have been read."""
    run_id = run["run_id"]
    tries, decisions = _tries(cursor, run_id), _decisions(cursor, run_id)
    carried = _carried(cursor, run_id)
    sources = {step.source_run for step in told if step.status == "cached"} | {run_id}
    left = {source: _left(cursor, source) for source in sorted(filter(None, sources))}
    names = [step.step for step in told]
    steps = {}
    for step, defined in zip(told, _defined(cursor, run_id, names), strict=True):
        source = step.source_run if step.status == "cached" else run_id
        values, files = left[source or run_id].get(step.step, ({}, {}))
        steps[step.step] = StepFacts(
            step,
            *defined,
            tries.get(step.position, ()),
            decisions.get(step.position, ()),
            values,
            files,
            *carried.get(step.position, ("", 0, None)),
        )
    sql = "SELECT weights FROM order_rows WHERE run_id = ?"
    order = cursor.execute(sql, (run_id,)).fetchone()
    return RunFacts(run, steps, *_given(cursor, run), json.loads(order[0]) if order else ())


def read_origin(cursor: sqlite3.Cursor, run: Mapping[str, Any]) -> RunFacts:
    """Give what a run was, was given and ran on; of its steps only what they are.

    Of ten thousand steps this takes a tenth of the time.
    """
    run_id = run["run_id"]
    rows = cursor.execute(
        "SELECT d.name FROM run_rows r JOIN definition_steps d"
        " ON d.definition_id = r.definition_id WHERE r.id = ? ORDER BY d.position",
        (run_id,),
    )
    names = [name for (name,) in rows]
    defined = enumerate(zip(names, _defined(cursor, run_id, names), strict=True))
    steps = {name: StepFacts(StepRun(name, at, ""), *what) for at, (name, what) in defined}
    return RunFacts(run, steps, *_given(cursor, run))


def _given(cursor: sqlite3.Cursor, run: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Give the versions that a run ran on, and the sums of its chain's initial values."""
    sql = "SELECT package, version FROM environments WHERE run_id = ?"
    versions = dict(cursor.execute(sql, (run["run_id"],)).fetchall())
    sql = "SELECT key, sha256 FROM output_rows WHERE run_id = ? AND position = -1 ORDER BY key"
    return versions, dict(cursor.execute(sql, (run["root_run"],)).fetchall())


def _defined(
    cursor: sqlite3.Cursor, run_id: int, names: Sequence[str]
) -> list[tuple[tuple[str, ...], str, Mapping[str, str]]]:
    """Give upstreams, fingerprint and parts of each step; equal parts are one object."""
    rows = cursor.execute(
        "SELECT d.upstreams, d.fingerprint, d.parts FROM run_rows r JOIN definition_steps d"
        " ON d.definition_id = r.definition_id WHERE r.id = ? ORDER BY d.position",
        (run_id,),
    ).fetchall()
    parts: dict[str, Mapping[str, str]] = {}
    found = []
    last_print = last_text = ""
    for ups, fingerprint, text in rows:
        if text:  # without, a step is made as the one before it
            last_print, last_text = fingerprint, text
        if last_text not in parts:
            parts[last_text] = json.loads(last_text)
        found.append((tuple([names[up] for up in json.loads(ups)]), last_print, parts[last_text]))
    return found


def _tries(cursor: sqlite3.Cursor, run_id: int) -> dict[int, list[Try]]:
    rows = cursor.execute(
        """SELECT position, number, outcome, started_at, finished_at, coalesce(error, ''), retry_at
           FROM attempt_rows WHERE run_id = ?1
           UNION ALL SELECT position, number, NULL, started_at, NULL, '', NULL
           FROM live_rows WHERE run_id = ?1 ORDER BY 1, 2""",
        (run_id,),
    )
    found = defaultdict(list)
    for position, *row in rows:
        found[position].append(Try(*row))
    return found


def _decisions(cursor: sqlite3.Cursor, run_id: int) -> dict[int, list[Decided]]:
    rows = cursor.execute(
        "SELECT position, seq, what, facts FROM decision_rows WHERE run_id = ?"
        " ORDER BY position, seq, what",
        (run_id,),
    )
    found = defaultdict(list)
    for position, seq, what, facts in rows:
        found[position].append(Decided(seq, what, json.loads(facts)))
    return found


def _carried(cursor: sqlite3.Cursor, run_id: int) -> dict[int, tuple[str, int, int | None]]:
    sql = "SELECT position, why, used, retry_at FROM carried_rows WHERE run_id = ?"
    return {position: tuple(row) for position, *row in cursor.execute(sql, (run_id,))}


def _left(cursor: sqlite3.Cursor, run_id: int) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Give the sums of the values and of the files that each step of a run has left."""
    found: dict[str, tuple[dict[str, str], dict[str, str]]] = defaultdict(lambda: ({}, {}))
    of_run = "run_rows r JOIN definition_steps d ON d.definition_id = r.definition_id"
    for at, (table, key) in enumerate((("output_rows", "key"), ("file_rows", "target"))):
        rows = cursor.execute(
            f"SELECT d.name, o.{key}, o.sha256 FROM {of_run} JOIN {table} o"
            f" ON o.run_id = r.id AND o.position = d.position WHERE r.id = ? ORDER BY 1, 2",
            (run_id,),
        )
        for name, what, sha256 in rows:
            found[name][at][what] = sha256
    return found
