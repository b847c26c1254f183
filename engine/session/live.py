"""A run that is really run: lock, reconcile, decide, begin, drive, report, alert."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from engine import outputs
from engine import params as parameters
from engine.context import Codec, ContextIndex, RunScope
from engine.errors import EngineError
from engine.events import EndRun
from engine.logs import RunLogs
from engine.model import Encoded, RunStatus, StepStatus
from engine.places import make_home
from engine.plan import StepState
from engine.ports import Job
from engine.runner import Ports, Runner
from engine.scheduler import Scheduler
from engine.session import alerting, reporting
from engine.session.compiled import Compiled
from engine.session.decide import Asked, Decision, decide
from engine.session.launch import Environment, already_running, lock_name
from engine.session.observe import Progress, run_order
from engine.session.preview import preview_rows
from engine.session.stored_values import StoredValues
from engine.workers.attempt import Toolbox
from engine.workers.threads import ThreadWorkers
from store import journal, locks, values
from store.database import Database, open_writer, path_of
from store.history import History
from store.reconcile import Found, reconcile

logger = logging.getLogger("engine.run")


class LiveRun:
    """One invocation of `run`, from the lock to the exit."""

    def __init__(
        self,
        compiled: Compiled,
        asked: Asked,
        context: Sequence[tuple[str, Encoded]],
        environment: Environment,
    ) -> None:
        """Nothing is touched yet."""
        self._compiled = compiled
        self._asked = asked
        self._context = context
        self._env = environment
        self._name = compiled.definition.name

    def go(self) -> dict[str, Any]:
        """Do it; gives the report (see `engine.session.run_workflow` for what it raises)."""
        env = self._env
        path = path_of(env.paths.store_url)
        make_home(env.paths.home)
        database = open_writer(path)
        try:
            lock = locks.acquire(path, lock_name(self._compiled.definition, self._params(database)))
            if lock is None:
                return self._overlapping(database)
            try:
                return self._locked(database, lock)
            finally:
                lock.release()
        finally:
            database.close()

    def _params(self, database: Database) -> str:
        """Give the parameters of the run to be, as recorded: those of the run it goes on from."""
        resume = self._asked.request.resume
        if resume is None:
            return self._asked.params_text
        history = History(database)
        return history.past(history.find(resume)).params

    # -- another run is on ------------------------------------------------------------------------

    def _overlapping(self, database: Database) -> dict[str, Any]:
        history = History(database)
        same = self._compiled.definition.overlap == "params"
        refusal = already_running(
            history, self._name, params=self._params(database) if same else None
        )
        if self._asked.request.started_by != "timer":
            raise refusal
        new = self._new_run(Decision("", self._asked.params), owner="")
        new = replace(new, note=refusal.message)
        channels = alerting.channels_for(self._compiled.definition, history, self._env)
        status = RunStatus.SKIPPED
        run_id = journal.record_ended_run(database, new, status, channels(status))
        logger.warning("skipped: %s", refusal.message)
        report = reporting.build_report(history, run_id, self._env)
        alerting.deliver_due(database, history, self._env)
        return report

    # -- ours -------------------------------------------------------------------------------------

    def _locked(self, database: Database, lock: locks.RunLock) -> dict[str, Any]:
        env, asked = self._env, self._asked
        history = History(database)
        self._reconcile(database, history, lock)
        decision = decide(self._compiled, asked, history)
        if decision.nothing:
            return self._nothing(database, history, decision)
        if not env.inbox.empty():
            raise KeyboardInterrupt  # stopped before anything was begun
        self._announce(decision)
        owner = locks.this_process(lock.name)
        lock.begin(owner)
        channels = alerting.channels_for(self._compiled.definition, history, env)
        new = self._new_run(decision, owner=owner.to_text())
        run_id = journal.begin_run(database, new)
        try:
            how = (
                "starts anew" if decision.past is None else f"continues run {decision.past.run_id}"
            )
            logger.info(
                "run %d of %s %s: %s",
                run_id,
                self._name,
                how,
                decision.reason,
                extra={"run": run_id},
            )
            driven = _Driven(self, database, history, lock, run_id)
            end, left = driven.drive(decision, channels)
        except BaseException as error:
            self._fail(database, lock, error, channels)
            raise
        report = reporting.build_report(history, run_id, env, threads_left=left)
        reporting.write_report(report, env)
        logger.log(
            logging.INFO if end.status is RunStatus.OK else logging.ERROR,
            "run %d of %s %s",
            run_id,
            self._name,
            end.status,
            extra={"run": run_id},
        )
        alerting.deliver_due(database, history, env)
        database.checkpoint()
        return report

    def _reconcile(self, database: Database, history: History, lock: locks.RunLock) -> None:
        env, definition = self._env, self._compiled.definition

        def channels(found: Found) -> Iterable[str]:
            # Of other workflows only the name is at hand; their alerts go out rather than not.
            mine = found.workflow == definition.name
            known = definition if mine else None
            return alerting.channels_for(known, history, env, before=found.run_id)(
                RunStatus.INTERRUPTED
            )

        now_us = env.clock.stamp(env.clock.now())
        for found in reconcile(
            database, mine=lock, channels=channels, now_us=now_us, publish=outputs.publish
        ):
            logger.warning(
                "run %d of %s is interrupted: its engine died", found.run_id, found.workflow
            )

    def _fail(
        self,
        database: Database,
        lock: locks.RunLock,
        error: BaseException,
        channels: alerting.ChannelsFor,
    ) -> None:
        """Record, if the store still takes it, that the engine itself has failed."""
        why = f"the engine failed: {type(error).__name__}"
        if isinstance(error, EngineError):
            why = f"the engine failed: {error.message}"
        elif isinstance(error, KeyboardInterrupt):
            why = "stopped by KeyboardInterrupt"
        with suppress(Exception):
            reconcile(
                database,
                mine=lock,
                channels=lambda _: channels(RunStatus.INTERRUPTED),
                now_us=self._env.clock.stamp(self._env.clock.now()),
                publish=outputs.publish,
                why=self._env.secrets.mask(why),
            )

    def _nothing(self, database: Database, history: History, decision: Decision) -> dict[str, Any]:
        logger.info("nothing to do: %s", decision.reason)
        done = decision.past.run_id if decision.past else None
        if done is None:
            done = history.succeeded(
                self._name, self._asked.params_text, self._asked.context_sha256
            )
        assert done is not None
        report = reporting.build_report(history, done, self._env)
        alerting.deliver_due(database, history, self._env, hint=False)
        return report | {"nothing_to_do": decision.reason}

    def _announce(self, decision: Decision) -> None:
        if decision.unfinished is not None:
            program = " ".join(self._env.command)
            logger.warning(
                "run %d did not end well; to go on from it: %s run %s --resume %d",
                decision.unfinished,
                program,
                self._name,
                decision.unfinished,
            )
        if decision.past is not None and self._env.show is not None:
            self._env.show(decision, preview_rows(self._compiled, decision))

    def _new_run(self, decision: Decision, *, owner: str) -> journal.NewRun:
        compiled, env, past = self._compiled, self._env, decision.past
        steps = [
            journal.NewStep(fresh.name, fresh.fingerprint, dict(fresh.parts), fresh.upstreams)
            for fresh in compiled.fresh_steps()
        ]
        return journal.NewRun(
            workflow=self._name,
            params=parameters.to_json(decision.params),
            started_at=env.clock.stamp(env.clock.now()),
            started_by=self._asked.request.started_by,
            user=env.user,
            host=env.host,
            owner=owner,
            workers=self._asked.request.workers,
            context_sha256=past.context_sha256 if past else self._asked.context_sha256,
            resumed_from=past.run_id if past else None,
            root_run=past.root_run if past else None,
            note="",
            steps=steps,
            taken_over=_taken_over(decision),
            context=[] if past else self._context,
        )


def _taken_over(decision: Decision) -> list[journal.TakenOver]:
    root = decision.past.root_run if decision.past else 0
    return [
        journal.TakenOver(
            position=position,
            status=choice.status,
            note=choice.note,
            source_run=choice.source_run,
            used=choice.used,
            retry_at=choice.retry_at,
            key_run=journal.OWN_KEY if choice.own_key else _unless(choice.key_run, root),
            lost=choice.lost,
        )
        for position, choice in enumerate(decision.choices)
    ]


def _unless(key_run: int, root: int) -> int:
    return 0 if key_run == root else key_run


class _Driven:
    """The wiring of one begun run."""

    def __init__(
        self,
        live: LiveRun,
        database: Database,
        history: History,
        lock: locks.RunLock,
        run_id: int,
    ) -> None:
        self._compiled = live._compiled  # noqa: SLF001 - one thing in two parts
        self._asked = live._asked  # noqa: SLF001
        self._context = live._context  # noqa: SLF001
        self._env = live._env  # noqa: SLF001
        self._database, self._history = database, history
        self._lock, self._run_id = lock, run_id
        self._stored = StoredValues(database.path, self._compiled.graph.names, run_id)

    def drive(self, decision: Decision, channels: alerting.ChannelsFor) -> tuple[EndRun, int]:
        """Run to the end; gives how it ended and how many threads were left behind."""
        env, compiled, run_id = self._env, self._compiled, self._run_id
        names = compiled.graph.names
        clock = env.clock
        index = self._index(decision)
        workers = self._workers(decision, index)
        if any(limit is not None for limit in compiled.plan.timeout_s):
            import ctypes  # noqa: F401 - wanted to stop a thread, when a busy one slows imports
        scheduler = Scheduler(
            compiled.plan, _states(decision, clock), workers=self._asked.request.workers
        )
        progress = Progress(names, run_id)
        logger.info(run_order(names, compiled.graph.order), extra={"run": run_id})
        ports = Ports(
            clock=clock,
            workers=workers,
            store=journal.Journal(self._database, run_id, stamp=clock.stamp, channels=channels),
            index=index,
            publish=outputs.publish,
            observe=progress.observe,
        )
        try:
            end = Runner(scheduler, compiled.definition.steps, ports).run()
        finally:
            left = len(workers.left_running())
            workers.close()
            self._stored.close()
        return end, left

    def _index(self, decision: Decision) -> ContextIndex:
        graph = self._compiled.graph
        stored = self._stored
        index = ContextIndex(graph.upstreams, graph.names, graph.generations, stored)
        past = decision.past
        if past is not None:
            first = self._history.initial_run(past.run_id)
            stored.from_run[journal.INITIAL] = first
            index.record_keys(journal.INITIAL, self._history.keys(first).get("", []))
        else:
            index.record(journal.INITIAL, self._context)
        sources: dict[int, dict[str, list[str]]] = {}
        for step, choice in enumerate(decision.choices):
            if choice.status is StepStatus.CACHED and choice.source_run is not None:
                run = choice.source_run
                if run not in sources:
                    sources[run] = self._history.keys(run)
                stored.from_run[step] = run
                index.record_keys(step, sources[run].get(graph.names[step], []))
        return index

    def _workers(self, decision: Decision, index: ContextIndex) -> ThreadWorkers:
        env, run_id, clock = self._env, self._run_id, self._env.clock
        definition = self._compiled.definition
        secrets, lock = env.secrets, self._lock
        scope = RunScope(
            workflow=definition.name,
            run_id=run_id,
            index=index,
            codec=Codec(
                encode=lambda key, value: values.encode(key, value, reject=secrets.contains),
                decode=values.decode,
            ),
            params=MappingProxyType(dict(decision.params)),
            paths=env.paths,
            secrets=secrets,
        )
        root = decision.past.root_run if decision.past else run_id
        count = len(definition.steps)
        choices = decision.choices
        key_runs = [run_id if c.own_key else c.key_run or root for c in choices] or [root] * count
        tools = Toolbox(
            scope=scope,
            steps=definition.steps,
            clock=clock,
            logs=RunLogs(
                env.paths.home / "logs" / definition.name / str(run_id),
                run_id=run_id,
                clock=clock,
                mask=secrets.mask,
                forward=env.forward,
            ),
            environ=lambda: secrets.child_env(env.environ),
            key_runs=key_runs,
            used=[choice.used for choice in choices] or [0] * count,
        )

        def mark(lane: int, job: Job, started_at: float) -> None:
            begun = locks.Mark(run_id, job.step, job.number, clock.stamp(started_at))
            lock.mark(lane, begun)

        return ThreadWorkers(tools, workers=self._asked.request.workers, inbox=env.inbox, mark=mark)


def _states(decision: Decision, clock: Any) -> list[StepState]:
    return [
        StepState(
            status=choice.status or StepStatus.WAITING,
            used=choice.used,
            next_attempt_at=None if choice.retry_at is None else clock.instant(choice.retry_at),
        )
        for choice in decision.choices
    ]
