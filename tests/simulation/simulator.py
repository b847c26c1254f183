"""A seed becomes a workflow, its troubles, and the chain of runs that brings it to its end.

The real scheduler and the real runner are driven on virtual time; nothing here decides anything
that the engine decides. The next run of a chain takes over what the real `engine.resume` chooses.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random  # noqa: TID251 - seeded: the same seed gives the same chain
from typing import Any

from engine import choosing, resume
from engine.ancestry import ContextIndex
from engine.errors import StoreBusy, StoreError, SupersededError
from engine.events import Action, Claim, EngineHalted, Event, StopRequested
from engine.graph import build
from engine.lateness import Lateness, Limit, Whose
from engine.live import HEAR_S, LEFT_MAX
from engine.model import AttemptOutcome, OnOverrun, RunStatus, Step, StepStatus, TriggerRule
from engine.past import PastStep
from engine.plan import Plan, StepState
from engine.produced import OutputFile
from engine.runner import LOOK_S, Ports, Runner
from engine.scheduler import Scheduler
from tests.builders import COMMAND_STOP_S, STOP_S, nothing
from tests.fakes import Body, Carried, FakeClock, FakeStore, FakeWorkers, RunRow
from tests.simulation.invariants import (
    OWN_SKIP,
    ChainSeen,
    RunSeen,
    Tick,
    check_chain,
    check_run,
)

CALM_AFTER_RUNS = 4  # later runs of a chain meet no crash and no stop, so that it ends
RUNS_MAX = 30
MARKED_SHARE = 0.15
TICKS_MAX = 20_000
RULES = [*[TriggerRule.ALL_SUCCESS] * 4, TriggerRule.ALL_DONE, *TriggerRule]
OVERRUNS = [OnOverrun.FAIL, *OnOverrun]
CROWD = LEFT_MAX + 20  # steps of a world in which all hang
FILE = OutputFile("made.tmp", "made", "0" * 64, 4)


class Died(BaseException):
    """The engine is killed at this very place."""


class Watched(Scheduler):
    """The real scheduler, with a note taken of every tick."""

    seen: RunSeen

    def tick(self, now: float, events: Sequence[Event], *, ahead: int = 0) -> list[Action]:
        """Tick, and note what went in and came out."""
        actions = super().tick(now, events, ahead=ahead)
        ready = StepStatus.READY in self.status
        tick = Tick(now, tuple(events), ahead, tuple(actions), self.live, ready)
        self.seen.ticks.append(tick)
        if len(self.seen.ticks) > TICKS_MAX:
            raise AssertionError(f"{TICKS_MAX} ticks, and the run is not over")
        return actions


@dataclass(frozen=True, slots=True)
class Troubles:
    """How likely each trouble is."""

    fails: float
    skips: float
    hangs: float
    deaf: float
    lost: float
    busy: float
    breaks: float
    dies: float
    sleeps: float
    signals: float
    cancels: float
    files: float
    halts: float


class World:
    """One seed's workflow and luck."""

    def __init__(self, seed: int, *, wall_jumps: bool = False) -> None:
        """Draw a graph, policies, workers and troubles; `wall_jumps` must change nothing."""
        self.luck = luck = Random(seed)
        self.clock = FakeClock(seed=seed)
        self._jumps = Random(seed) if wall_jumps else None
        self.crowd = luck.random() < 0.005
        self.fast = not self.crowd and luck.random() < 0.3  # of microseconds: claims go ahead
        count = CROWD if self.crowd else luck.randint(1, 30 if self.fast else 12)
        names = [f"s{i}" for i in range(count)]
        near = luck.choice((1, 2, count))
        wanted = [
            sorted({luck.randint(max(0, i - near * 2), i - 1) for _ in range(luck.randint(0, 3))})
            if i and not self.crowd
            else []
            for i in range(count)
        ]
        turn = luck.sample(range(count), count)  # declared in another order than it runs
        place = {old: new for new, old in enumerate(turn)}
        upstreams = [[names[place[up]] for up in wanted[old]] for old in turn]
        self.plan = self._plan(names, upstreams)
        self.steps = [
            Step(name, nothing, depends_on=ups, retries=retries, retry_on=(OSError,))
            for name, ups, retries in zip(names, upstreams, self.plan.retries, strict=True)
        ]
        self.workers = 40 if self.crowd else luck.randint(1, 4)
        self.commit_s = luck.choice((0.0, 0.001, 0.01))
        self.troubles = Troubles(
            fails=luck.choice((0.0, 0.1, 0.4)),
            skips=luck.choice((0.0, 0.1)),
            hangs=1.0 if self.crowd else luck.choice((0.0, 0.1, 0.3)),
            deaf=1.0 if self.crowd else luck.choice((0.0, 0.5)),
            lost=luck.choice((0.0, 0.0, 0.02)),
            busy=luck.choice((0.0, 0.0, 0.1)),
            breaks=luck.choice((0.0, 0.0, 0.0, 0.05)),
            dies=0.0 if self.crowd else luck.choice((0.0, 0.0, 0.03, 0.2)),
            sleeps=luck.choice((0.0, 0.0, 0.1)),
            signals=luck.choice((0.0, 0.0, 0.7)),
            cancels=luck.choice((0.0, 0.0, 0.7)),
            files=luck.choice((0.0, 0.2)),
            halts=luck.choice((0.0, 0.0, 0.05)),
        )

    def jump(self) -> None:
        """Set the wall clock, as an operator or a time server may at any moment."""
        if self._jumps is not None:
            self.clock.wall_s += self._jumps.choice((-3600.0, -1.0, 0.5, 86_400.0))

    def _plan(self, names: Sequence[str], upstreams: Sequence[Sequence[str]]) -> Plan:
        luck = self.luck
        commands = [luck.random() < (0.0 if self.crowd else 0.2) for _ in names]
        limits = (0.5,) if self.crowd else (None, 0.5, 2.0)
        policies = (OnOverrun.FAIL, OnOverrun.ABANDON) if self.crowd else OVERRUNS
        return Plan(
            graph=build(names, upstreams),
            rules=[luck.choice(RULES) for _ in names],
            retries=[luck.choice((0, 1, 2)) for _ in names],
            timeout_s=[luck.choice(limits) for _ in names],
            stop_s=[COMMAND_STOP_S if command else STOP_S for command in commands],
            gentle=commands,
            on_overrun=[
                OnOverrun.FAIL if command else luck.choice(policies) for command in commands
            ],
        )

    def body(self, step: int, *, calm: bool) -> Body:
        """Draw how an attempt behaves; in a calm run none is lost."""
        luck, troubles = self.luck, self.troubles
        short_s = (
            luck.choice((1e-5, 1e-4, 2e-3)) if self.fast else luck.choice((0.0, 0.05, 0.5, 1.5))
        )
        obeys_s = None if luck.random() < troubles.deaf else luck.choice((0.0, 0.05, 0.3))
        if self.crowd or (luck.random() < troubles.lost and not calm):
            return Body(math.inf, obeys_s=None)  # nothing is ever heard of it again
        if luck.random() < troubles.hangs:
            bounded = self.plan.timeout_s[step] is not None
            long_s = luck.choice((2.2, 4.0, math.inf)) if bounded else 20.0
            return Body(long_s, obeys_s=obeys_s, delay_s=0.5)
        if luck.random() < troubles.fails:
            return Body(
                short_s,
                AttemptOutcome.FAILED,
                error="ValueError: no",
                retryable=luck.random() < 0.9,
                delay_s=luck.choice((0.0, 0.3, 2.0)),
                obeys_s=obeys_s,
            )
        skip = OWN_SKIP if luck.random() < troubles.skips else None
        files = (FILE,) if skip is None and luck.random() < troubles.files else ()
        return Body(short_s, skip=skip, files=files, obeys_s=obeys_s)


