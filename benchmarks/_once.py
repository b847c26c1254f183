"""One measurement in a process of its own: `python _once.py engine|bare SHAPE STEPS WORKERS`.

Prints, as JSON, the seconds spent inside the run and the most memory the process has held. Fails
where the store does not say that all steps are done. Works in the current folder, which should be
empty.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from graphlib import TopologicalSorter
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from _graphs import SHAPES, Graph

AHEAD_MAX = 512


def nothing(_ctx: Any) -> None:
    """Do nothing: what is left is overhead."""


def engine(graph: Graph, workers: int) -> tuple[float, int]:
    """`Workflow.run` as a program would call it; imports included, definition not."""
    from engine import Step, Workflow

    workflow = Workflow("bench")
    for name, upstreams in graph.items():
        workflow.add(Step(name, nothing, depends_on=upstreams))
    begun = time.perf_counter()
    report = workflow.run(workers=workers, store="sqlite:///runs.db")
    seconds = time.perf_counter() - begun
    assert report["status"] == "ok", report["note"]
    return seconds, _count("SELECT count(*) FROM step_runs WHERE status = 'ok'")


def bare(graph: Graph, workers: int) -> tuple[float, int]:
    """graphlib, a pool and plain sqlite3: the least that records each start and end durably."""
    begun = time.perf_counter()
    connection = sqlite3.connect("runs.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE steps (name TEXT PRIMARY KEY, status TEXT, started REAL, finished REAL)"
    )
    done: SimpleQueue[tuple[str, float]] = SimpleQueue()

    def work(name: str) -> None:
        nothing(None)
        done.put((name, time.time()))

    sorter = TopologicalSorter(graph)
    sorter.prepare()
    ready = list(sorter.get_ready())
    running = 0
    ended: list[tuple[str, float]] = []
    with ThreadPoolExecutor(workers) as pool:
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
            for name in batch:
                pool.submit(work, name)
            running += len(batch)
            ended = _drain(done) if running else []
            running -= len(ended)
            sorter.done(*(name for name, _ in ended))
            ready += sorter.get_ready()
    connection.close()
    return time.perf_counter() - begun, _count("SELECT count(*) FROM steps WHERE status = 'ok'")


def _drain(done: SimpleQueue[tuple[str, float]]) -> list[tuple[str, float]]:
    ended = [done.get()]
    try:
        while True:
            ended.append(done.get_nowait())
    except Empty:
        return ended


def _count(query: str) -> int:
    with sqlite3.connect("runs.db") as connection:
        return int(connection.execute(query).fetchone()[0])


def _peak_mb() -> float:
    # Not by getrusage, which counts the parent's memory at the fork too.
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    what, shape, count, workers = sys.argv[1:]
    graph = SHAPES[shape](int(count))
    seconds, ok = (engine if what == "engine" else bare)(graph, int(workers))
    assert ok == len(graph), f"{ok} of {len(graph)} steps are recorded as done"
    print(json.dumps({"seconds": seconds, "peak_mb": _peak_mb()}))


if __name__ == "__main__":
    main()
