"""What a workflow of very many steps takes before its first claim."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# In an interpreter of its own: how much an object takes hangs on what was made before it.
MEASURED = """
import tracemalloc
from pathlib import Path
from engine import Step, Workflow
from engine.scheduler import Scheduler
from engine.session.deciding.compiled import compile_definition

def nothing(ctx):
    pass

def layered(count):
    names = [f"s{at}" for at in range(count)]
    made = Workflow("flow")
    for at, name in enumerate(names):
        above = at // 100 * 100 - 100
        ups = [names[above + at * way % 100] for way in (3, 7, 11)] if above >= 0 else []
        made.add(Step(name, nothing, ups))
    return made

def ready(workflow):
    compiled = compile_definition(workflow.definition(), Path("/nowhere"))
    return compiled, Scheduler(compiled.plan, workers=4)

ready(layered(1))  # what is imported and made once
tracemalloc.start()
workflow = layered(COUNT)
defined = tracemalloc.get_traced_memory()[0]
held = ready(workflow)
print(defined // COUNT, (tracemalloc.get_traced_memory()[0] - defined) // COUNT)
"""


def test_memory_of_a_step(root: Path) -> None:
    """A million steps go into 600 MB before they run: few objects are made for each."""
    code = MEASURED.replace("COUNT", "2_000")
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    of_definition, of_run = map(int, shown.split())
    assert of_definition < 340  # its name and its tuple of three others' included
    assert of_run < 240  # graph, fingerprint, plan and board
