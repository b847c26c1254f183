"""The engine's ports in memory, on a clock that goes only where it is told to."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random  # noqa: TID251 - seeded: the same seed gives the same run

from engine.errors import SupersededError
from engine.events import (
    Action,
    AttemptFinished,
    AttemptStarted,
    AttemptWithdrawn,
    BackOff,
    Claim,
    Decide,
    EndAttempt,
    EndRun,
    EndStep,
    EngineHalted,
    Event,
    Facts,
    RecordStart,
)
from engine.model import AttemptOutcome, RunStatus, StepStatus
from engine.past import PastStep
from engine.ports import Job
from engine.produced import Encoded, OutputFile

EPOCH = datetime(2011, 11, 14, tzinfo=UTC)
Key = tuple[int, int]
LOOKS_MAX = 10_000


class FakeClock:
    """Implements `engine.ports.Clock`: virtual seconds, seeded draws."""

    def __init__(self, now: float = 0.0, seed: int = 0) -> None:
        """Stand at `now`."""
        self._now = now
        self.computed_s = 0.0
        self.wall_s = 0.0  # how far the wall clock was set, in all
        self._random = Random(seed)

    def now(self) -> float:
        """Virtual seconds."""
        return self._now

    def cpu_s(self) -> float:
        """Nothing is ever computed in virtual time, unless a test says so."""
        return self.computed_s

    def pass_to(self, at: float) -> None:
        """Go forward to `at`; never back."""
        self._now = max(self._now, at)

    def stamp(self, at: float) -> int:
        """Microseconds since 1970 of a virtual instant."""
        return round((EPOCH.timestamp() + self.wall_s + at) * 1_000_000)

    def instant(self, stamp_us: int) -> float:
        """Turn microseconds since 1970 back."""
        return stamp_us / 1_000_000 - EPOCH.timestamp() - self.wall_s

    def utc(self) -> datetime:
        """Wall time now."""
        return EPOCH + timedelta(seconds=self.wall_s + self._now)

    def random(self) -> float:
        """Draw from the seeded sequence."""
        return self._random.random()


# -- workers --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Body:
    """How one attempt behaves.

    It ends after `duration_s` as scripted (`math.inf`: never), or `obeys_s` after it was asked to
    stop (None: it does not hear).
    """

    duration_s: float = 1.0
    outcome: AttemptOutcome = AttemptOutcome.OK
    error: str = ""
    skip: str | None = None
    retryable: bool = True
    delay_s: float = 0.0
    obeys_s: float | None = 0.0
    files: tuple[OutputFile, ...] = ()


@dataclass(slots=True)
class _Running:
    job: Job
    body: Body
    started_at: float
    ends_at: float
    stopped: str = ""
    left: bool = False
    halted_s: float = 0.0


class FakeWorkers:
    """Implements `engine.ports.Workers`: `script(step, number)` says how an attempt behaves.

    `seen` gets ("begin" | "end", time, step, number) as bodies begin and end.
    """

    def __init__(
        self,
        clock: FakeClock,
        script: Callable[[int, int], Body],
        *,
        workers: int,
        timeout_s: Sequence[float | None] = (),
        seen: Callable[[tuple[str, float, int, int]], object] = lambda _: None,
    ) -> None:
        """Have `workers` idle lanes."""
        self._clock = clock
        self._script = script
        self._workers = workers
        self._timeout_s = timeout_s
        self._seen = seen
        self._queue: deque[Job] = deque()
        self._running: dict[Key, _Running] = {}
        self._busy = 0
        self._inbox: list[Event] = []
        self._posted: list[tuple[float, int, Event]] = []
        self._posts = 0
        self._halt = EngineHalted(0.0, 0.0)
        self.closed = False

    def post(self, at: float, event: Event) -> None:
        """Let `event` happen at a time, such as a signal."""
        self._posts += 1
        heappush(self._posted, (at, self._posts, event))

    def dispatch(self, jobs: Sequence[Job]) -> None:
        """Queue attempts; begin those for which a lane is free."""
        self._settle(self._clock.now())  # lanes do not wait for a commit
        self._queue = deque(sorted((*self._queue, *jobs), key=lambda job: job.rank))
        self._begin_queued(self._clock.now())

    def wait(self, timeout_s: float | None) -> list[Event]:
        """Let time pass until something has happened; give all pending events."""
        until = math.inf if timeout_s is None else self._clock.now() + timeout_s
        self._settle(self._clock.now())
        while not self._inbox:
            at = self._next_end()
            if min(at, until) == math.inf:
                raise AssertionError("nothing can ever happen: the run waits for no event")
            self._clock.pass_to(min(at, until))
            if at > until:
                break
            self._settle(at)
        events, self._inbox = self._inbox, []
        return events

    def begun(self) -> list[AttemptStarted]:
        """Starts of the bodies that run now."""
        self._settle(self._clock.now())
        running = self._running.values()
        return [AttemptStarted(r.job.step, r.job.number, r.started_at) for r in running]

    def stop(self, step: int, number: int, reason: str, *, withdraw: bool) -> None:
        """Take back a queued attempt; ask a running body to stop unless `withdraw`."""
        self._settle(self._clock.now())
        running = self._running.get((step, number))
        if withdraw:
            kept = [job for job in self._queue if (job.step, job.number) != (step, number)]
            if len(kept) < len(self._queue):
                self._queue = deque(kept)
                self._inbox.append(AttemptWithdrawn(step, number))
        elif running is not None and not running.stopped and running.body.obeys_s is not None:
            at = self._clock.now() + running.body.obeys_s
            if at < running.ends_at:
                running.stopped, running.ends_at = reason, at

    def leave_behind(self, step: int, number: int) -> None:
        """Give the lane of this attempt to the next in the queue."""
        self._settle(self._clock.now())
        running = self._running.get((step, number))
        if running is not None and not running.left:
            running.left = True
            self._busy -= 1
            self._begin_queued(self._clock.now())

    def halt(self, halt: EngineHalted, spared: Sequence[bool]) -> None:
        """Let the engine stand still, and with it the bodies of all steps but the spared."""
        self._settle(halt.begun)
        self._halt = halt
        for running in self._running.values():
            if not spared[running.job.step]:
                running.ends_at += halt.ended - halt.begun
                running.halted_s += halt.ended - halt.begun
        self._clock.pass_to(halt.ended)

    def left_running(self) -> list[Key]:
        """(step, number) of bodies that still run."""
        return sorted(self._running)

    def close(self) -> None:
        """Begin nothing more."""
        self.closed = True
        self._queue.clear()

    def _next_end(self) -> float:
        ends = min((r.ends_at for r in self._running.values()), default=math.inf)
        return min(ends, self._posted[0][0]) if self._posted else ends

    def _settle(self, now: float) -> None:
        """Let everything happen that is due by `now`, in the order of its times."""
        while self._next_end() <= now:
            running = min(self._running.values(), key=lambda r: r.ends_at, default=None)
            if running is None or (self._posted and self._posted[0][0] <= running.ends_at):
                self._inbox.append(heappop(self._posted)[2])
                continue
            key = (running.job.step, running.job.number)
            del self._running[key]
            self._busy -= not running.left
            self._seen(("end", running.ends_at, *key))
            self._inbox.append(self._answer(running))
            self._begin_queued(running.ends_at)

    def _begin_queued(self, at: float) -> None:
        if self._halt.begun < at < self._halt.ended:
            at = self._halt.ended  # a process has ended, but its lane takes the next one only then
        while self._queue and self._busy < self._workers and not self.closed:
            job = self._queue.popleft()
            body = self._script(job.step, job.number)
            self._busy += 1
            self._running[job.step, job.number] = _Running(job, body, at, at + body.duration_s)
            self._seen(("begin", at, job.step, job.number))
            if job.report:
                self._inbox.append(AttemptStarted(job.step, job.number, at))

    def _answer(self, running: _Running) -> AttemptFinished:
        body, job = running.body, running.job
        begun, ended = running.started_at, running.ends_at
        limit_s = self._timeout_s[job.step] if self._timeout_s else None
        if limit_s is not None and ended - begun - running.halted_s > limit_s:
            outcome, error = AttemptOutcome.TIMED_OUT, f"timed out after {limit_s:g}s"
        elif running.stopped:
            outcome, error = AttemptOutcome.INTERRUPTED, running.stopped
            return AttemptFinished(job.step, job.number, outcome, begun, ended, error)
        elif body.outcome is AttemptOutcome.OK:
            return AttemptFinished(
                job.step, job.number, body.outcome, begun, ended, skip=body.skip, files=body.files
            )
        else:
            outcome, error = body.outcome, body.error
        return AttemptFinished(
            job.step,
            job.number,
            outcome,
            begun,
            ended,
            error,
            retryable=body.retryable,
            delay_s=body.delay_s,
        )


# -- store ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class AttemptRow:
    """One attempt as recorded; a live one has no outcome."""

    started_at: float | None
    finished_at: float | None = None
    outcome: AttemptOutcome | None = None
    error: str = ""
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """What a run took over of an unfinished step."""

    used: int = 0
    retry_at: float | None = None
    lost: int = 0


def told_of(facts: Facts) -> dict[str, object]:
    """Give facts as they read back: pairs are an object."""
    return {name: dict(value) if isinstance(value, tuple) else value for name, value in facts}


@dataclass
class RunRow:
    """One run as recorded. Steps are positions."""

    id: int
    count: int
    status: RunStatus = RunStatus.RUNNING
    note: str = ""
    finished_at: float | None = None
    attempts: dict[Key, AttemptRow] = field(default_factory=dict)
    steps: dict[int, tuple[StepStatus, str]] = field(default_factory=dict)
    outputs: dict[tuple[int, str], Encoded] = field(default_factory=dict)
    unpublished: dict[int, tuple[OutputFile, ...]] = field(default_factory=dict)
    source: dict[int, int] = field(default_factory=dict)
    carried: dict[int, Carried] = field(default_factory=dict)
    decisions: list[tuple[int, str, dict[str, object]]] = field(default_factory=list)
    cancel_by: str | None = None
    marked: frozenset[int] = frozenset()

    def attempts_of(self, step: int) -> list[AttemptRow]:
        """Give the attempts of a step, in order."""
        rows: list[AttemptRow] = []
        while (row := self.attempts.get((step, len(rows) + 1))) is not None:
            rows.append(row)
        return rows


class FakeStore:
    """Implements `engine.ports.Store` for the newest of its runs; keeps what was committed.

    `before` and `after` are called round each commit's transaction and may raise: what they raise
    before it leaves nothing behind, what they raise after it leaves all.
    """

    def __init__(
        self,
        before: Callable[[Sequence[Action]], object] = lambda _: None,
        after: Callable[[Sequence[Action]], object] = lambda _: None,
    ) -> None:
        """Hold no run."""
        self.runs: list[RunRow] = []
        self._before, self._after = before, after
        self._looks = 0  # since the last commit

    def begin_run(self, count: int) -> RunRow:
        """Record a run of `count` steps as running."""
        run = RunRow(len(self.runs) + 1, count)
        self.runs.append(run)
        return run

    def commit_tick(self, actions: Sequence[Action]) -> None:
        """Apply all actions, or none; guarded by the states they leave, in the journal's order."""
        self._looks = 0
        self._before(actions)
        run = self.runs[-1]
        self._check(run, actions)
        for action in actions:
            self._apply(run, action)
        self._after(actions)

    def mark_published(self, steps: Sequence[int]) -> None:
        """Record that the files of these steps stand."""
        for step in steps:
            self.runs[-1].unpublished.pop(step, None)

    def asked_to_stop(self) -> str | None:
        """Tell who wants the newest run cancelled; a run that only ever looks is stuck."""
        self._looks += 1
        if self._looks > LOOKS_MAX:
            raise AssertionError("nothing can ever happen: the run waits for no event")
        return self.runs[-1].cancel_by

    def _check(self, run: RunRow, actions: Sequence[Action]) -> None:
        """Refuse what the real journal's guards and keys refuse."""
        live = {key for key, row in run.attempts.items() if row.outcome is None}
        ended = {a[:2] for a in actions if type(a) is EndAttempt}
        made = set(run.attempts)
        steps = set(run.steps)
        for action in actions:
            wrong = run.status is not RunStatus.RUNNING
            match action:
                case RecordStart(step, number, _):
                    wrong |= (step, number) not in live
                case EndAttempt():
                    wrong |= action[:2] not in live
                    live.discard(action[:2])
                case BackOff(step, number, _):
                    key = (step, number)
                    wrong |= key not in ended and (key not in made or key in live)
                case EndStep():
                    wrong |= action.step in steps
                    steps.add(action.step)
                case Claim(step, number, _, _):
                    wrong |= (step, number) in made or step in steps
                    made.add((step, number))
                case _:
                    continue
            if wrong:
                raise SupersededError(f"not in the state to be left: {action}")
        if any(type(a) is EndRun for a in actions) and run.status is not RunStatus.RUNNING:
            raise SupersededError("the run has ended")

    def _apply(self, run: RunRow, action: Action) -> None:
        match action:
            case Claim(step, number, started_at, _):
                run.attempts[step, number] = AttemptRow(started_at)
            case RecordStart(step, number, at):
                run.attempts[step, number].started_at = at
            case EndAttempt(step, number, outcome, started_at, finished_at, error):
                retry_at = run.attempts[step, number].retry_at
                row = AttemptRow(started_at, finished_at, outcome, error, retry_at)
                run.attempts[step, number] = row
            case BackOff(step, number, until):
                run.attempts[step, number].retry_at = until
            case EndStep(step, status, _, note, writes, files):
                run.steps[step] = (status, note)
                run.outputs.update({(step, key): value for key, value in writes})
                if files:
                    run.unpublished[step] = files
            case Decide(step, what, facts):
                run.decisions.append((step, what, told_of(facts)))
            case EndRun(status, at, note):
                run.status, run.finished_at, run.note = status, at, note
            case _:
                pass

    def ask_cancel(self, by: str) -> None:
        """Want the newest run cancelled, if it is on; the first to ask counts."""
        run = self.runs[-1]
        if run.status is RunStatus.RUNNING:
            run.cancel_by = run.cancel_by or by

    # -- what the next command does ---------------------------------------------------------------

    def reconcile(self, surely_begun: Iterable[Key]) -> None:
        """End the newest run if its engine died; `surely_begun` is what its lanes had marked."""
        if not self.runs or self.runs[-1].status is not RunStatus.RUNNING:
            return
        run = self.runs[-1]
        known = set(surely_begun)
        for key, row in run.attempts.items():
            if row.outcome is None:
                row.outcome = AttemptOutcome.ABANDONED
                row.started_at = (row.started_at or 0.0) if key in known else None
                row.error = "its engine died" + ("" if key in known else "; may not have started")
        for step in range(run.count):
            if step not in run.steps:
                carried = run.carried.get(step, Carried())
                tried = (step, 1) in run.attempts or carried.retry_at is not None
                status = StepStatus.INTERRUPTED if tried else StepStatus.CANCELLED
                run.steps[step] = (status, "its engine died" if tried else "not started")
        run.unpublished.clear()
        run.status, run.note = RunStatus.INTERRUPTED, "its engine died"

    def past(self, step: int) -> PastStep:
        """Give a step of the newest run as a decision about continuing sees it."""
        run = self.runs[-1]
        status, note = run.steps[step]
        carried = run.carried.get(step, Carried())
        used, retry_at, lost = carried.used, carried.retry_at, carried.lost
        if status in (StepStatus.OK, StepStatus.SKIPPED, StepStatus.FAILED):
            attempts = []
        else:
            attempts = run.attempts_of(step)
        for row in attempts:
            if row.outcome in (AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT):
                used, retry_at, lost = used + 1, row.retry_at, 0
            elif row.outcome is AttemptOutcome.ABANDONED:
                lost = lost + 1 if row.started_at is not None else 0
                retry_at = None
        source = run.source.get(step)
        began = any(row.outcome is AttemptOutcome.OK for row in run.attempts_of(step))
        own_skip = status is StepStatus.SKIPPED and (began or source is not None)
        # A past's times are whole microseconds where they are stored; here they stay seconds.
        return PastStep(
            status,
            note=note,
            source_run=source,
            used=used,
            retry_at=retry_at,  # type: ignore[arg-type]
            lost=lost,
            own_skip=own_skip,
            marked=step in (run if source is None else self.runs[source - 1]).marked,
        )
