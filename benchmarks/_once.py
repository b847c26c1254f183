"""One run in a process of its own: `_once.py engine|bare|threads SHAPE STEPS WORKERS [SLEEP_S]`.

Prints, as JSON, the seconds spent inside the run, those from its first recorded start to its last
recorded end, the most memory the process has held, and the size of its store. Fails where the store
does not say that all steps are done. Works in the current folder, which should be empty.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from graphlib import TopologicalSorter
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from _graphs import SHAPES, Graph

AHEAD_MAX = 512
STORE = Path("runs.db")
RECORDED = {
    "engine": """
        SELECT (SELECT count(*) FROM step_runs WHERE status = 'ok'),
            86400 * (julianday(finished_at) - julianday(started_at)) FROM runs""",
    "bare": "SELECT sum(status = 'ok'), max(finished) - min(started) FROM steps",
}


def body(sleep_s: float) -> Callable[[Any], None]:
    """Make the function of all steps: it does nothing, so that what is left is overhead."""

    def nothing(_ctx: Any) -> None:
        pass

    def sleep(_ctx: Any) -> None:
        time.sleep(sleep_s)

    return sleep if sleep_s else nothing


def engine(graph: Graph, workers: int, sleep_s: float) -> float:
    """`Workflow.run` as a program would call it; the definition is not counted."""
    from engine import Step, Workflow

    run = body(sleep_s)
    workflow = Workflow("bench")
    for name, upstreams in graph.items():
        workflow.add(Step(name, run, depends_on=upstreams))
    if not sleep_s:
        # Imports are many times what a thousand steps take, and differ by as much from run to run.
        Workflow("warm").add(Step("s0", run)).run(store="sqlite:///warm.db")
    begun = time.perf_counter()
    report = workflow.run(workers=workers, store=f"sqlite:///{STORE}")
    seconds = time.perf_counter() - begun
    assert report["status"] == "ok", report["note"]
    return seconds


class Pool:
    """Threads of the standard library's pool, as nearly everybody uses them."""

    def __init__(self, work: Callable[[str], None], workers: int) -> None:
        self._work, self._pool = work, ThreadPoolExecutor(workers)

    def submit(self, names: list[str]) -> None:
        """Have the steps done."""
        for name in names:
            self._pool.submit(self._work, name)

    def close(self) -> None:
        """Wait for the threads' end."""
        self._pool.shutdown()


class Threads:
    """Plain threads at a queue: without the pool's futures, locks and counters for each step."""

    def __init__(self, work: Callable[[str], None], workers: int) -> None:
        self._todo: SimpleQueue[str | None] = SimpleQueue()
        self._work = work
        self._threads = [Thread(target=self._loop) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def _loop(self) -> None:
        while (name := self._todo.get()) is not None:
            self._work(name)

    def submit(self, names: list[str]) -> None:
        """Have the steps done."""
        for name in names:
            self._todo.put(name)

    def close(self) -> None:
        """Wait for the threads' end."""
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()


def bare(graph: Graph, workers: int, sleep_s: float, pool_of: type[Pool | Threads] = Pool) -> float:
    """graphlib, a pool and plain sqlite3: the least that records each start and end durably."""
    run = body(sleep_s)
    begun = time.perf_counter()
    connection = sqlite3.connect(STORE, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE steps (name TEXT PRIMARY KEY, status TEXT, started REAL, finished REAL)"
        " WITHOUT ROWID"  # one tree instead of two: 5 % off wide and layered
    )
    done: SimpleQueue[tuple[str, float]] = SimpleQueue()

    def work(name: str) -> None:
        run(None)
        done.put((name, time.time()))

    sorter = TopologicalSorter(graph)
    sorter.prepare()
    ready = list(sorter.get_ready())
    running = 0
    ended: list[tuple[str, float]] = []
    pool = pool_of(work, workers)
    while ready or running or ended:
        room = AHEAD_MAX - running
        batch, ready = ready[:room], ready[room:]
        now = time.time()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "UPDATE steps SET status = 'ok', finished = ? WHERE name = ?",
            [(at, name) for name, at in ended],
        )
        connection.executemany(
            "INSERT INTO steps VALUES (?, 'running', ?, NULL)", [(name, now) for name in batch]
        )
        connection.execute("COMMIT")
        pool.submit(batch)
        running += len(batch)
        ended = _drain(done) if running else []
        running -= len(ended)
        sorter.done(*(name for name, _ in ended))
        ready += sorter.get_ready()
    pool.close()
    connection.close()
    return time.perf_counter() - begun


def _drain(done: SimpleQueue[tuple[str, float]]) -> list[tuple[str, float]]:
    ended = [done.get()]
    try:
        while True:
            ended.append(done.get_nowait())
    except Empty:
        return ended


def threads(graph: Graph, workers: int, sleep_s: float) -> float:
    """The same, less the pool: not what anybody writes, but what it could come down to."""
    return bare(graph, workers, sleep_s, Threads)


RUNNERS = {"engine": engine, "bare": bare, "threads": threads}


def _peak_mb() -> float:
    # Not by getrusage, which counts the parent's memory at the fork too.
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    what, shape, count, workers, *sleep = sys.argv[1:]
    graph = SHAPES[shape](int(count))
    seconds = RUNNERS[what](graph, int(workers), float(sleep[0]) if sleep else 0.0)
    peak_mb = _peak_mb()
    with sqlite3.connect(STORE) as connection:
        ok, recorded_s = connection.execute(RECORDED.get(what, RECORDED["bare"])).fetchone()
    assert ok == len(graph), f"{ok} of {len(graph)} steps are recorded as done"
    files = (STORE, STORE.with_name(f"{STORE}-wal"))
    size = sum(path.stat().st_size for path in files if path.exists())
    told = {"seconds": seconds, "recorded_s": recorded_s, "peak_mb": peak_mb, "size_bytes": size}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
