"""Prefect with its own server: `with_prefect.py WORKERS`, on `graph.json` of the current folder.

Each state of a task run is a row in the server's SQLite file. The server is up before time is
taken: how long that takes differs by seconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

graph = json.loads(Path("graph.json").read_text("utf-8"))
workers = int(sys.argv[1])


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


starts_the_server()
begun = time.perf_counter()
ok = bench()
seconds = time.perf_counter() - begun
assert ok == len(graph), ok
print(json.dumps({"seconds": seconds}))
