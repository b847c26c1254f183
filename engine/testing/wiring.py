"""The wiring of one run in a test: the real core, attempts, context and journal."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import UTC
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engine.context import INITIAL, ContextIndex, RunScope
from engine.model import Definition
from engine.ports import Paths
from engine.produced import Encoded
from engine.records import record
from engine.reports import Surroundings, build
from engine.runner import Ports, Runner
from engine.scheduler import Scheduler
from engine.secrets import Secrets
from engine.session.deciding.asked import Asked
from engine.session.deciding.compiled import plan_of
from engine.session.zones import slot_of
from engine.testing.clock import VirtualClock
from engine.testing.in_memory import HeldFiles, HeldLogs, HeldOutputs, HeldValues
from engine.testing.inline import Escaped, InlineWorkers
from engine.testing.outcome import FinalContext, Outcome, StepOutcome
from engine.text import printable_lines
from engine.workers.toolbox import Toolbox, codec_for
from store import journal
from store.connection import Database
from store.history import History
from store.new_run import NewRun, NewSteps

logger = logging.getLogger("engine.testing")

LINES_MAX = 60  # of a failed attempt's log
NOBODY = "test"  # as user and host: a report says nothing of the machine


@record
class Wiring:
    """One run that is to be made: what, with what, where and when."""

    definition: Definition
    asked: Asked
    context: Sequence[tuple[str, Encoded]]
    paths: Paths
    clock: VirtualClock
    secrets: Secrets

    def run(self, database: Database, folder: Path | None) -> Outcome:
        """Run to the end, recorded in an empty store; files inside of `folder` are written."""
        clock, ordered = self.clock, self.definition.graph
        run_id = journal.begin_run(database, self._new_run())
        files = HeldFiles(self.paths, folder)
        logs = HeldLogs(run_id=run_id, clock=clock, secrets=self.secrets)
        values = HeldValues(self.context)
        index = ContextIndex(ordered.upstreams, ordered.names, ordered.generations, values)
        index.record(INITIAL, self.context)
        tools = self._tools(run_id, index, logs, files)
        ports = Ports(
            clock=clock,
            workers=InlineWorkers(tools, clock),
            store=journal.Journal(database, run_id, stamp=clock.stamp, channels=lambda _status: ()),
            index=index,
            publish=files.publish,
            observe=values.observe,
            look_s=math.inf,  # nobody else can know of this run
        )
        scheduler = Scheduler(plan_of(self.definition), workers=1)
        try:
            Runner(scheduler, self.definition.steps, ports).run()
        except Escaped as escaped:
            raise escaped.error from None
        report = _report(History(database), run_id, logs)
        _tell_failures(report, logs)
        return Outcome(
            report=report,
            steps={row["name"]: _step(row, logs) for row in report["steps"]},
            context=FinalContext(ordered, values, tools.scope.codec.decode),
            files=MappingProxyType(files.published),
        )

    def _new_run(self) -> NewRun:
        asked, ordered = self.asked, self.definition.graph
        count = len(ordered.names)
        return NewRun(
            workflow=self.definition.name,
            params=asked.params_text,
            started_at=asked.now_us,
            started_by=asked.request.started_by,
            user=NOBODY,
            host=NOBODY,
            owner="",
            workers=asked.request.workers,
            context_sha256=asked.context_sha256,
            steps=NewSteps(ordered.names, [""] * count, [{}] * count, ordered.upstreams),
            context=self.context,
            slot=asked.request.slot,
            zone=self.definition.tz,
        )

    def _tools(self, run_id: int, index: ContextIndex, logs: HeldLogs, files: HeldFiles) -> Toolbox:
        count = len(self.definition.steps)
        scope = RunScope(
            workflow=self.definition.name,
            run_id=run_id,
            index=index,
            codec=codec_for(self.secrets),
            params=MappingProxyType(dict(self.asked.params)),
            paths=self.paths,
            secrets=self.secrets,
            slot=slot_of(self.definition, self.asked.request.slot, UTC),
            outputs=partial(HeldOutputs, files),
        )
        return Toolbox(
            scope=scope,
            steps=self.definition.steps,
            clock=self.clock,
            logs=logs,
            environ=dict,
            key_runs=[run_id] * count,
            used=[0] * count,
        )


def _report(history: History, run_id: int, logs: HeldLogs) -> dict[str, Any]:
    run = history.run(run_id)
    with history.told(run_id) as steps:
        return build(
            run,
            steps,
            expected={},
            logs=lambda step, number: logs.lines.get((step, number), []),
            around=Surroundings(),
        )


def _step(row: Mapping[str, Any], logs: HeldLogs) -> StepOutcome:
    return StepOutcome(
        name=row["name"],
        status=row["status"],
        attempts=row["attempts"],
        note=row["note"],
        error=row["error"],
        log="\n".join(
            line for n in range(row["attempts"]) for line in logs.text(row["name"], n + 1)
        ),
    )


def _tell_failures(report: Mapping[str, Any], logs: HeldLogs) -> None:
    """Log failures with what the last attempt logged, a traceback at its end.

    Test tools show what is logged, beside an assertion that failed.
    """
    for row in report["steps"]:
        if row["status"] == "failed":
            logged = logs.text(row["name"], row["attempts"])[-LINES_MAX:]
            lines = "\n".join(printable_lines(row["error"]) + logged)
            logger.error("step '%s' failed: %s", row["name"], lines)