class _Engine:
    """One run of a chain: one process, from its start to its end or death."""

    def __init__(
        self,
        world: World,
        store: FakeStore,
        calm: bool,
        states: list[StepState] | None = None,
    ) -> None:
        self._world, self._calm = world, calm
        self._busy = 0
        self.states = _take_over(world.plan, store) if states is None else states
        self._stored = stored = _begin(store, self.states)
        self.seen = RunSeen(
            plan=world.plan,
            workers=world.workers,
            states=self.states,
            slack_s=20 * world.commit_s + 1e-6,
            stored=stored,
            begun_at=world.clock.now(),
        )
        self._store = store
        self._scheduler = Watched(world.plan, self.states, workers=world.workers)
        self._scheduler.seen = self.seen
        self._workers = FakeWorkers(
            world.clock,
            self._body,
            workers=world.workers,
            timeout_s=world.plan.timeout_s,
            seen=self.seen.happened.append,
        )

    def run(self) -> None:
        """Run to the end, or die."""
        world, seen = self._world, self.seen
        if not self._calm and world.luck.random() < world.troubles.signals:
            self._signal()
        if not self._calm and world.luck.random() < world.troubles.cancels:
            seen.cancel_at = world.clock.now() + world.luck.random() * self._scale_s
        graph = world.plan.graph
        seen.late_s = [
            max(self._scale_s, 0.4) * (1 + step % 3) / 8 for step in range(len(graph.names))
        ]
        limits = {step: (Limit(after_s, ""),) for step, after_s in enumerate(seen.late_s)}
        ports = Ports(
            clock=world.clock,
            workers=_Telling(self._workers, self),
            store=_Troubled(self),
            index=ContextIndex(graph.upstreams, graph.names, graph.generations, _NoValues()),
            publish=lambda _files: None,
            observe=lambda _actions, _now: None,
            lateness=lambda: Lateness(Whose("flow", 1, graph.names), limits),
            late_s=min(seen.late_s, default=0.0) / 2,
        )
        try:
            Runner(self._scheduler, world.steps, ports).run()
        except SupersededError:
            raise  # never a trouble from outside
        except (Died, StoreError):
            seen.died = True
            begun = [entry[2:] for entry in seen.happened if entry[0] == "begin"]
            self._store.reconcile(begun)  # type: ignore[arg-type]
        self._workers.close()

    @property
    def _scale_s(self) -> float:
        return 5 * self._world.commit_s if self._world.fast else 4.0

    def _body(self, step: int, number: int) -> Body:
        """Draw a body; one that nothing else would ever end is stopped by somebody."""
        world = self._world
        del number
        body = world.body(step, calm=self._calm)
        bounded = world.plan.timeout_s[step] is not None
        waits = world.plan.on_overrun[step] is OnOverrun.WAIT
        if body.duration_s == math.inf and (waits or not bounded):
            at = world.clock.now() + world.luck.random() * 8
            self._workers.post(at, StopRequested("SIGTERM"))
        return body

    def _signal(self) -> None:
        luck = self._world.luck
        at = self._world.clock.now() + luck.random() * self._scale_s
        self._workers.post(at, StopRequested("SIGINT", at_once=luck.random() < 0.1))
        if luck.random() < 0.3:
            self._workers.post(at + luck.random() * 6, StopRequested("SIGINT", at_once=True))

    # -- what befalls the store --------------------------------------------------------------------

    def commit(self, actions: Sequence[Action]) -> None:
        """Take the time, be busy, die before or after, else commit and compare."""
        world, luck = self._world, self._world.luck
        world.jump()
        world.clock.pass_to(world.clock.now() + world.commit_s * luck.random())
        if luck.random() < world.troubles.busy:
            raise StoreBusy("another process held the write lock")
        self.die_perhaps()
        self._break_perhaps()
        self._store.commit_tick(actions)
        self.seen.happened.append(("commit", world.clock.now(), tuple(actions)))
        self.die_perhaps()
        self._break_perhaps()  # also when all was written: the engine cannot know
        self._compare(actions)

    def asked_to_stop(self) -> str | None:
        """Tell of the cancel once its time has come."""
        world, at = self._world, self.seen.cancel_at
        world.jump()
        if world.luck.random() < world.troubles.busy:
            self.seen.slack_s += LOOK_S  # it is looked again then
            raise StoreBusy("another process held the write lock")
        self._break_perhaps()
        if at is not None and world.clock.now() >= at:
            self._store.runs[-1].cancel_by = "ada"
        return self._store.asked_to_stop()

    def sleep_perhaps(self) -> None:
        """Let the machine, or the engine alone, stand still for a while."""
        world, luck = self._world, self._world.luck
        if not self._calm and luck.random() < world.troubles.sleeps:
            slept_s = luck.choice((0.05, 0.7, 3.0, 600.0))
            world.clock.pass_to(world.clock.now() + slept_s)
            self.seen.slack_s += slept_s

    def halt_perhaps(self) -> list[Event]:
        """Halt the engine with its threads, but not the processes of its commands."""
        world, luck = self._world, self._world.luck
        if self._calm or luck.random() >= world.troubles.halts:
            return []
        begun = world.clock.now()
        halt = EngineHalted(begun, begun + luck.choice((3.0, 600.0)))
        self._workers.halt(halt, world.plan.gentle)
        self.seen.slack_s += halt.ended - begun + HEAR_S
        self.seen.halts.append(halt)
        return [halt]

    def _break_perhaps(self) -> None:
        if not self._calm and self._world.luck.random() < self._world.troubles.breaks:
            raise StoreError("disk I/O error")

    def now(self) -> float:
        """Virtual seconds."""
        return self._world.clock.now()

    def die_perhaps(self) -> None:
        """Be killed here, if it is time."""
        if not self._calm and self._world.luck.random() < self._world.troubles.dies:
            raise Died

    def published(self, steps: Sequence[int]) -> None:
        """Note that files stand."""
        now = self._world.clock.now()
        self.die_perhaps()
        self._break_perhaps()
        self._store.mark_published(steps)
        self.seen.happened.extend(("publish", now, step) for step in steps)

    def _compare(self, actions: Sequence[Action]) -> None:
        """Hold the core's memory against the store."""
        del actions
        for step, status in enumerate(self._scheduler.status):
            told = _status_of(self._stored, step, self.states[step])
            in_memory = "open" if status in (StepStatus.WAITING, StepStatus.READY) else status
            if told != in_memory and not (told == "backing_off" and in_memory == "open"):
                self.seen.memory_differs.append(f"step {step}: {status} in memory, {told} stored")


