"""DBOS on SQLite: one workflow that calls its steps in order, on `graph.json` of this folder.

Each step's end is a row, committed. For steps that do nothing it has no quicker way.
"""

from __future__ import annotations

import json
import time
from graphlib import TopologicalSorter
from pathlib import Path

from dbos import DBOS

graph = json.loads(Path("graph.json").read_text("utf-8"))
names = list(TopologicalSorter(graph).static_order())
DBOS(
    config={
        "name": "bench",
        "system_database_url": "sqlite:///dbos.sqlite",
        "run_admin_server": False,
        "log_level": "ERROR",
    }
)


@DBOS.step()
def nothing(name: str) -> None:
    """Do nothing."""


@DBOS.workflow()
def bench() -> None:
    """Call the steps."""
    for name in names:
        nothing(name)


DBOS.launch()
begun = time.perf_counter()
workflow = DBOS.start_workflow(bench)
workflow.get_result()
seconds = time.perf_counter() - begun
assert len(DBOS.list_workflow_steps(workflow.get_workflow_id())) == len(graph)
DBOS.destroy()
print(json.dumps({"seconds": seconds}))
