"""The wiring of one begun run: core, workers, store, context."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine import garbage, outputs
from engine.clock import SystemClock
from engine.context import ContextIndex, RunScope
from engine.errors import EngineError
from engine.events import Action, EndRun, TellLate
from engine.logs import RunLogs
from engine.model import RunStatus, StepStatus
from engine.plan import StepState
from engine.ports import Job
from engine.resume import Choice, alike
from engine.runner import Ports, Runner
from engine.scheduler import Scheduler
from engine.session.budgets import Budgets, budgets_of
from engine.session.deciding.compiled import Compiled
from engine.session.deciding.decision import Decision
from engine.session.environment import Watched
from engine.session.later import import_the_rest
from engine.session.observe import Progress, run_order
from engine.session.record import Going, slot_in
from engine.session.stored_values import StoredValues
from engine.session.telling import ChannelsFor, telling_of
from engine.session.zones import slot_of, zone_of_definition
from engine.usual import LATE_BY_S
from engine.workers.halts import HaltWatch
from engine.workers.threads import BeginMark, ThreadWorkers
from engine.workers.toolbox import Toolbox, codec_for
from store import journal, locks
from store.connection import Database
from store.database import open_reader
from store.history import History
from store.usual import last_durations

if TYPE_CHECKING:
    from engine.lateness import Lateness
    from engine.session.pinging import Pings
    from engine.session.sending import Sender
    from engine.workers.keeper import Keeper

LATE_S_MIN = 0.05  # not before the first dispatch: what it takes is loaded after that

logger = logging.getLogger("engine.run")


class Drive:
    """The wiring of one begun run."""

    def __init__(
        self,
        going: Going,
        decision: Decision,
        database: Database,
        lock: locks.RunLock,
        run_id: int,
    ) -> None:
        """Wire run `run_id`, begun under `lock`."""
        self._going, self._decision = going, decision
        self._database, self._lock, self._run_id = database, lock, run_id
        self._history = History(database)
        self._halts: HaltWatch | None = None
        self._sender: Sender | None = None
        self.held_s = 0.0  # by an alert that was being sent as the run ended
        self._pings: Pings | None = None
        self._pings_asked = False
        self._begun_at = 0.0
        self.interrupted = False
        self._stored = StoredValues(database.path, going.compiled.graph.names, run_id)

    def run(self, channels: ChannelsFor) -> tuple[EndRun, int]:
        """Run to the end; gives how it ended and how many threads were left behind."""
        compiled = self._going.compiled
        budgets = budgets_of(self._decision, self._run_id, len(compiled.definition.steps))
        with ExitStack() as stack:
            keeper = None
            if compiled.has_processes:
                from engine.session.step_processes import keeping

                given = (self._going, self._decision, budgets, self._lock, self._run_id)
                keeper = stack.enter_context(keeping(*given))
            if compiled.has_limits:
                env = self._going.environment
                self._halts = stack.enter_context(HaltWatch(env.clock, env.inbox.put))
            index = self._index()
            return self._run(channels, index, self._workers(index, budgets, keeper))

    def end_pings(self, *, well: bool) -> None:
        """Tell the dead-man service of a timer's run how it ended, if it was not told."""
        if self._pings is None and not self._pings_asked:
            self._ask_for_pings()  # it ended before its first steps
        if self._pings is not None:
            self._pings.end(well=well)

    def wait_for_pings(self) -> None:
        """Wait a while for what is not sent of the run's end."""
        if self._pings is not None:
            self._pings.wait()

    def _ask_for_pings(self) -> None:
        self._pings_asked = True
        going = self._going
        if going.asked.request.started_by == "timer":
            from engine.session.pinging import pings_of

            env = going.environment
            self._pings = pings_of(going.compiled.definition.ping, env.secrets, env.clock.now)

    def _run(
        self, channels: ChannelsFor, index: ContextIndex, workers: ThreadWorkers
    ) -> tuple[EndRun, int]:
        env, compiled, run_id = self._going.environment, self._going.compiled, self._run_id
        clock = env.clock
        self._begun_at = clock.now()
        if compiled.has_limits:
            import ctypes  # noqa: F401 - wanted to stop a thread, when a busy one slows imports
        scheduler = self._scheduler()
        progress = self._progress()
        ports = Ports(
            clock=clock,
            workers=workers,
            store=journal.Journal(
                self._database,
                run_id,
                stamp=clock.stamp,
                channels=channels,
                telling=telling_of(env),
                committed=self._lock.reached,
            ),
            index=index,
            publish=outputs.publish,
            observe=self._observed(progress),
            settle_in=self._settle_in,
            lateness=self._lateness,
            late_s=_late_s(compiled),
            told_late=self._tell_late,
        )
        runner = Runner(scheduler, compiled.definition.steps, ports)
        garbage.as_well()
        try:
            end = runner.run()
            self.end_pings(well=end.status is RunStatus.OK)
        except BaseException:
            for step, number in workers.left_running():
                workers.stop(step, number, "the engine failed", withdraw=False)
            raise
        finally:
            if env.watcher is not None:
                env.watcher.end()
            self.interrupted = runner.interrupted
            left = len(workers.left_running())
            workers.close()
            if self._sender is not None:
                before = clock.now()
                self._sender.end()
                self.held_s = clock.now() - before
            self._stored.close()
        return end, left

    def _scheduler(self) -> Scheduler:
        decision, going = self._decision, self._going
        return Scheduler(
            replace(going.compiled.plan, weights=decision.weights),
            _states(decision, going.environment.clock),
            workers=going.asked.request.workers,
        )

    def _progress(self) -> Progress:
        """Say in which order steps become due; give what logs their progress."""
        graph, run_id = self._going.compiled.graph, self._run_id
        logger.info(run_order(graph.names, graph.order), extra={"run": run_id})
        return Progress(graph.names, run_id)

    def _lateness(self) -> Lateness | None:
        """Give by when the run and its steps are late."""
        from engine.session import limits

        asked = self._going.asked
        by_timer = asked.request.started_by == "timer"
        slot = slot_in(asked, self._decision) if by_timer else None
        begun = limits.Begun(self._run_id, self._begun_at, slot)
        try:
            return limits.lateness_of(self._going, self._history, begun)
        except EngineError as error:  # what is only told ends no run
            logger.warning("whether this run is late is not known: %s", error.message)
            return None

    def _tell_late(self, late: Sequence[TellLate]) -> None:
        """Say what is late, and send it while the run goes on."""
        for one in late:
            logger.warning("%s", one.headline, extra={"run": self._run_id})
        from engine.session.sending import Sender

        if self._sender is None:
            self._sender = Sender(self._database.path, self._going.environment)
        self._sender.wake()

    def _observed(self, progress: Progress) -> Callable[[Sequence[Action], float], None]:
        watcher = self._going.environment.watcher
        if watcher is None:
            return progress.observe

        def observe(actions: Sequence[Action], now: float) -> None:
            progress.observe(actions, now)
            watcher.note(actions, now)

        return observe

    def _settle_in(self) -> None:
        """Import what is still to come, and let the run be watched."""
        going, decision, path = self._going, self._decision, self._database.path
        env, compiled, run_id = going.environment, going.compiled, self._run_id
        if env.watcher is not None:
            choices = [choice.status for choice in decision.choices]
            watched = Watched(
                graph=compiled.graph,
                workers=going.asked.request.workers,
                ended_as=choices or [None] * len(compiled.graph.names),
                weights=decision.weights,
                recent=lambda: _recent(path, compiled.definition.name, run_id),
                clock=env.clock,
                begun_at=env.clock.now(),
            )
            env.watcher.begin(watched)
        import_the_rest(env, compiled)
        import_module("engine.session.schedules.missing").preload(self._database, env)
        self._ask_for_pings()
        if self._pings is not None:
            self._pings.start()

    def _index(self) -> ContextIndex:
        decision, graph = self._decision, self._going.compiled.graph
        stored = self._stored
        index = ContextIndex(graph.upstreams, graph.names, graph.generations, stored)
        past = decision.past
        if past is not None:
            first = self._history.initial_run(past.run_id)
            stored.from_run[journal.INITIAL] = first
            index.record_keys(journal.INITIAL, self._history.keys(first).get("", []))
        else:
            index.record(journal.INITIAL, self._going.context)
        for name, mark in self._going.asked.marks.items():
            index.record(graph.names.index(name), mark.outputs)
        sources: dict[int, dict[str, list[str]]] = {}
        for step, choice in enumerate(decision.choices):
            if choice.status is StepStatus.CACHED and choice.source_run is not None:
                run = choice.source_run
                if run not in sources:
                    sources[run] = self._history.keys(run)
                if keys := sources[run].get(graph.names[step]):
                    stored.from_run[step] = run
                    index.record_keys(step, keys)
        return index

    def _workers(
        self, index: ContextIndex, budgets: Budgets, keeper: Keeper | None
    ) -> ThreadWorkers:
        env, decision, run_id = self._going.environment, self._decision, self._run_id
        clock, definition = env.clock, self._going.compiled.definition
        secrets, lock = env.secrets, self._lock
        scope = RunScope(
            workflow=definition.name,
            run_id=run_id,
            index=index,
            codec=codec_for(secrets),
            params=MappingProxyType(dict(decision.params)),
            paths=env.paths,
            secrets=secrets,
            slot=slot_of(definition, slot_in(self._going.asked, decision)),
        )
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
                zone=zone_of_definition(definition),
            ),
            environ=lambda: secrets.child_env(env.environ),
            key_runs=budgets.key_runs,
            used=budgets.used,
            keeper=keeper,
            halts=self._halts,
            command=env.command,
        )

        put, stamp = lock.mark, clock.stamp

        def mark(lane: int, job: Job, started_at: float) -> None:
            step, number, _, _ = job
            put(lane, (run_id, step, number, stamp(started_at)))

        return self._pool(tools, mark)

    def _pool(self, tools: Toolbox, mark: BeginMark) -> ThreadWorkers:
        workers, inbox = self._going.asked.request.workers, self._going.environment.inbox
        return ThreadWorkers(tools, workers=workers, inbox=inbox, mark=mark)