class _Troubled:
    """The store as the runner sees it."""

    def __init__(self, engine: _Engine) -> None:
        self.commit_tick = engine.commit
        self.mark_published = engine.published
        self.asked_to_stop = engine.asked_to_stop


class _Telling:
    """The workers as the runner sees them: what is left is told, it wakes late, halts at times."""

    def __init__(self, workers: FakeWorkers, engine: _Engine) -> None:
        self._workers, self._engine = workers, engine

    def leave_behind(self, step: int, number: int) -> None:
        """Note it, then do it."""
        engine = self._engine
        engine.seen.happened.append(("left", engine.now(), step, number))
        self._workers.leave_behind(step, number)

    def wait(self, timeout_s: float | None) -> list[Event]:
        """Wait; what happens while all sleeps is told late."""
        events = self._workers.wait(timeout_s)
        self._engine.sleep_perhaps()
        return events + self._engine.halt_perhaps()

    def __getattr__(self, name: str) -> Any:
        """Pass on all else."""
        return getattr(self._workers, name)


class _NoValues:
    """Simulated steps write nothing."""

    def load(self, step: int, key: str) -> Any:
        """Be asked for nothing."""
        raise AssertionError((step, key))


def _status_of(run: RunRow, step: int, state: StepState) -> str:
    if step in run.steps:
        return run.steps[step][0]
    rows = run.attempts_of(step)
    if not rows:
        return "open" if state.next_attempt_at is None else "backing_off"
    return "running" if rows[-1].outcome is None else "backing_off"


