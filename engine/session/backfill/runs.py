"""What a backfill's run, and the runs of its values, do in another way than any other run."""

from __future__ import annotations

from dataclasses import field, replace
from queue import SimpleQueue
from typing import Any

from engine.events import EndRun
from engine.logs import LogLine, value_of_backfill
from engine.records import record
from engine.session import alerting
from engine.session.backfill.decide import decide_values, nothing_report
from engine.session.backfill.resolved import PARALLEL_MAX, Backfill
from engine.session.backfill.workers import RunAttempt, RunWorkers
from engine.session.deciding.asked import resolve_request
from engine.session.deciding.decision import Decision
from engine.session.drive import Drive
from engine.session.environment import Environment
from engine.session.live import LiveRun
from engine.session.observe import Progress
from engine.session.overlap import lane_lock_name
from engine.session.record import Going
from engine.session.telling import ChannelsFor, telling_of
from engine.workers.threads import BeginMark, ThreadWorkers
from engine.workers.toolbox import Toolbox
from store import incidents, locks
from store.connection import Database
from store.history import History
from store.new_run import ITSELF, NewRun
from store.reconcile import open_runs


class BackfillRun(LiveRun):
    """A backfill as a run: what it does and leaves out is decided value by value."""

    def __init__(self, filling: Backfill, environment: Environment) -> None:
        """Nothing is touched yet."""
        super().__init__(Going(filling.itself, filling.asked, (), environment))
        self._filling = filling

    def _decide(self, history: History) -> Decision:
        return decide_values(self._filling, history)

    def _new_run(self, decision: Decision, owner: str, after: int) -> NewRun:
        return replace(super()._new_run(decision, owner, after), backfill=ITSELF)

    def _drive(
        self, decision: Decision, database: Database, lock: locks.RunLock, run_id: int
    ) -> Drive:
        return _BackfillDrive(self._filling, (self._going, decision, database, lock, run_id))

    def _nothing(self, database: Database, history: History, decision: Decision) -> dict[str, Any]:
        """Close its incident, too: what had failed was mended by runs of other commands."""
        clock, telling = self._env.clock, telling_of(self._env)
        by = (self._filling.workflow.definition.name, clock.stamp(clock.now()))
        with database.write() as cursor:
            incidents.close_all(cursor, self._name, by, telling)
        alerting.deliver_due(database, history, self._env, hint=False)
        return nothing_report(self._filling, decision)

    def _prunes(self) -> list[str]:
        return [self._name, self._filling.workflow.definition.name]


class _BackfillDrive(Drive):
    """Drives a backfill: its attempts are runs."""

    def __init__(
        self,
        filling: Backfill,
        wiring: tuple[Going, Decision, Database, locks.RunLock, int],
    ) -> None:
        super().__init__(*wiring)
        self._filling = filling
        self._lanes: RunWorkers | None = None

    def run(self, channels: ChannelsFor) -> tuple[EndRun, int]:
        """Run to the end; counts what its runs have left behind, too."""
        end, left = super().run(channels)
        assert self._lanes is not None
        return end, left + self._lanes.threads_left()

    def _progress(self) -> Progress:
        return Progress(self._going.compiled.graph.names, self._run_id, ends_only=True)

    def _pool(self, tools: Toolbox, mark: BeginMark) -> RunWorkers:
        filling, env = self._filling, self._going.environment
        names = self._going.compiled.graph.names

        def start(value: RunAttempt) -> dict[str, Any]:
            name = names[value.step]
            part = Part(self._run_id, value.lane)
            token = value_of_backfill.set(name)
            try:
                return run_value(filling, name, part, _inner(env, name, value.inbox))
            finally:
                value_of_backfill.reset(token)
                lanes.note_ended(part.pools)

        workers = self._going.asked.request.workers
        lanes = RunWorkers(tools, start, workers=workers, inbox=env.inbox, mark=mark)
        self._lanes = lanes
        return lanes


def _inner(env: Environment, name: str, inbox: SimpleQueue[Any]) -> Environment:
    """Give a value's run an environment of its own: stops come from its backfill alone."""
    forward = env.forward
    if forward is None:
        return replace(env, inbox=inbox, show=None, watcher=None)

    def passed_on(line: LogLine) -> None:
        token = value_of_backfill.set(name)
        try:
            forward(line)
        finally:
            value_of_backfill.reset(token)

    return replace(env, inbox=inbox, show=None, watcher=None, forward=passed_on)


@record
class Part:
    """Where a value's run belongs: the backfill's run, and the lane of it that it runs in.

    `pools` gets the workers of the run's own.
    """

    backfill: int
    lane: int
    pools: list[ThreadWorkers] = field(default_factory=list)


class _ValueDrive(Drive):
    """Drives a value's run, and shows its workers to the backfill."""

    def __init__(
        self, part: Part, wiring: tuple[Going, Decision, Database, locks.RunLock, int]
    ) -> None:
        super().__init__(*wiring)
        self._part = part

    def _lateness(self) -> None:
        """Tell nobody: the backfill does, of its values."""

    def _pool(self, tools: Toolbox, mark: BeginMark) -> ThreadWorkers:
        pool = super()._pool(tools, mark)
        self._part.pools.append(pool)
        return pool


def run_value(filling: Backfill, step: str, part: Part, environment: Environment) -> dict[str, Any]:
    """Do what `run NAME --once` with this value would do, as a part of the backfill."""
    compiled, env = filling.workflow, environment
    request = filling.request(step)
    asked, context = resolve_request(compiled.definition, request, env.clock, env.secrets)
    return ValueRun(Going(compiled, asked, context, env), part).go()


class ValueRun(LiveRun):
    """The run of one value: others of other parameters may be on; the backfill tells of it.

    Its lock is that of its lane, so that a backfill of thousands leaves few lock files; it is the
    store that keeps runs of equal parameters apart.
    """

    def __init__(self, going: Going, part: Part) -> None:
        super().__init__(going)
        self._part = part

    @property
    def _beside(self) -> bool:
        return True

    def _acquire(self, database: Database) -> locks.RunLock | None:
        lane = self._part.lane
        for number in (lane, lane + PARALLEL_MAX):  # another may just look at the first
            lock = locks.acquire(database.path, lane_lock_name(self._name, number + 1))
            if lock is not None:
                return lock
        return None

    def _reconcile(self, database: Database, lock: locks.RunLock) -> None:
        """Look for what a failure has left in this lane: all else the backfill has looked for."""
        owners = (locks.Owner.from_text(found.owner) for found in open_runs(database))
        if any(owner is not None and owner.lock == lock.name for owner in owners):
            super()._reconcile(database, lock)

    def _channels(self, _history: History) -> ChannelsFor:
        return lambda _status: ()

    def _new_run(self, decision: Decision, owner: str, after: int) -> NewRun:
        return replace(super()._new_run(decision, owner, after), backfill=self._part.backfill)

    def _drive(
        self, decision: Decision, database: Database, lock: locks.RunLock, run_id: int
    ) -> Drive:
        return _ValueDrive(self._part, (self._going, decision, database, lock, run_id))

    def _finish(self, database: Database, history: History, *, interrupted: bool) -> None:
        """Leave alerts and cleaning up to the backfill's end."""
