"""The engine killed, halted or made to fail at each fail-point: the next run goes on from there."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import failpoints
from tests.system.alert_servers import hook
from tests.system.project import Project, notes, statuses

FLOW = """
def make(ctx):
    effect("make")
    with ctx.output("made.txt") as file:
        file.write("made")
    return 1

def flaky(ctx):
    effect("flaky")
    if ctx.attempt == 1:
        raise ValueError("not yet")
    return ctx["make"] + 1

def end(ctx):
    effect("end")
    return ctx["flaky"] + int(ctx["said"])

workflow = (
    Workflow("flow")
    .add(Step("make", make))
    .add(Step("flaky", flaky, depends_on=["make"], retries=2, backoff=0.01, jitter=False))
    .add(Step("say", shell('echo say >>effects.txt; echo "{\\\\"said\\\\": 3}" >"$KAHNBAN_OUTPUT"')))
    .add(Step("end", end, depends_on=["flaky", "say"]))
)
"""
