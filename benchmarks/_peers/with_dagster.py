"""Dagster, in one process, on SQLite; on `graph.json` of the current folder.

Each event of a step is a row in the file of its run.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from dagster import (
    DagsterInstance,
    DependencyDefinition,
    GraphDefinition,
    In,
    MultiDependencyDefinition,
    NodeInvocation,
    Nothing,
    op,
)

Path("dagster.yaml").write_text("telemetry: {enabled: false}\n", "utf-8")
graph = json.loads(Path("graph.json").read_text("utf-8"))


@op(ins={"upstreams": In(Nothing)})
def nothing() -> None:
    """Do nothing."""


@op
def first() -> None:
    """Do nothing, and wait for nothing."""


job = GraphDefinition(
    name="bench",
    node_defs=[first, nothing] if any(graph.values()) else [first],
    dependencies={
        NodeInvocation("nothing" if upstreams else "first", alias=name): {
            "upstreams": MultiDependencyDefinition(
                [DependencyDefinition(upstream) for upstream in upstreams]
            )
        }
        if upstreams
        else {}
        for name, upstreams in graph.items()
    },
).to_job()
instance = DagsterInstance.get()
begun = time.perf_counter()
result = job.execute_in_process(
    instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
)
seconds = time.perf_counter() - begun
assert result.success
ok = [event for event in result.all_events if event.event_type_value == "STEP_SUCCESS"]
assert len(ok) == len(graph), len(ok)
print(json.dumps({"seconds": seconds}))
