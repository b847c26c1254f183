"""From a checked definition and what is asked of its backfill to a report of the whole."""

from __future__ import annotations

from typing import Any

from engine.model import Definition
from engine.session.backfill.decide import plan
from engine.session.backfill.resolved import BackfillRequest, resolve
from engine.session.environment import Environment
from engine.session.launch import look


def run_backfill(
    definition: Definition, request: BackfillRequest, environment: Environment
) -> dict[str, Any]:
    """Do what one invocation of `backfill` does; gives the report of the whole.

    Raises `UsageError`, `StoreError` or `AlreadyRunning` as the command's exit codes say.
    """
    backfill = resolve(definition, request, environment)
    if request.dry_run or definition.dry_run:
        return look(environment, lambda history: plan(backfill, history))
    from engine.session.backfill.runs import BackfillRun

    return BackfillRun(backfill, environment).go()
