"""One invocation of `run`: lock, reconcile, decide, begin, run, report, alert."""

from __future__ import annotations

from engine.session.deciding.request import RunRequest
from engine.session.environment import Environment
from engine.session.launch import run_as_library, run_workflow

__all__ = ["Environment", "RunRequest", "run_as_library", "run_workflow"]
