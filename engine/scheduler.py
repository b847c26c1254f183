"""The core: what happens next. No IO, no clock, no randomness, no threads.

`tick(now, events)` takes what happened and gives what to do, as values; the caller commits the
actions in one transaction and only then carries them out. Same events, same actions: nothing here
iterates an unordered set, and ties go by rank (longest remaining path, then declaration order).

All times are monotonic seconds given by the caller. A step is a position in the definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import assert_never

from engine import notes, retry
from engine.events import (
    Action,
    AttemptFinished,
    AttemptOverran,
    AttemptStarted,
    AttemptWithdrawn,
    BackOff,
    Claim,
    EndAttempt,
    EndRun,
    EndStep,
    Event,
    LeaveBehind,
    RecordStart,
    StopAttempt,
    StopRequested,
)
from engine.frontier import Frontier
from engine.live import Live, LiveAttempts
from engine.model import ENDED_STEP, AttemptOutcome, RunStatus, StepStatus
from engine.plan import TRANSITIONS, InvariantViolation, Plan, StepState
from engine.trigger import Decision

_S = StepStatus

GRACE_S = 5.0  # how long running steps may go on once a stop was asked for
PROBE_S = 0.25  # how long a queued claim's start may stay unknown before it is asked for


class Scheduler:
    """One run's steps, from the first claim to the end of the run."""

    def __init__(self, plan: Plan, states: Iterable[StepState] = (), *, workers: int) -> None:
        """Restore from `states` as recorded, by position; without them every step is waiting.

        This is the only way in, so what a crash leaves behind is the ordinary case.
        """
        graph = plan.graph
        count = len(graph.names)
        self.plan = plan
        self.workers = workers
        self.status: list[StepStatus] = [_S.WAITING] * count
        self.numbers = [0] * count
        self._used = [0] * count
        self._frontier = Frontier(graph, plan.rules)
        self._open = count
        self._live = LiveAttempts(plan.timeout_s)
        self._due: list[tuple[float, int]] = []  # backing off
        self._ready: list[int] = []
        self._fresh: list[int] = []  # restored, and not yet decided about
        self._stop: StopRequested | None = None
        self._stop_grace: float | None = None
        self._ended = False
        self._by_rank = graph.ranked()
        self._rank = sorted(range(count), key=self._by_rank.__getitem__)  # the inverse
        self._restore(states)

    # -- what the caller sees ---------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether `EndRun` was given."""
        return self._ended

    @property
    def live(self) -> int:
        """Attempts that are claimed and have no verdict; those left behind do not count."""
        return len(self._live.by_step)

    def used(self, step: int) -> int:
        """How many attempts of the step's budget are spent, earlier runs of the chain included."""
        return self._used[step]

    def next_wakeup(self, now: float) -> float | None:
        """When `tick` is due even if nothing happens; None if only an event can move things."""
        times = []
        if self._due and self._stop is None:
            times.append(self._due[0][0])
        if self._live.next_limit is not None:
            times.append(self._live.next_limit)
        if self._stop_grace is not None and self._live.by_step:
            times.append(self._stop_grace)
        if self._live.queued > 0:
            times.append(now + PROBE_S)
        return min(times, default=None)

    def overran(self, now: float) -> list[tuple[int, int]]:
        """(step, number) of attempts asked to stop that are still alive past the time for it.

        The caller answers each with an `AttemptOverran` event, drawing the delay of its retry.
        """
        return self._live.overran(now)

    def tick(self, now: float, events: Sequence[Event], *, ahead: int = 0) -> list[Action]:
        """Take what happened, give what to do.

        `ahead` is how many attempts may be claimed beyond those that a worker is free for.
        """
        if self._ended:
            return []
        actions: list[Action] = []
        if self._fresh:
            self._decide_fresh(now, actions)
        for event in events:
            self._handle(event, now, actions)
        for step, live in self._live.due(now):
            live.late = True
            self._ask_stop(step, now, notes.timed_out(self.plan.timeout_s[step]), actions)
        if self._stop is None:
            if self._due and self._due[0][0] <= now:
                self._pass_due(now, actions)
            if self._ready:
                self._claim(now, ahead, actions)
        elif self._stop_grace is not None and self._stop_grace <= now:
            self._end_grace(now, actions)
        if not self._live.by_step and not self._open:
            self._end_run(now, actions)
        return actions

    # -- events -----------------------------------------------------------------------------------

    def _handle(self, event: Event, now: float, actions: list[Action]) -> None:
        match event:
            case AttemptFinished():
                self._finished(event, now, actions)
            case AttemptStarted():
                self._started(event, now, actions)
            case AttemptWithdrawn():
                self._withdrawn(event, now, actions)
            case AttemptOverran():
                self._overran(event, now, actions)
            case StopRequested():
                self._stop_requested(event, now, actions)
            case _:
                assert_never(event)

    def _started(self, event: AttemptStarted, now: float, actions: list[Action]) -> None:
        if self._live.begin(event):
            actions.append(RecordStart(event.step, event.number, event.at))
            if self._stop is not None and self.plan.gentle[event.step]:
                self._ask_stop(event.step, now, notes.stopped(self._stop.by), actions)

    def _finished(self, event: AttemptFinished, now: float, actions: list[Action]) -> None:
        step = event.step
        live = self._live.take(step, event.number)
        if live is None:
            return
        outcome = event.outcome
        begun, ended = event.started_at, event.finished_at
        if outcome is AttemptOutcome.OK:
            actions.append(EndAttempt(step, event.number, outcome, begun, ended))
            if event.skip is not None:
                self._end_step(step, _S.SKIPPED, ended, event.skip, actions)
            else:
                self._move(step, _S.OK)
                actions.append(EndStep(step, _S.OK, ended, event.note, event.writes, event.files))
                self._release(step, ended, actions)
            return
        if live.asked and not live.late:
            outcome = AttemptOutcome.INTERRUPTED
        elif live.late and outcome is AttemptOutcome.INTERRUPTED:
            outcome = AttemptOutcome.TIMED_OUT
        actions.append(EndAttempt(step, event.number, outcome, begun, ended, event.error))
        why = notes.last_line(event.error)
        failure = (outcome, event.retryable, event.delay_s, why)
        self._after_failure(step, now, failure, actions)

    def _overran(self, event: AttemptOverran, now: float, actions: list[Action]) -> None:
        step = event.step
        live = self._live.take(step, event.number)
        if live is None:
            return
        self._live.left[step] = event.number
        outcome = AttemptOutcome.TIMED_OUT if live.late else AttemptOutcome.INTERRUPTED
        command = self.plan.gentle[step]
        told = notes.still_running(live.asked, command=command)
        actions.append(EndAttempt(step, event.number, outcome, live.started_at, now, told))
        actions.append(LeaveBehind(step, event.number))
        note = notes.still_running("timed out", command=command) if live.late else told
        self._after_failure(step, now, (outcome, event.retryable, event.delay_s, note), actions)

    def _after_failure(
        self,
        step: int,
        now: float,
        failure: tuple[AttemptOutcome, bool, float, str],
        actions: list[Action],
    ) -> None:
        outcome, retryable, delay_s, note = failure
        if outcome is AttemptOutcome.INTERRUPTED:
            self._end_step(step, _S.INTERRUPTED, now, note, actions)
            return
        self._used[step] += 1
        decision = retry.decide(
            now=now,
            used=self._used[step],
            retries=self.plan.retries[step],
            retryable=retryable,
            delay_s=delay_s,
        )
        if isinstance(decision, retry.GiveUp):
            self._end_step(step, _S.FAILED, now, note, actions)
        elif self._stop is not None:
            actions.append(BackOff(step, self.numbers[step], decision.when))
            self._end_step(step, _S.INTERRUPTED, now, notes.BEFORE_RETRY, actions)
        else:
            self._move(step, _S.BACKING_OFF)
            heappush(self._due, (decision.when, step))
            actions.append(BackOff(step, self.numbers[step], decision.when))

    def _withdrawn(self, event: AttemptWithdrawn, now: float, actions: list[Action]) -> None:
        if self._live.take(event.step, event.number) is None:
            return
        actions.append(EndAttempt(event.step, event.number, AttemptOutcome.CANCELLED, None, None))
        if event.number > 1:
            self._end_step(event.step, _S.INTERRUPTED, now, notes.BEFORE_RETRY, actions)
        else:
            self._end_step(event.step, _S.CANCELLED, now, notes.NOT_STARTED, actions)

    def _stop_requested(self, event: StopRequested, now: float, actions: list[Action]) -> None:
        first = self._stop is None
        self._stop = self._stop or event
        if first:
            self._stop_grace = now + GRACE_S
            self._cancel_unstarted(now, actions)
            for step, live in self._live.by_step.items():
                if not live.known:
                    reason = notes.stopped(event.by)
                    actions.append(StopAttempt(step, live.number, reason, withdraw=True))
                elif self.plan.gentle[step] and not live.asked and not event.at_once:
                    self._ask_stop(step, now, notes.stopped(event.by), actions)
        if event.at_once:
            self._end_live(now, actions)

    # -- time -------------------------------------------------------------------------------------

    def _pass_due(self, now: float, actions: list[Action]) -> None:
        while self._due and self._due[0][0] <= now:
            _, step = heappop(self._due)
            if step in self._live.left:
                note = notes.still_running("timed out", command=self.plan.gentle[step])
                self._end_step(step, _S.FAILED, now, note, actions)
            else:
                self._make_ready(step)

    def _end_grace(self, now: float, actions: list[Action]) -> None:
        assert self._stop is not None
        self._stop_grace = None
        for step, live in self._live.by_step.items():
            if not live.asked:
                self._ask_stop(step, now, notes.stopped(self._stop.by), actions)

    def _ask_stop(self, step: int, now: float, reason: str, actions: list[Action]) -> None:
        live = self._live.ask(step, reason, now + self.plan.stop_s[step])
        actions.append(StopAttempt(step, live.number, reason))

    # -- claims and ends --------------------------------------------------------------------------

    def _claim(self, now: float, ahead: int, actions: list[Action]) -> None:
        ready, by_rank, timeouts = self._ready, self._by_rank, self.plan.timeout_s
        live = self._live.by_step
        room = self.workers + ahead - len(live)
        while ready and room > 0:
            step = by_rank[heappop(ready)]
            number = self.numbers[step] = self.numbers[step] + 1
            free = self._live.queued == 0 and len(live) < self.workers
            if not free:
                self._live.queued += 1
            started_at = now if free else None
            live[step] = Live(number, started_at)
            self._move(step, _S.RUNNING)
            actions.append(Claim(step, number, started_at, timeouts[step] is not None))
            room -= 1

    def _make_ready(self, step: int) -> None:
        self._move(step, _S.READY)
        heappush(self._ready, self._rank[step])

    def _end_step(
        self, step: int, status: StepStatus, at: float, note: str, actions: list[Action]
    ) -> None:
        self._move(step, status)
        actions.append(EndStep(step, status, at, note))
        self._release(step, at, actions)

    def _release(self, step: int, at: float, actions: list[Action]) -> None:
        """Tell downstream steps that `step` has ended; skips spread, without recursion."""
        pending = [step]
        while pending:
            up = pending.pop()
            self._open -= 1
            for down in self._frontier.end(up, self.status[up]):
                if self.status[down] is _S.WAITING and self._decide(down, at, actions):
                    pending.append(down)

    def _decide(self, step: int, at: float, actions: list[Action]) -> bool:
        """Apply the step's trigger rule; say whether that ended it as skipped."""
        decision, reason = self._frontier.decide(step)
        if decision is Decision.WAIT:
            return False
        if decision is Decision.READY:
            if self._stop is None:
                self._make_ready(step)
            return False
        self._move(step, _S.SKIPPED)
        actions.append(EndStep(step, _S.SKIPPED, at, reason))
        return True

    def _decide_fresh(self, now: float, actions: list[Action]) -> None:
        fresh, self._fresh = self._fresh, []
        for step in fresh:
            if self.status[step] is _S.WAITING and self._decide(step, now, actions):
                self._release(step, now, actions)

    def _cancel_unstarted(self, now: float, actions: list[Action]) -> None:
        """End every step that has no live attempt; what has begun before is `interrupted`."""
        self._ready.clear()
        self._due.clear()
        for step in self.plan.graph.order:
            status = self.status[step]
            if status in ENDED_STEP or status is _S.RUNNING:
                continue
            if self.numbers[step] or status is _S.BACKING_OFF:
                to, note = _S.INTERRUPTED, notes.BEFORE_RETRY
            else:
                to, note = _S.CANCELLED, notes.NOT_STARTED
            self._move(step, to)
            self._open -= 1
            actions.append(EndStep(step, to, now, note))

    def _end_live(self, now: float, actions: list[Action]) -> None:
        assert self._stop is not None
        for step, live in list(self._live.by_step.items()):
            self._live.take(step, live.number)
            note = notes.stopped(self._stop.by, known=live.known)
            outcome = AttemptOutcome.INTERRUPTED
            actions.append(EndAttempt(step, live.number, outcome, live.started_at, now, note))
            actions.append(StopAttempt(step, live.number, note))
            self._end_step(step, _S.INTERRUPTED, now, note, actions)

    def _end_run(self, now: float, actions: list[Action]) -> None:
        self._ended = True
        stopped = {_S.CANCELLED, _S.INTERRUPTED}
        if self._stop is not None and any(status in stopped for status in self.status):
            cancelled = self._stop.by == "cancel"
            status = RunStatus.CANCELLED if cancelled else RunStatus.INTERRUPTED
            actions.append(EndRun(status, now, notes.stopped(self._stop.by)))
            return
        failed = any(status is _S.FAILED for status in self.status)
        actions.append(EndRun(RunStatus.FAILED if failed else RunStatus.OK, now))

    # -- state ------------------------------------------------------------------------------------

    def _move(self, step: int, to: StepStatus) -> None:
        """Change a step's status; the only place that does."""
        if to not in TRANSITIONS[self.status[step]]:
            raise InvariantViolation(
                f"step '{self.plan.graph.names[step]}': {self.status[step]} -> {to}"
            )
        self.status[step] = to

    def _restore(self, states: Iterable[StepState]) -> None:
        for step, state in enumerate(states):
            self._used[step] = state.used
            if state.status in ENDED_STEP:
                self.status[step] = state.status
            elif state.next_attempt_at is not None:
                self.status[step] = _S.BACKING_OFF
                self._due.append((state.next_attempt_at, step))
        heapify(self._due)
        order = self.plan.graph.order  # so that a skip finds its root failure counted
        for step in order:
            if self.status[step] in ENDED_STEP:
                self._open -= 1
                self._frontier.end(step, self.status[step])
        self._fresh = [
            step
            for step in order
            if self.status[step] is _S.WAITING and self._frontier.is_due(step)
        ]
