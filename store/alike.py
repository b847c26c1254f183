"""Which steps of an earlier run are done and as they are now: told of all of them at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import accumulate

from engine.graph import Edges
from store.definition import digest
from store.new_run import NewSteps
from store.past import files_left, marked_done


def done_alike(cursor: sqlite3.Cursor, run_id: int, steps: NewSteps) -> list[int]:
    """Give, by position, the run in which a step was done that is there and done as it is now.

    It is 0 for each that a decision has to look at: not done, changed, with files or a mark, or
    with a past of its own in the chain. Nothing is told where the graph is another. Of a hundred
    thousand steps a resume looks at few: to make a `PastStep` of each takes 6 µs.
    """
    row = cursor.execute(
        "SELECT r.workflow, d.id, d.sha256 FROM run_rows r"
        " JOIN definition_rows d ON d.id = r.definition_id WHERE r.id = ?",
        (run_id,),
    ).fetchone()
    if row is None:
        return []
    workflow, definition, sha256 = row
    changed: Iterable[int] | None = ()
    if sha256 != digest(workflow, steps):
        changed = _changed(cursor, definition, steps)
    if changed is None:
        return []
    done = _done(cursor, run_id, len(steps))
    cursor.execute("SELECT position FROM carried_rows WHERE run_id = ?", (run_id,))
    for position in (*changed, *[position for (position,) in cursor]):
        done[position] = 0
    return _without(done, steps.names, cursor)


def _changed(cursor: sqlite3.Cursor, definition: int, steps: NewSteps) -> list[int] | None:
    """Give the steps whose fingerprints differ; None where names or upstreams do."""
    cursor.execute(
        "SELECT name, fingerprint, upstreams FROM definition_steps"
        " WHERE definition_id = ? ORDER BY position",
        (definition,),
    )
    names, prints, upstreams = zip(*cursor.fetchall(), strict=True)
    if names != tuple(steps.names):
        return None
    if Edges.of(json.loads(f"[{','.join(upstreams)}]")) != steps.upstreams:
        return None
    known: Iterable[str] = accumulate(
        prints, lambda last, one: one or last
    )  # none: made as the one before it
    pairs = zip(known, steps.fingerprints, strict=True)
    return [position for position, (was, now) in enumerate(pairs) if was != now]


def _done(cursor: sqlite3.Cursor, run_id: int, count: int) -> list[int]:
    """Give, by position, the run in which a step was done, 0 for none."""
    done = [0] * count
    cursor.execute(
        "SELECT json_group_array(position) FROM attempt_rows WHERE run_id = ? AND outcome = 'ok'",
        (run_id,),
    )
    for position in json.loads(cursor.fetchone()[0]):
        done[position] = run_id
    cursor.execute(
        "SELECT position, iif(status = 'cached', source_run, 0) FROM step_rows WHERE run_id = ?",
        (run_id,),
    )
    for position, source in cursor:
        done[position] = source
    return done


def _without(done: list[int], names: Sequence[str], cursor: sqlite3.Cursor) -> list[int]:
    """Leave out those that left files where they were done, or were marked there as done."""
    left = {
        (source, name)
        for source in set(done) - {0}
        for name in (*files_left(cursor, source), *marked_done(cursor, source))
    }
    if not left:
        return done
    return [0 if step in left else step[0] for step in zip(done, names, strict=True)]