def _take_over(
    plan: Plan, store: FakeStore, marked: Mapping[str, str] | None = None
) -> list[StepState]:
    """Choose as a continued run does; every step anew without an earlier run."""
    count = len(plan.graph.names)
    if not store.runs:
        return [StepState() for _ in range(count)]
    rules = resume.Rules(
        run_id=store.runs[-1].id,
        file_matches=lambda _target, _sha256: True,
        values_fault=lambda _run, _step: "",
        difference=lambda _old, _new: "",
        marked=marked or {},
    )
    chosen = resume.choose(_fresh(plan), plan.graph.order, _past(plan, store), rules)
    return [_Taken.of(choice) for choice in chosen]


def _fresh(plan: Plan) -> list[resume.Fresh]:
    rows = zip(plan.graph.names, plan.graph.upstreams, strict=True)
    return [resume.Fresh(name, ups, "", {}) for name, ups in rows]


def _past(plan: Plan, store: FakeStore) -> dict[str, PastStep]:
    return {name: store.past(step) for step, name in enumerate(plan.graph.names)}


@dataclass(slots=True)
class _Taken(StepState):
    """A step's state, and what the store keeps beside it."""

    note: str = ""
    lost: int = 0
    source: int | None = None

    @staticmethod
    def of(choice: resume.Choice) -> _Taken:
        """Make what a run begins with of a choice."""
        return _Taken(
            choice.status or StepStatus.WAITING,
            choice.used,
            choice.retry_at,
            choice.counts_as,
            choice.failed_above,
            choice.note,
            choice.lost,
            choice.source_run,
        )


