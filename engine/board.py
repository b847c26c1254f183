"""Where each step of a run stands: its status, its attempts, and what it waits for."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from engine import decisions, notes
from engine.events import Action, EndStep
from engine.frontier import Frontier
from engine.model import ENDED_STEP, Order, StepStatus, TriggerRule
from engine.plan import TRANSITIONS, InvariantViolation, Plan, StepState
from engine.trigger import Decision

_S = StepStatus

FEW = 16  # steps that are looked through again sooner than remembered
# Of what is asked for each step: to look a member up through its enum takes 0.15 µs.
_WAITING, _READY, _RUNNING, _OK = _S.WAITING, _S.READY, _S.RUNNING, _S.OK
_WAIT, _START = Decision.WAIT, Decision.READY
_UNSTARTED = (_S.READY, _S.BACKING_OFF)  # beside those that wait for an upstream


class Board:
    """The steps of one run, by position; a step's end is told to those downstream of it.

    `open` counts the steps that have not ended, `used` the attempts of each one's budget that are
    spent, earlier runs of the chain included; of ready steps the one of lowest `ranks` goes first.
    """

    def __init__(self, plan: Plan, states: Iterable[StepState]) -> None:
        """Restore from `states` as recorded; without them every step is waiting."""
        self._plan = plan
        graph = plan.graph
        count = len(graph.names)
        self.status: list[StepStatus] = [_S.WAITING] * count
        self.numbers = [0] * count
        self.used = [0] * count
        self.open = count
        self._graph = graph
        self._frontier = Frontier(graph, plan.rules)
        self._due: list[tuple[float, int]] = []  # backing off
        self.ready: list[int] = []  # their ranks, a heap
        self._held: set[int] = set()  # due, but an attempt left behind still runs
        self._fresh: list[int] = []  # restored, and not yet decided about
        self._ahead: set[int] = set()  # restored as ended, above which something has not
        self._counts_as: dict[int, StepStatus] = {}
        self._failed_above: set[int] = set()  # of those
        self._cleanup = False
        # Of the ready steps the lowest rank goes first. First in, first out, ranks are given as
        # steps become ready; else they are there from the start.
        self._is_fifo = plan.order is Order.FIFO
        self._by_rank = array("i", () if self._is_fifo else graph.ranked(plan.weights))
        self.ranks = array("i", [0]) * count
        for rank, step in enumerate(self._by_rank):
            self.ranks[step] = rank
        self._after: dict[int, int] = {}  # the lowest rank of the steps below one, if many
        self._restore(states)

    # -- what is ready, what is due ---------------------------------------------------------------

    @property
    def next_due(self) -> float | None:
        """When the next retry is due; None if none is waited for."""
        return self._due[0][0] if self._due else None

    def claim(self) -> tuple[int, int]:
        """Give the most urgent ready step, which runs from now on, and its attempt's number."""
        step = self._by_rank[heappop(self.ready)]
        if self.status[step] is not _READY:
            self.move(step, _RUNNING)
        self.status[step] = _RUNNING
        number = self.numbers[step] = self.numbers[step] + 1
        return step, number

    def stays_next(self, live: Iterable[int]) -> bool:
        """Whether the most urgent ready step will be that, whichever of the live ones end.

        What is after a step has a shorter path to go, and what is after that a shorter one still,
        so that only the steps right below need a look.
        """
        if self._is_fifo:
            return True
        if self._due or self._held:
            return False
        rank = self.ready[0]
        return all(self._first_after(step) > rank for step in live)

    def _first_after(self, step: int) -> int:
        first = self._after.get(step)
        if first is None:
            downs = self._graph.downstreams[step]
            first = min((self.ranks[down] for down in downs), default=len(self.ranks))
            if len(downs) > FEW:
                self._after[step] = first
        return first

    def make_ready(self, step: int) -> None:
        """Let a step start as soon as a worker is free."""
        self.move(step, _READY)
        if self._is_fifo:
            self.ranks[step] = len(self._by_rank)
            self._by_rank.append(step)
        heappush(self.ready, self.ranks[step])

    def back_off(self, step: int, until: float) -> None:
        """Let a step wait for its retry."""
        self.move(step, _S.BACKING_OFF)
        heappush(self._due, (until, step))

    def pop_due(self, now: float) -> int | None:
        """Give a step whose retry is due, or None."""
        if self._due and self._due[0][0] <= now:
            return heappop(self._due)[1]
        return None

    def hold(self, step: int) -> None:
        """Let a step whose retry is due wait on, until it is let go."""
        self._held.add(step)

    def let_go(self, step: int) -> None:
        """Let a step that is held have its retry."""
        if step in self._held:
            self._held.discard(step)
            self.make_ready(step)

    # -- a run that is stopped --------------------------------------------------------------------

    def clean_up(self, now: float, actions: list[Action]) -> None:
        """Let only steps of rule `all_done` start from now on; the others end as their turn comes.

        In their turn, so that what cleans up finds nothing above it still at work.
        """
        self._cleanup = True
        rules = self._plan.rules
        kept = {step for step, rule in enumerate(rules) if rule is TriggerRule.ALL_DONE}
        waiting = {step for step, status in enumerate(self.status) if status in _UNSTARTED}
        self.ready = [rank for rank in self.ready if self._by_rank[rank] in kept]
        self._due = [(at, step) for at, step in self._due if step in kept]
        heapify(self.ready)
        heapify(self._due)
        self._held &= kept
        ended = [step for step in self._graph.order if step in waiting - kept]
        for step in ended:
            self.end(step, *self._unstarted(step), now, actions)

    def end_unstarted(self, now: float, actions: list[Action]) -> None:
        """End every step that has no live attempt."""
        self.ready.clear()
        self._due.clear()
        self._held.clear()
        for step in self._graph.order:
            if self.status[step] in ENDED_STEP or self.status[step] is _S.RUNNING:
                continue
            status, note = self._unstarted(step)
            self.move(step, status)
            self.open -= 1
            actions.append(EndStep(step, status, now, note))

    def _unstarted(self, step: int) -> tuple[StepStatus, str]:
        """Tell how a step without a live attempt ends: begun before, it is `interrupted`."""
        if self.numbers[step] or self.status[step] is _S.BACKING_OFF:
            return _S.INTERRUPTED, notes.BEFORE_RETRY
        return _S.CANCELLED, notes.NOT_STARTED

    # -- ends -------------------------------------------------------------------------------------

    def end(
        self, step: int, status: StepStatus, note: str, at: float, actions: list[Action]
    ) -> None:
        """End a step that wrote nothing."""
        self.move(step, status)
        actions.append(EndStep(step, status, at, note))
        self.release(step, at, actions)

    def end_well(self, step: int, at: float, actions: list[Action]) -> None:
        """End a step whose attempt was ok, which `actions` say already."""
        if self.status[step] is not _RUNNING:
            self.move(step, _OK)
        self.status[step] = _OK
        if self._ahead or self._counts_as:
            self.release(step, at, actions)
            return
        self.open -= 1
        if due := self._frontier.count(step):
            self._spread(due, at, actions)

    def release(self, step: int, at: float, actions: list[Action]) -> None:
        """Tell downstream steps that `step` has ended."""
        self._spread(self._close(step), at, actions)

    def _spread(self, due: list[int], at: float, actions: list[Action]) -> None:
        """Decide about steps that nothing is waited for any more; skips spread, no recursion."""
        pending: list[int] = []
        while True:
            for down in due:
                if self.status[down] is _WAITING:
                    if self._decide(down, at, actions):
                        pending.append(down)
                elif down in self._ahead:
                    pending.append(down)
            if not pending:
                return
            due = self._close(pending.pop())

    def _close(self, step: int) -> list[int]:
        """Count an ended step off the open ones; give those that it was the last to wait for."""
        if self._ahead and step in self._ahead:
            self._ahead.discard(step)
        else:
            self.open -= 1
        return self._pass_on(step)

    def _pass_on(self, step: int) -> list[int]:
        """Count an ended step; give those downstream that it was the last to wait for."""
        if step in self._counts_as:
            is_failure = step in self._failed_above
            return self._frontier.end_as(step, self.ended_as(step), is_failure=is_failure)
        return self._frontier.end(step, self.status[step])

    def ended_as(self, step: int) -> StepStatus:
        """Give the status that the steps after an ended one see."""
        return self._counts_as.get(step, self.status[step])

    def decide_fresh(self, now: float, actions: list[Action]) -> None:
        """Decide, once, about the steps that were restored with nothing left to wait for."""
        fresh, self._fresh = self._fresh, []
        for step in fresh:
            if self.status[step] is _WAITING and self._decide(step, now, actions):
                self.release(step, now, actions)

    def _decide(self, step: int, at: float, actions: list[Action]) -> bool:
        """Apply the step's trigger rule; say whether that ended it."""
        decision, reason = self._frontier.decide(step)
        if decision is _WAIT:
            return False
        if self._cleanup and self._plan.rules[step] is not TriggerRule.ALL_DONE:
            self.move(step, _S.CANCELLED)
            actions.append(EndStep(step, _S.CANCELLED, at, notes.NOT_STARTED))
            return True
        if decision is _START:
            self.make_ready(step)
            return False
        self.move(step, _S.SKIPPED)
        actions.append(EndStep(step, _S.SKIPPED, at, reason))
        names, ups = self._graph.names, self._graph.upstreams[step]
        seen = ((names[up], self.ended_as(up)) for up in ups)
        failure = self._frontier.failure_above(step)
        actions.append(decisions.rule(step, self._plan.rules[step], seen, failure))
        return True

    # -- state ------------------------------------------------------------------------------------

    def move(self, step: int, to: StepStatus) -> None:
        """Change a step's status, as the table allows.

        What each step does, from ready to running to ok, is done without: by identity it is seen
        to be allowed, in a third of the time.
        """
        if to not in TRANSITIONS[self.status[step]]:
            raise InvariantViolation(
                f"step '{self._graph.names[step]}': {self.status[step]} -> {to}"
            )
        self.status[step] = to

    def _restore(self, states: Iterable[StepState]) -> None:
        restored = False
        for step, state in enumerate(states):
            restored = True
            self.used[step] = state.used
            if state.counts_as is not None:
                self._counts_as[step] = state.counts_as
            if state.failed_above:
                self._failed_above.add(step)
            if state.status in ENDED_STEP:
                self.status[step] = state.status
            elif state.next_attempt_at is not None:
                self.status[step] = _S.BACKING_OFF
                self._due.append((state.next_attempt_at, step))
        heapify(self._due)
        order = self._graph.order  # so that a skip finds its root failure counted
        for step in order if restored else ():
            if self.status[step] in ENDED_STEP:
                self.open -= 1
                if self._frontier.is_due(step):
                    self._pass_on(step)
                else:  # what is after it may read what is above it
                    self._ahead.add(step)
        due = self._frontier.due(order)
        self._fresh = [step for step in due if self.status[step] is _WAITING]
