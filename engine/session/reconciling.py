"""Recording runs whose engine died, with the alerts they are due: before any other writing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from engine import outputs
from engine.model import Definition, RunStatus
from engine.naming import BACKFILL_SUFFIX
from engine.session import tracing
from engine.session.environment import Environment
from engine.session.telling import channels_for, telling_of
from store import locks
from store.connection import Database
from store.history import History
from store.reconcile import ENGINE_DIED, Found, Said, open_runs, reconcile

logger = logging.getLogger("engine.run")


def reconcile_all(
    database: Database,
    environment: Environment,
    *,
    definition: Definition | None = None,
    mine: locks.RunLock | None = None,
    why: str = "",
) -> None:
    """End every run without an engine, and what still lives of its steps; send its trace.

    Runs of `definition`'s workflow, and its backfills, alert as it says, others by default; the
    runs that a backfill is made of never do.

    `mine` is a lock the caller holds; `why` is the note on a run that failed in this process.
    """
    if open_runs(database):
        from engine.session.orphans import end_orphans

        end_orphans(database, mine)
    history = History(database)

    def channels(found: Found) -> Iterable[str]:
        if found.is_part or found.status is RunStatus.INTERRUPTED:
            return ()  # an incident tells of it
        known = None
        if definition is not None and _plain(definition.name) == _plain(found.workflow):
            known = replace(definition, name=found.workflow)  # by which the run before is found
        choose = channels_for(known, history, environment, before=found.run_id)
        return choose(found.status)

    goes = True
    for found in reconcile(
        database,
        mine=mine,
        channels=channels,
        now_us=environment.now_us,
        publish=outputs.publish,
        said=Said(why, telling_of(environment)),
    ):
        text = "run %d of %s is %s: %s"
        note = found.told(why or ENGINE_DIED)
        logger.warning(text, found.run_id, found.workflow, found.status, note)
        goes = goes and tracing.send(database, found.run_id, environment)


def _plain(workflow: str) -> str:
    return workflow.removesuffix(BACKFILL_SUFFIX)