def _begin(store: FakeStore, states: Iterable[StepState]) -> RunRow:
    states = list(states)
    run = store.begin_run(len(states))
    for step, state in enumerate(states):
        if not isinstance(state, _Taken):
            continue
        if state.status is not StepStatus.WAITING:
            run.steps[step] = (state.status, state.note)
        if state.source is not None:
            run.source[step] = state.source
        run.carried[step] = Carried(state.used, state.next_attempt_at, state.lost)
    return run


def simulate(seed: int, *, wall_jumps: bool = False) -> ChainSeen:
    """Run the chain of a seed to its end, holding every run against the invariants."""
    world = World(seed, wall_jumps=wall_jumps)
    store = FakeStore()
    chain = ChainSeen(world.plan)
    for number in range(RUNS_MAX):
        engine = _Engine(world, store, calm=number >= CALM_AFTER_RUNS)
        chain.runs.append(engine.seen)
        engine.run()
        check_run(engine.seen)
        if store.runs[-1].status in (RunStatus.OK, RunStatus.FAILED):
            check_chain(chain)
            return chain
        world.clock.pass_to(world.clock.now() + world.luck.random())
    raise AssertionError(f"{RUNS_MAX} runs, and the chain has not ended")


def simulate_marks(seed: int) -> ChainSeen:
    """Run a chain in which a person marks steps as done before each run but the first."""
    world, store, luck = World(seed), FakeStore(), Random(seed)
    chain = ChainSeen(world.plan)
    for number in range(RUNS_MAX):
        names = world.plan.graph.names
        marked = {name: "" for name in names if number and luck.random() < MARKED_SHARE}
        states = _take_over(world.plan, store, marked)
        engine = _Engine(world, store, calm=number >= CALM_AFTER_RUNS, states=states)
        if number:
            engine.seen.marked = frozenset(names.index(name) for name in marked)
            store.runs[-1].marked = engine.seen.marked
        chain.runs.append(engine.seen)
        engine.run()
        check_run(engine.seen)
        if number > 1 and store.runs[-1].status in (RunStatus.OK, RunStatus.FAILED):
            check_chain(chain)
            return chain
        world.clock.pass_to(world.clock.now() + luck.random())
    raise AssertionError(f"{RUNS_MAX} runs, and the chain has not ended")


def simulate_chosen(seed: int) -> tuple[RunSeen, frozenset[str]]:
    """Run one run, then one of steps chosen at random, and of the upstreams that those lack."""
    world, store, luck = World(seed), FakeStore(), Random(seed)
    _Engine(world, store, calm=False).run()
    plan, share = world.plan, luck.random()
    chosen = choosing.Chosen(
        names=frozenset(name for name in plan.graph.names if luck.random() < share),
        marked={},
        past=_past(plan, store),
        run_id=1,
        values_fault=lambda _run, _step: "",
    )
    choices = choosing.choose(_fresh(plan), chosen)
    while lack := choosing.missing(_fresh(plan), plan.rules, choices, chosen):
        chosen = replace(chosen, names=chosen.names | {lack.upstream})
        choices = choosing.choose(_fresh(plan), chosen)
    states: list[StepState] = [_Taken.of(choice) for choice in choices]
    engine = _Engine(world, store, calm=True, states=states)
    engine.run()
    check_run(engine.seen)
    return engine.seen, chosen.names


def claims(chain: ChainSeen) -> int:
    """Count the attempts of a chain."""
    return sum(type(action) is Claim for seen in chain.runs for _, action in seen.actions())
