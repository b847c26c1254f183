"""Prefect with its own server: `with_prefect.py WORKERS`, on `graph.json` of the current folder.

Each state of a task run becomes a row in the server's SQLite file, but later: a run returns with a
few of them recorded, and those that are not when its process ends are lost. So time is taken until
all are there. The server is up before: how long that takes differs by seconds.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

graph = json.loads(Path("graph.json").read_text("utf-8"))
workers = int(sys.argv[1])
store = Path(os.environ["PREFECT_HOME"]).resolve() / "prefect.db"


@task
def nothing() -> None:
    """Do nothing."""


@flow
def starts_the_server() -> None:
    """Do nothing."""


@flow(task_runner=ThreadPoolTaskRunner(max_workers=workers))
def bench() -> int:
    """Submit the graph, whose steps come after those they wait for."""
    futures: dict[str, Any] = {}
    for name, upstreams in graph.items():
        futures[name] = nothing.submit(wait_for=[futures[one] for one in upstreams])
    return sum(future.state.is_completed() for future in futures.values() if not future.wait())


def recorded() -> int:
    """Count the task runs that the store says are done."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        query = "SELECT count(*) FROM task_run WHERE state_type = 'COMPLETED'"
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


starts_the_server()
begun = time.perf_counter()
ok = bench()
returned_s = time.perf_counter() - begun
while recorded() < len(graph):
    time.sleep(0.02)
seconds = time.perf_counter() - begun
assert ok == len(graph), ok
print(json.dumps({"seconds": seconds, "returned_s": returned_s}))
