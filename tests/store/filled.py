"""Runs to fill a store with: each helper makes one commit, or one run, as the engine does."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.events import BackOff, Claim, EndAttempt, EndRun, EndStep
from engine.model import AttemptOutcome, RunStatus, StepStatus
from engine.produced import Encoded, OutputFile
from store import locks
from store.connection import Database
from store.journal import Journal, begin_run
from store.new_run import NewRun, NewSteps
from tests.builders import graph_of
from tests.fakes import FakeClock

CHECKOUT = Path(__file__).resolve().parents[2]
CLOCK = FakeClock()  # its zero is 2011-11-14T00:00:00Z
NO_SHA = hashlib.sha256(b"").hexdigest()


def us(at: float) -> int:
    """Give an instant of the clock as it is stored."""
    return CLOCK.stamp(at)


def new_run(text: str = "a b>a", *, at: float = 0.0, **more: Any) -> NewRun:
    """Make a run of the steps in `text`, begun at `at`; `more` goes over what is usual."""
    graph = graph_of(text)
    prints = [f"print-{name}" for name in graph.names]
    steps = NewSteps(graph.names, prints, [{"code": name} for name in graph.names], graph.upstreams)
    run = NewRun(
        workflow="flow",
        params="{}",
        started_at=us(at),
        started_by="hand",
        user="ann",
        host="here",
        owner="",
        workers=4,
        steps=steps,
    )
    return replace(run, **more)


def journal_of(database: Database, run_id: int, channels: Iterable[str] = ()) -> Journal:
    """Give the write side of a run; every outcome alerts `channels`."""
    return Journal(database, run_id, stamp=CLOCK.stamp, channels=lambda _: channels)


def begun(database: Database, text: str = "a b>a", **more: Any) -> Journal:
    """Begin a run of the steps in `text`."""
    return journal_of(database, begin_run(database, new_run(text, **more)))


def value(data: bytes = b"1", codec: str = "json") -> Encoded:
    """Make a stored value."""
    return Encoded(codec, data, hashlib.sha256(data).hexdigest())


def did(
    journal: Journal,
    step: int,
    *,
    at: float = 0.0,
    took: float = 1.0,
    outcomes: str = "ok",
    writes: Sequence[tuple[str, Encoded]] = (),
    files: Sequence[OutputFile] = (),
) -> None:
    """Try a step as often as `outcomes` has words, 10 s apart; the last outcome is the step's."""
    words = [AttemptOutcome(word) for word in outcomes.split()]
    for number, outcome in enumerate(words, 1):
        begins = at + 10.0 * (number - 1)
        error = "" if outcome is AttemptOutcome.OK else "ValueError: no luck"
        journal.commit_tick([Claim(step, number, begins, report=False)])
        end = EndAttempt(step, number, outcome, begins, begins + took, error)
        if number < len(words):
            journal.commit_tick([end, BackOff(step, number, begins + 10.0)])
            continue
        status = StepStatus.OK if outcome is AttemptOutcome.OK else StepStatus.FAILED
        last = EndStep(step, status, begins + took, error, tuple(writes), tuple(files))
        journal.commit_tick([end, last])


def settle(journal: Journal, step: int, status: str, *, at: float = 0.0, note: str = "") -> None:
    """End a step that was never tried."""
    journal.commit_tick([EndStep(step, StepStatus(status), at, note)])


def end(journal: Journal, status: str = "ok", *, at: float = 5.0, note: str = "") -> None:
    """End the run."""
    journal.commit_tick([EndRun(RunStatus(status), at, note)])


def a_run(database: Database, status: str = "ok", *, at: float = 0.0, **more: Any) -> int:
    """Record a whole run of one step, which took 2 s."""
    journal = begun(database, "a", at=at, **more)
    did(journal, 0, at=at, took=2.0, outcomes="ok" if status == "ok" else "failed")
    end(journal, status, at=at + 2.0)
    return journal.run_id


def dead_owner(name: str = "flow") -> str:
    """Name a process that is gone, as the holder of a workflow's lock."""
    process = subprocess.Popen(["true"])
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    started = int(stat.rpartition(")")[2].split()[19])
    process.wait()
    return locks.Owner(
        f"{name}.lock", process.pid, locks.this_process("").boot_id, started
    ).to_text()


def python(program: str, *arguments: object, **env: str) -> subprocess.Popen[str]:
    """Start a Python program that can import the checkout; it must be waited for."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str], limit_s: float = 30.0) -> str:
    """Wait for a program's end; gives what it printed."""
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == 0, err
    return out


def many_old_runs(database: Database, runs: int, steps: int = 10) -> None:
    """Record many runs of ten steps, each a copy of the first but for its number and outcome.

    Every 50th, and the last, have failed at their last step.
    """
    journal = begun(database, " ".join(f"s{at}" for at in range(steps)))
    for step in range(steps):
        did(journal, step)
    end(journal)
    numbers = "WITH RECURSIVE n(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"
    with database.write() as cursor:
        for table, key in (("run_rows", "id"), ("step_rows", "run_id"), ("attempt_rows", "run_id")):
            names = [row[1] for row in cursor.execute(f"PRAGMA table_info({table})").fetchall()]
            taken = ", ".join("n" if name in (key, "root_run") else f"t.{name}" for name in names)
            cursor.execute(
                f"INSERT INTO {table} {numbers} SELECT {taken} FROM n, {table} t WHERE t.{key} = 1",
                (runs,),
            )
        last = "run_id % 50 = 0 OR run_id = (SELECT max(id) FROM run_rows)"
        cursor.execute(
            f"UPDATE run_rows SET status = 'failed' WHERE {last.replace('run_id', 'id')}"
        )
        cursor.execute(
            f"UPDATE step_rows SET status = 'failed' WHERE position = ? AND ({last})", (steps - 1,)
        )


def killed(program: Callable[[], object]) -> None:
    """Carry out in a child of this process what ends by SIGKILL; quicker than a new Python."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # threads that others left do not matter
        child = os.fork()
    if child == 0:
        try:
            program()
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def dies(*_args: object, **_more: object) -> None:
    """Be a power cut, as far as this process goes."""
    os.kill(os.getpid(), signal.SIGKILL)
