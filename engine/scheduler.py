"""The core: what happens next. No IO, no clock, no randomness, no threads.

`tick(now, events)` takes what happened and gives what to do, as values; the caller commits the
actions in one transaction and only then carries them out. Same events, same actions: nothing here
iterates an unordered set, and ready steps go by rank (longest remaining path, then declaration
order) or, where the plan says so, first in, first out.

All times are monotonic seconds given by the caller. A step is a position in the definition.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, assert_never

from engine import decisions, notes, retry
from engine.board import Board
from engine.events import (
    Action,
    AttemptFinished,
    AttemptOverran,
    AttemptStarted,
    AttemptWithdrawn,
    BackOff,
    EndAttempt,
    EngineHalted,
    Event,
    LeaveBehind,
    RecordStart,
    StopRequested,
    new_claim,
    new_end_attempt,
    new_end_step,
)
from engine.live import Live, LiveAttempts
from engine.model import AttemptOutcome, OnOverrun, StepStatus
from engine.plan import Plan, StepState
from engine.stopping import Stopping

_S = StepStatus
_WELL, _OK = AttemptOutcome.OK, StepStatus.OK  # through their enums they take 0.15 µs each

FIRST_MAX = 512  # steps queued before a less urgent one: of 20 µs, they outlast a slow commit
PROBE_S = 0.25  # how long a queued claim's start may stay unknown before it is asked for


class Failure(NamedTuple):
    """How an attempt failed, what its policy says to that (`policy`), and the step's `note`."""

    outcome: AttemptOutcome
    retryable: bool
    delay_s: float
    error: str
    note: str
    policy: str


