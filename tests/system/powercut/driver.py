"""Runs a workflow under the shim, marking in its record each fact as the store acknowledges it.

    python driver.py FOLDER [PLANT]: three runs, of which the second continues the first
    python driver.py FOLDER --old: one run on the older store that is there, which is upgraded
    python driver.py FOLDER --continue: one run more, as a user would after the cut

PLANT is a fault put into the store's own settings: `normal` for synchronous=NORMAL, `folder` for a
folder that is not synced after a rename.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from engine import Step, Workflow, outputs
from engine.events import Action, Claim, EndAttempt, EndRun, EndStep
from engine.model import StepStatus
from engine.session import opening
from store import connection, database, journal
from store.new_run import NewRun
from tests.system.powercut.shape import GRAPH

FOLDER = Path(sys.argv[1])
PLANT = sys.argv[2] if len(sys.argv) > 2 else ""
CHECKPOINT_PAGES = 40  # so that the log is folded into the file often, also in mid-run


def mark(**fact: Any) -> None:
    """Put a fact that was acknowledged into the record."""
    data = json.dumps(fact).encode()
    ctypes.CDLL(None).shim_mark(data, ctypes.c_size_t(len(data)))


def settled_by(run: NewRun) -> Iterator[tuple[int, StepStatus]]:
    """Give the steps that have ended as a run begins."""
    for some in run.reused:
        yield from [(position, StepStatus.CACHED) for position in some.positions]
    yield from [(step.position, step.status) for step in run.taken_over if step.status is not None]


def watch() -> None:
    """Mark what the store has acknowledged, once its own function has returned."""
    begin_run, commit, published = (
        journal.begin_run,
        journal.Journal.commit_tick,
        journal.Journal.mark_published,
    )

    def begin_and_mark(database: connection.Database, run: NewRun) -> int:
        run_id = begin_run(database, run)
        mark(fact="run", run=run_id, status="running")
        for position, status in settled_by(run):
            mark(fact="step", run=run_id, step=name_of(position), status=status)
        return run_id

    def commit_and_mark(self: journal.Journal, actions: Sequence[Action]) -> None:
        commit(self, actions)
        for action in actions:
            for fact in facts_of(self.run_id, action):
                mark(**fact)

    def publish_and_mark(self: journal.Journal, steps: Sequence[int]) -> None:
        published(self, steps)
        for step in steps:
            mark(fact="published", run=self.run_id, step=name_of(step))

    journal.begin_run = begin_and_mark
    journal.Journal.commit_tick = commit_and_mark  # type: ignore[method-assign]
    journal.Journal.mark_published = publish_and_mark  # type: ignore[method-assign,assignment]


def facts_of(run: int, action: Action) -> list[dict[str, Any]]:
    """Say what an action that is committed has made a fact."""
    match action:
        case Claim(step, number):
            return [{"fact": "claim", "run": run, "step": name_of(step), "number": number}]
        case EndAttempt(step, number, outcome):
            known = {"run": run, "step": name_of(step), "number": number}
            return [{"fact": "attempt", **known, "outcome": outcome}]
        case EndStep(step, status, writes=writes, files=files):
            digests = {key: hashlib.sha256(value.data).hexdigest() for key, value in writes}
            targets = {file.target: file.sha256 for file in files}
            known = {"run": run, "step": name_of(step), "status": status}
            return [{"fact": "step", **known, "outputs": digests, "files": targets}]
        case EndRun(status=status):
            return [{"fact": "run", "run": run, "status": status}]
        case _:
            return []


def name_of(position: int) -> str:
    """Name the step at a position."""
    return f"s{position}"


def body(position: int) -> Callable[[Any], Any]:
    """Make a step that stores values, every third a file too; one fails in the first run."""

    def run(ctx: Any) -> bytes:
        mark(fact="effect", run=ctx.run_id, step=name_of(position), number=ctx.attempt)
        if position == len(GRAPH) - 2 and ctx.run_id == 1 and os.environ.get("UNLUCKY"):
            raise ValueError("not in the first run")
        if position % 4 == 1 and ctx.attempt == 1:
            raise ValueError("not at the first attempt")
        if position % 3 == 2:
            with ctx.output(FOLDER / "out" / f"{position}.bin", "wb") as file:
                file.write(bytes([position, ctx.run_id]) * 3000)
        ctx[f"note{position}"] = f"of run {ctx.run_id}"
        return bytes([position, ctx.run_id % 256]) * (500 * (position + 1))

    return run


def workflow() -> Workflow:
    """Make the steps of the graph."""
    made = Workflow("flow")
    for position, (name, upstreams) in enumerate(GRAPH.items()):
        made.add(Step(name, body(position), depends_on=upstreams, retries=3, backoff=0.001))
    return made


def watch_upgrade() -> None:
    """Mark the copy of an older store once the store is open, and so upgraded."""
    open_writer = database.open_writer

    def open_and_mark(path: Path, *, beyond: Callable[[], int]) -> connection.Database:
        opened = open_writer(path, beyond=beyond)
        for copy in FOLDER.glob("*.before-upgrade-*"):
            mark(fact="copy", path=str(copy), runs=[[1, "failed"]])
        return opened

    opening.__dict__["open_writer"] = open_and_mark


def main() -> None:
    """Do what the arguments say, and print each run's status."""
    os.environ["ENGINE_HOME"] = str(FOLDER)
    pragmas = connection._pragmas
    if PLANT == "folder":
        outputs._sync_folder = lambda folder: None  # noqa: ARG005 - as it is called

    def prepared(*, writable: bool) -> list[str]:
        found = [*pragmas(writable=writable), f"wal_autocheckpoint = {CHECKPOINT_PAGES}"]
        return [p.replace("FULL", "NORMAL") for p in found] if PLANT == "normal" else found

    connection._pragmas = prepared
    fresh = {"--continue": [False], "--old": [True]}.get(PLANT, [False, False, True])
    if PLANT != "--continue":
        os.environ["UNLUCKY"] = "yes"  # no name of this file: that would be a part of the step
        watch()
    if PLANT == "--old":
        watch_upgrade()
    for anew in fresh:
        report = workflow().run(fresh=anew, store=f"sqlite:///{FOLDER / 'runs.db'}")
        print(report["run_id"], report["status"], flush=True)


if __name__ == "__main__":
    main()