def _late_s(compiled: Compiled) -> float:
    """Give how long a run is on before it is looked whether something is late."""
    definition = compiled.definition
    own = [step.max_duration_s for step in definition.steps] + [definition.max_duration_s]
    if definition.deadline is not None:
        own.append(LATE_S_MIN)
    return max(LATE_S_MIN, min([LATE_BY_S, *(each for each in own if each is not None)]) / 2)


def _recent(path: Path, workflow: str, before: int) -> Mapping[str, Sequence[int]]:
    """Read what steps took lately, through a connection of its own."""
    database = open_reader(path)
    try:
        with database.read() as cursor:
            return last_durations(cursor, workflow, before)
    finally:
        database.close()


def _states(decision: Decision, clock: SystemClock) -> list[StepState]:
    """Give the states by position; equal choices have one, as most of a big run's steps do."""
    states = [StepState()] * len(decision.choices)
    for choice, positions in alike(decision.choices):
        state = _state(choice, clock)
        for position in positions:
            states[position] = state
    return states


def _state(choice: Choice, clock: SystemClock) -> StepState:
    return StepState(
        status=choice.status or StepStatus.WAITING,
        used=choice.used,
        next_attempt_at=None if choice.retry_at is None else clock.instant(choice.retry_at),
        counts_as=choice.counts_as,
        failed_above=choice.failed_above,
    )
