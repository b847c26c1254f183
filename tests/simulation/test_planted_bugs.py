"""The simulator finds bugs: each of these, planted into the real core, breaks its invariant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from engine import frontier, retry, runner, stopping, trigger
from engine.board import Board
from engine.errors import StoreBusy, StoreError
from engine.events import Action, BackOff, EndRun
from engine.frontier import Frontier
from engine.lateness import Lateness
from engine.live import Live, LiveAttempts
from engine.model import OnOverrun, RunStatus, Step, StepStatus, TriggerRule
from engine.runner import Ports, Runner
from engine.scheduler import Scheduler
from engine.stopping import Stopping
from engine.trigger import Decision
from tests.simulation.invariants import OF_A_CHAIN, OF_A_RUN, Broken
from tests.simulation.simulator import simulate

SEEDS = 2_000
Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def _found(wanted: str) -> bool:
    """Tell whether some chain goes wrong in the way that is `wanted`."""
    for seed in range(SEEDS):
        try:
            simulate(seed)
        except Broken as broken:
            if broken.which == wanted:
                return True
        except (AssertionError, StoreError, KeyError):
            pass  # wrong in another way
    return False


def impatient(patch: Patch) -> None:
    """A step is decided about when its first upstream has ended, not its last."""
    end, decide = Frontier.end, trigger.decide

    def hasty(self: Frontier, step: int, status: StepStatus) -> list[int]:
        end(self, step, status)
        return list(self._graph.downstreams[step])

    def blind(rule: TriggerRule, *, unended: int, **known: bool) -> Decision:
        del unended
        return decide(rule, unended=0, **known)

    patch.setattr(Frontier, "end", hasty)
    patch.setattr(frontier, "decide", blind)


def lenient(patch: Patch) -> None:
    """`none_failed` runs its step although an upstream failed."""
    decide = trigger.decide

    def wrong(rule: TriggerRule, **known: Any) -> Decision:
        if rule is TriggerRule.NONE_FAILED:
            rule = TriggerRule.ALL_DONE
        return decide(rule, **known)

    patch.setattr(frontier, "decide", wrong)


def nearest_blamed(patch: Patch) -> None:
    """A skip names the skipped step above it in place of the failure at the root."""
    root_of = Frontier._root_of

    def wrong(self: Frontier, step: int, status: StepStatus) -> int:
        return step if root_of(self, step, status) >= 0 else -1

    patch.setattr(Frontier, "_root_of", wrong)


def one_retry_more(patch: Patch) -> None:
    """A step is tried once more than its retries allow."""
    decide = retry.decide

    def wrong(*, retries: int, **rest: Any) -> retry.RetryAt | retry.GiveUp:
        return decide(retries=retries + 1, **rest)

    patch.setattr(retry, "decide", wrong)


def one_retry_less(patch: Patch) -> None:
    """A step gives up with a retry left."""
    decide = retry.decide

    def wrong(*, retries: int, **rest: Any) -> retry.RetryAt | retry.GiveUp:
        return decide(retries=retries - 1, **rest)

    patch.setattr(retry, "decide", wrong)


def no_wait(patch: Patch) -> None:
    """A retry is made at once, whatever its delay."""
    decide = retry.decide

    def wrong(*, delay_s: float, **rest: Any) -> retry.RetryAt | retry.GiveUp:
        del delay_s
        return decide(delay_s=0.0, **rest)

    patch.setattr(retry, "decide", wrong)


def forgetful_restore(patch: Patch) -> None:
    """A continued run forgets when a retry is due."""
    restore = Board._restore

    def wrong(self: Board, states: Any) -> None:
        restore(self, states)
        self._due = [(0.0, step) for _, step in self._due]

    patch.setattr(Board, "_restore", wrong)


def budget_refilled(patch: Patch) -> None:
    """A continued run forgets what a step had used."""
    restore = Board._restore

    def wrong(self: Board, states: Any) -> None:
        restore(self, states)
        self.used = [0] * len(self.used)

    patch.setattr(Board, "_restore", wrong)


def crowded(patch: Patch) -> None:
    """One attempt more than workers is claimed."""
    claim = Scheduler._claim

    def wrong(self: Scheduler, now: float, ahead: int, actions: Any) -> None:
        claim(self, now, ahead + 1, actions)

    patch.setattr(Scheduler, "_claim", wrong)


def in_waves(patch: Patch) -> None:
    """Nothing is claimed until all that was claimed before has ended."""
    claim = Scheduler._claim

    def wrong(self: Scheduler, now: float, ahead: int, actions: Any) -> None:
        if not self.live:
            claim(self, now, ahead, actions)

    patch.setattr(Scheduler, "_claim", wrong)


def unforgiving(patch: Patch) -> None:
    """An attempt that was left behind counts as running although it has ended after all."""
    take = LiveAttempts.take

    def wrong(self: LiveAttempts, step: int, number: int) -> Live | None:
        left = {step: set(numbers) for step, numbers in self.left.items()}
        live = take(self, step, number)
        self.left = left
        return live

    patch.setattr(LiveAttempts, "take", wrong)


def doubled(patch: Patch) -> None:
    """A step is retried although its attempt left behind still runs."""
    pass_due = Scheduler._pass_due

    def wrong(self: Scheduler, now: float, actions: Any) -> None:
        self._live.left.clear()
        pass_due(self, now, actions)

    patch.setattr(Scheduler, "_pass_due", wrong)


def lax_limits(patch: Patch) -> None:
    """An attempt gets three times its limit."""
    init = LiveAttempts.__init__

    def wrong(self: LiveAttempts, timeout_s: Sequence[float | None], apart: Sequence[bool]) -> None:
        init(self, [limit_s and 3 * limit_s for limit_s in timeout_s], apart)

    patch.setattr(LiveAttempts, "__init__", wrong)


def halts_count(patch: Patch) -> None:
    """The time in which the engine was halted counts for limits."""
    patch.setattr(LiveAttempts, "halt", lambda _self, _halt: None)


def stopped_at_the_limit(patch: Patch) -> None:
    """An attempt that ends just at its limit counts as stopped by somebody."""
    due = LiveAttempts.due

    def wrong(self: LiveAttempts, now: float) -> Any:
        for step, live in due(self, now):
            yield step, live
            live.late = False

    patch.setattr(LiveAttempts, "due", wrong)


def unstoppable(patch: Patch) -> None:
    """A stop is heard, and what is ready goes on."""
    patch.setattr(Stopping, "request", lambda _self, _event, _now, _actions: None)


def endless_grace(patch: Patch) -> None:
    """The grace of a stopped run never ends."""
    patch.setattr(stopping, "STOP_GRACE_S", 600.0)


def liar(patch: Patch) -> None:
    """A queued attempt that was withdrawn counts as one that had begun, and the other way round."""
    end_unstarted = Board.end_unstarted

    def wrong(self: Board, now: float, actions: Any) -> None:
        numbers, self.numbers = self.numbers, [0] * len(self.numbers)
        end_unstarted(self, now, actions)
        self.numbers = numbers

    patch.setattr(Board, "end_unstarted", wrong)


def effect_before_commit(patch: Patch) -> None:
    """Attempts are handed out before their claims are recorded."""
    commit, carry_out = Runner._commit, Runner._carry_out

    def wrong(self: Runner, actions: Any) -> None:
        carry_out(self, actions)
        commit(self, actions)

    patch.setattr(Runner, "_commit", wrong)
    patch.setattr(Runner, "_carry_out", lambda _self, _actions: None)


def always_ok(patch: Patch) -> None:
    """Every run that ends is `ok`."""
    end_run = Stopping.end_run

    def wrong(self: Stopping, now: float) -> EndRun:
        return end_run(self, now)._replace(status=RunStatus.OK)

    patch.setattr(Stopping, "end_run", wrong)


def unfinished_business(patch: Patch) -> None:
    """A run ends while steps wait for their retry."""
    finished = Scheduler._finished

    def wrong(self: Scheduler, event: Any, now: float, actions: Any) -> None:
        finished(self, event, now, actions)
        if self.status[event.step] is StepStatus.BACKING_OFF and not self.live:
            self._ended = True
            actions.append(self._stopping.end_run(now))

    patch.setattr(Scheduler, "_finished", wrong)


def careless(patch: Patch) -> None:
    """A cancel ends the steps that clean up like any other."""
    patch.setattr(Board, "clean_up", Board.end_unstarted)


def unheeded(patch: Patch) -> None:
    """After a cancel a step of any rule starts once those above it have ended."""
    clean_up = Board.clean_up

    def wrong(self: Board, now: float, actions: Any) -> None:
        clean_up(self, now, actions)
        self._cleanup = False

    patch.setattr(Board, "clean_up", wrong)


def rash(patch: Patch) -> None:
    """A cancel ends steps that still wait, so that cleanup joins what runs above them."""
    clean_up = Board.clean_up

    def wrong(self: Board, now: float, actions: Any) -> None:
        clean_up(self, now, actions)
        for step, status in enumerate(self.status):
            if status is StepStatus.WAITING and self._plan.rules[step] is not TriggerRule.ALL_DONE:
                self.end(step, StepStatus.CANCELLED, "not started", now, actions)

    patch.setattr(Board, "clean_up", wrong)


def polite(patch: Patch) -> None:
    """A cancel gives threads the grace of a signal before they are asked."""
    ask_live = Stopping._ask_live

    def wrong(self: Stopping, now: float, actions: Any) -> None:
        self._hurried = False
        ask_live(self, now, actions)

    patch.setattr(Stopping, "_ask_live", wrong)


def deaf_to_signals(patch: Patch) -> None:
    """A signal does not end the cleanup of a cancelled run."""
    request = Stopping.request

    def wrong(self: Stopping, event: Any, now: float, actions: Any) -> None:
        if event.at_once or not self._cleanup:
            request(self, event, now, actions)

    patch.setattr(Stopping, "request", wrong)


def cancelled_is_interrupted(patch: Patch) -> None:
    """A cancelled run is recorded as one that a signal stopped."""
    end_run = Stopping.end_run

    def wrong(self: Stopping, now: float) -> EndRun:
        end = end_run(self, now)
        cancelled = end.status is RunStatus.CANCELLED
        return end._replace(status=RunStatus.INTERRUPTED) if cancelled else end

    patch.setattr(Stopping, "end_run", wrong)


def seldom_looks(patch: Patch) -> None:
    """The engine looks for a request to cancel every five seconds."""
    begin = Runner.__init__

    def wrong(self: Runner, scheduler: Scheduler, steps: Sequence[Step], ports: Ports) -> None:
        begin(self, scheduler, steps, replace(ports, look_s=5.0))

    patch.setattr(Runner, "__init__", wrong)


def impatient_retry(patch: Patch) -> None:
    """A retry that is to wait for its thread starts when it is due."""
    patch.setattr(Board, "hold", Board.make_ready)


def let_go_by_any(patch: Patch) -> None:
    """A retry that waits for its thread is let go when any other attempt ends."""
    finished = Scheduler._finished

    def wrong(self: Scheduler, event: Any, now: float, actions: Any) -> None:
        finished(self, event, now, actions)
        for step in sorted(self._board._held):
            self._board.let_go(step)

    patch.setattr(Scheduler, "_finished", wrong)


def faint_hearted(patch: Patch) -> None:
    """A retry that may start beside its thread fails its step in its place."""
    pass_due = Scheduler._pass_due

    def wrong(self: Scheduler, now: float, actions: Any) -> None:
        self.plan = replace(self.plan, on_overrun=[OnOverrun.FAIL] * len(self.plan.rules))
        pass_due(self, now, actions)

    patch.setattr(Scheduler, "_pass_due", wrong)


def unbounded(patch: Patch) -> None:
    """However many threads are left behind, the run goes on."""
    patch.setattr(stopping, "LEFT_MAX", 10_000)


def gives_up_busy(patch: Patch) -> None:
    """A tick that the store was too busy for is taken as committed."""

    def wrong(write: Callable[[], None]) -> None:
        with suppress(StoreBusy):
            write()

    patch.setattr(runner, "_patiently", wrong)


def commits_twice(patch: Patch) -> None:
    """The tail of a tick is committed again with the next one."""
    carry_out = Runner._carry_out

    def wrong(self: Runner, actions: Any) -> None:
        carry_out(self, actions)
        waits: list[Action] = [action for action in actions if type(action) is BackOff]
        if waits:
            self._commit(waits)

    patch.setattr(Runner, "_carry_out", wrong)


def repeats_itself(patch: Patch) -> None:
    """What was told as late is told again, for as long as it is."""
    due = Lateness.due

    def wrong(self: Lateness, now: float, live: Any) -> Any:
        self._told.clear()
        return due(self, now, live)

    patch.setattr(Lateness, "due", wrong)


PLANTED: dict[Plant, str] = {
    impatient: "no_step_starts_before_its_rule_allows",
    lenient: "no_step_starts_before_its_rule_allows",
    nearest_blamed: "skips_give_the_true_reason",
    one_retry_more: "budgets_are_kept",
    one_retry_less: "a_step_fails_only_when_its_budget_is_spent",
    no_wait: "backoff_is_no_shorter_than_the_delay",
    forgetful_restore: "backoff_is_no_shorter_than_the_delay",
    budget_refilled: "budgets_are_kept",
    crowded: "claims_stay_within_workers_and_ahead",
    in_waves: "no_worker_is_idle_while_a_step_is_ready",
    unforgiving: "a_step_fails_only_when_its_budget_is_spent",
    doubled: "no_step_runs_twice_at_once",
    lax_limits: "timeouts_are_kept",
    halts_count: "verdicts_are_true",
    stopped_at_the_limit: "verdicts_are_true",
    unstoppable: "no_claim_after_a_stop",
    endless_grace: "a_stop_ends_the_run_in_time",
    liar: "cancelled_means_not_started",
    effect_before_commit: "effects_follow_their_commit",
    always_ok: "the_runs_status_follows_from_its_steps",
    unfinished_business: "a_run_ends_when_all_its_steps_have",
    careless: "a_cancel_leaves_cleanup_its_turn",
    unheeded: "no_claim_after_a_stop",
    rash: "no_step_starts_before_its_rule_allows",
    polite: "a_cancel_ends_what_runs_in_time",
    deaf_to_signals: "no_claim_after_a_stop",
    cancelled_is_interrupted: "the_runs_status_follows_from_its_steps",
    seldom_looks: "a_cancel_is_heard_in_time",
    impatient_retry: "no_step_runs_twice_at_once",
    let_go_by_any: "no_step_runs_twice_at_once",
    faint_hearted: "a_step_fails_only_when_its_budget_is_spent",
    unbounded: "what_is_left_behind_is_bounded",
    gives_up_busy: "what_is_decided_is_committed_once",
    commits_twice: "what_is_decided_is_committed_once",
    repeats_itself: "what_is_late_is_told_once_while_it_runs",
}


@pytest.mark.parametrize(
    ("plant", "broken"), PLANTED.items(), ids=lambda what: getattr(what, "__name__", "")
)
def test_a_planted_bug_is_found(plant: Plant, broken: str, monkeypatch: Patch) -> None:
    """Among the chains that a planted bug spoils is one that tells its invariant."""
    plant(monkeypatch)
    assert _found(broken)


def test_every_invariant_is_one() -> None:
    """The expected invariants are on the list."""
    listed = {invariant.__name__ for invariant in (*OF_A_RUN, *OF_A_CHAIN)}
    assert set(PLANTED.values()) <= listed