class Scheduler:
    """One run's steps, from the first claim to the end of the run."""

    def __init__(self, plan: Plan, states: Iterable[StepState] = (), *, workers: int) -> None:
        """Restore from `states` as recorded, by position; without them every step is waiting.

        This is the only way in, so what a crash leaves behind is the ordinary case.
        """
        self.plan = plan
        self.workers = workers
        self._board = Board(plan, states)
        self._live = LiveAttempts(plan.timeout_s, plan.gentle)
        self._stopping = Stopping(plan, self._board, self._live)
        self._queued_to = -1  # no queued claim has a higher rank
        self._queued: list[int] | None = None  # ranks of those at this tick, if wanted
        self._ended = False

    # -- what the caller sees ---------------------------------------------------------------------

    @property
    def status(self) -> list[StepStatus]:
        """Each step's status."""
        return self._board.status

    @property
    def ranks(self) -> Sequence[int]:
        """Each step's rank, once it is ready: the lowest goes first."""
        return self._board.ranks

    @property
    def ended(self) -> bool:
        """Whether `EndRun` was given."""
        return self._ended

    @property
    def live(self) -> int:
        """Attempts that are claimed and have no verdict; those left behind do not count."""
        return len(self._live.by_step)

    def running(self) -> Iterator[tuple[int, int, float | None]]:
        """Give (step, number, when it began, if that is known) of each that is live."""
        for step, live in self._live.by_step.items():
            yield step, live.number, live.started_at

    def ended_as(self, step: int) -> StepStatus:
        """Give the status that the steps after an ended one see; safe to ask from any thread."""
        return self._board.ended_as(step)

    def used(self, step: int) -> int:
        """How many attempts of the step's budget are spent, earlier runs of the chain included."""
        return self._board.used[step]

    def next_wakeup(self, now: float) -> float | None:
        """When `tick` is due even if nothing happens; None if only an event can move things."""
        due, limit, grace = self._board.next_due, self._live.next_limit, self._stopping.grace_at
        probe = now + PROBE_S if self._live.queued > 0 else None
        if due is limit is grace is probe is None:
            return None
        return min(at for at in (due, limit, grace, probe) if at is not None)

    def overran(self, now: float) -> list[tuple[int, int]]:
        """(step, number) of attempts asked to stop that are still alive past the time for it.

        The caller answers each with an `AttemptOverran` event, drawing the delay of its retry.
        """
        return self._live.overran(now)

    def tick(self, now: float, events: Sequence[Event], *, ahead: int = 0) -> list[Action]:
        """Take what happened, give what to do.

        `ahead` is how many attempts may be claimed beyond those that a worker is free for. If that
        is one for each worker, or less, they are such that nothing can become ready that would have
        gone before them.
        """
        if self._ended:
            return []
        actions: list[Action] = []
        self._board.decide_fresh(now, actions)
        for event in events:
            if type(event) is AttemptFinished:  # most are, and a `match` takes its time
                self._finished(event, now, actions)
            else:
                self._handle(event, now, actions)
        if self._live.next_limit is not None:
            self._pass_limits(now, actions)
        self._stopping.pass_grace(now, actions)
        if self._board.next_due is not None:
            self._pass_due(now, actions)
        self._claim(now, ahead, actions)
        if not self._live.by_step and not self._board.open:
            self._ended = True
            actions.append(self._stopping.end_run(now))
        return actions

    # -- events -----------------------------------------------------------------------------------

    def _handle(self, event: Event, now: float, actions: list[Action]) -> None:
        match event:
            case AttemptStarted():
                if self._live.begin(event):
                    actions.append(RecordStart(event.step, event.number, event.at))
                    self._stopping.begun(event.step, now, actions)
            case AttemptWithdrawn():
                self._withdrawn(event, now, actions)
            case AttemptOverran():
                self._overran(event, now, actions)
            case StopRequested():
                self._stopping.request(event, now, actions)
            case EngineHalted():
                self._live.halt(event)
            case AttemptFinished():
                self._finished(event, now, actions)
            case _:
                assert_never(event)

    def _finished(self, event: AttemptFinished, now: float, actions: list[Action]) -> None:
        step, number, outcome, begun, ended, _, skip, _, _, writes, files, note, _, asked = event
        live = self._live.take(step, number)
        if live is None:
            if step not in self._live.left:
                self._board.let_go(step)
            return
        if outcome is _WELL:
            actions.append(new_end_attempt((step, number, outcome, begun, ended, "")))
            if asked is not None:
                actions.append(decisions.condition(step, number, asked))
            if skip is not None:
                if asked is None or asked.holds:
                    actions.append(decisions.skip(step, number, skip))
                self._board.end(step, _S.SKIPPED, skip, ended, actions)
            else:
                actions.append(new_end_step((step, _OK, ended, note, writes, files)))
                self._board.end_well(step, ended, actions)
            return
        if live.asked and not live.late:
            outcome = AttemptOutcome.INTERRUPTED
        elif live.late and outcome is AttemptOutcome.INTERRUPTED:
            outcome = AttemptOutcome.TIMED_OUT
        actions.append(EndAttempt(step, number, outcome, begun, ended, event.error))
        if asked is not None:
            actions.append(decisions.condition(step, number, asked))
        told = (event.error, notes.last_line(event.error), event.policy)
        failure = Failure(outcome, event.retryable, event.delay_s, *told)
        self._after_failure(step, now, failure, actions)

    def _overran(self, event: AttemptOverran, now: float, actions: list[Action]) -> None:
        step = event.step
        if not self._live.is_past(step, event.number, now):
            return  # it has ended, or the engine was halted in its time
        live = self._live.take(step, event.number)
        assert live is not None
        left = self._live.leave(step, event.number)
        outcome = AttemptOutcome.TIMED_OUT if live.late else AttemptOutcome.INTERRUPTED
        command = self.plan.gentle[step]
        told = notes.still_running(live.asked, command=command)
        actions.append(EndAttempt(step, event.number, outcome, live.started_at, now, told))
        actions.append(LeaveBehind(step, event.number))
        self._stopping.mind_left(left, now, actions)
        note = notes.still_running("timed out", command=command) if live.late else told
        failure = Failure(outcome, event.retryable, event.delay_s, note, note, event.policy)
        self._after_failure(step, now, failure, actions)

    def _after_failure(
        self, step: int, now: float, failure: Failure, actions: list[Action]
    ) -> None:
        outcome, retryable, delay_s, error, note, policy = failure
        if outcome is AttemptOutcome.INTERRUPTED:
            self._board.end(step, _S.INTERRUPTED, note, now, actions)
            return
        self._board.used[step] += 1
        budget = self._budget(step)
        number, used, of = budget
        decision = retry.decide(
            now=now, used=used, retries=of - 1, retryable=retryable, delay_s=delay_s
        )
        if isinstance(decision, retry.GiveUp):
            why = decisions.NO_ATTEMPTS_LEFT if retryable else policy
            actions.append(decisions.after_failure(step, budget, error, None, why))
            self._board.end(step, _S.FAILED, note, now, actions)
            return
        wait_s = decision.when - now
        actions.append(decisions.after_failure(step, budget, error, wait_s, policy))
        actions.append(BackOff(step, number, decision.when))
        if self._stopping.stops(step):
            self._board.end(step, _S.INTERRUPTED, notes.BEFORE_RETRY, now, actions)
        else:
            self._board.back_off(step, decision.when)

    def _budget(self, step: int) -> tuple[int, int, int]:
        """Give its last attempt's number, and how many failures there are, of how many at most."""
        return self._board.numbers[step], self._board.used[step], self.plan.retries[step] + 1

    def _withdrawn(self, event: AttemptWithdrawn, now: float, actions: list[Action]) -> None:
        if self._live.take(event.step, event.number) is None:
            return
        actions.append(EndAttempt(event.step, event.number, AttemptOutcome.CANCELLED, None, None))
        if event.number > 1:
            self._board.end(event.step, _S.INTERRUPTED, notes.BEFORE_RETRY, now, actions)
        else:
            self._board.end(event.step, _S.CANCELLED, notes.NOT_STARTED, now, actions)

    # -- time and claims --------------------------------------------------------------------------

    def _pass_limits(self, now: float, actions: list[Action]) -> None:
        for step, live in self._live.due(now):
            live.late = True
            self._stopping.ask(step, now, notes.timed_out(self.plan.timeout_s[step]), actions)

    def _pass_due(self, now: float, actions: list[Action]) -> None:
        while (step := self._board.pop_due(now)) is not None:
            policy = self.plan.on_overrun[step]
            if step not in self._live.left or policy is OnOverrun.ABANDON:
                self._board.make_ready(step)
            elif policy is OnOverrun.WAIT:
                self._board.hold(step)
                actions.append(decisions.hold(step, self._board.numbers[step]))
            else:
                note = notes.still_running("timed out", command=self.plan.gentle[step])
                why = decisions.STILL_RUNNING
                given_up = decisions.after_failure(step, self._budget(step), note, None, why)
                actions.append(given_up)
                self._board.end(step, _S.FAILED, note, now, actions)

    def _claim(self, now: float, ahead: int, actions: list[Action]) -> None:
        board, attempts, timeouts = self._board, self._live, self.plan.timeout_s
        live = attempts.by_step
        places = self.workers + (ahead if ahead > self.workers else 0)
        self._queued = None
        ready = board.ready
        while ready and (len(live) < places or self._may_queue(ahead)):
            started_at: float | None = None
            if attempts.queued:
                if ready[0] > self._queued_to:  # noqa: PLR1730 - `max` takes a tenth of all this
                    self._queued_to = ready[0]
                attempts.queued += 1
            elif len(live) < self.workers:
                started_at = now
            else:
                self._queued_to = ready[0]
                attempts.queued = 1
            step, number = board.claim()
            live[step] = Live(number, started_at)
            actions.append(new_claim((step, number, started_at, timeouts[step] is not None)))

    def _may_queue(self, ahead: int) -> bool:
        """Whether the most urgent ready step may be claimed although no place is left for it.

        It may if it is to go before a queued one: were it not claimed, a worker would take that.
        Else it may if it loses nobody's priority.
        """
        live, ranks, rank = self._live.by_step, self._board.ranks, self._board.ready[0]
        if self._live.queued and rank < self._queued_to:
            if self._queued is None:  # once a tick: what it claims goes before what it claims next
                self._queued = sorted(ranks[step] for step, one in live.items() if not one.known)
            after = len(self._queued) - bisect(self._queued, rank)
            if after:
                return len(live) - after < self.workers + max(ahead, FIRST_MAX)
        return len(live) < self.workers + ahead and self._board.stays_next(live)
