"""Luigi with its local scheduler: `with_luigi.py WORKERS`, on `graph.json` of the current folder.

What is done is known by a marker file a task; attempts are recorded nowhere.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import luigi

graph = json.loads(Path("graph.json").read_text("utf-8"))
workers = int(sys.argv[1])
done = Path("done")
done.mkdir()


class Nothing(luigi.Task):
    """Do nothing but leave the marker."""

    name = luigi.Parameter()

    def requires(self) -> list[Nothing]:
        """Give the tasks it waits for."""
        return [Nothing(name=name) for name in graph[self.name]]

    def output(self) -> luigi.LocalTarget:
        """Give the marker."""
        return luigi.LocalTarget(str(done / self.name))

    def run(self) -> None:
        """Leave the marker."""
        (done / self.name).touch()


waited_for = {one for upstreams in graph.values() for one in upstreams}
begun = time.perf_counter()
fine = luigi.build(
    [Nothing(name=name) for name in graph if name not in waited_for],
    local_scheduler=True,
    workers=workers,
    log_level="ERROR",
)
seconds = time.perf_counter() - begun
assert fine
assert len(list(done.iterdir())) == len(graph)
print(json.dumps({"seconds": seconds}))
