"""doit, as a program would call it: `with_doit.py WORKERS`, on `graph.json` of the current folder.

It keeps each task's last state in its file, written when it ends; 0 workers: no threads.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

graph = json.loads(Path("graph.json").read_text("utf-8"))
workers = sys.argv[1]


def nothing() -> None:
    """Do nothing."""


def task_bench() -> Iterator[dict[str, Any]]:
    """Give the graph's tasks."""
    for name, upstreams in graph.items():
        yield {"basename": name, "actions": [nothing], "task_dep": upstreams}


begun = time.perf_counter()
words = ["run", "--reporter", "zero", "-n", workers, "-P", "thread"]
code = DoitMain(ModuleTaskLoader({"task_bench": task_bench})).run(words)
seconds = time.perf_counter() - begun
assert not code, code
print(json.dumps({"seconds": seconds}))
