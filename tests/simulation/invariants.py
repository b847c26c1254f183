"""What must hold of every run and every chain of runs, whatever happens: one list, one place.

Each invariant is a function of what was seen (`RunSeen`, `ChainSeen`) that gives its violations as
sentences. None of them uses the core's own judgement: rules and reasons are worked out again here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from engine.events import (
    Action,
    AttemptFinished,
    AttemptOverran,
    BackOff,
    Claim,
    EndAttempt,
    EndRun,
    EndStep,
    Event,
    LeaveBehind,
    StopAttempt,
    StopRequested,
)
from engine.model import AttemptOutcome, RunStatus, StepStatus, TriggerRule
from engine.plan import Plan, StepState
from engine.stopping import GRACE_S
from tests.fakes import RunRow

COUNTED = (AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT)
FINAL = frozenset({"ok", "failed", "skipped", "cached", "cancelled", "interrupted"})
KEPT = (StepStatus.OK, StepStatus.CACHED)
OWN_SKIP = "no trade"  # what simulated steps say that skip themselves
STOPPED = (StepStatus.CANCELLED, StepStatus.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick of the core: what went in, what came out, and how it stood after it."""

    now: float
    events: tuple[Event, ...]
    ahead: int
    actions: tuple[Action, ...]
    live: int
    ready: bool


@dataclass(slots=True)
class RunSeen:
    """All that was seen of one run.

    `bodies` holds ("begin" | "end", time, step, number), ("commit", time, tick), ("publish",
    time, step) and ("left", time, step, number) in the order in which they happened.
    """

    plan: Plan
    workers: int
    states: Sequence[StepState]
    slack_s: float
    stored: RunRow
    begun_at: float
    ticks: list[Tick] = field(default_factory=list)
    happened: list[tuple[object, ...]] = field(default_factory=list)
    memory_differs: list[str] = field(default_factory=list)
    died: bool = False

    def actions(self) -> Iterator[tuple[float, Action]]:
        """Give each action with its tick's time, in order."""
        for tick in self.ticks:
            for action in tick.actions:
                yield tick.now, action

    def name(self, step: int) -> str:
        """Name a step."""
        return self.plan.graph.names[step]

    def stopped_at(self) -> float | None:
        """Give the time of the tick in which the run was asked to stop."""
        for tick in self.ticks:
            if any(type(event) is StopRequested for event in tick.events):
                return tick.now
        return None


@dataclass(slots=True)
class ChainSeen:
    """All runs of a chain, and how often each body began and each step was recorded `ok`."""

    plan: Plan
    runs: list[RunSeen] = field(default_factory=list)


Violations = Iterator[str]


# -- what a step waits for ------------------------------------------------------------------------


def _judge(seen: RunSeen) -> tuple[list[StepStatus | None], list[int | None]]:
    """Give each step's final status, and the root failure that it comes from, if any."""
    graph = seen.plan.graph
    final: list[StepStatus | None] = [None] * len(graph.names)
    for step, state in enumerate(seen.states):
        if state.status in FINAL:
            final[step] = state.status
    for _, action in seen.actions():
        if type(action) is EndStep:
            final[action.step] = action.status
    root: list[int | None] = [None] * len(graph.names)
    for step in graph.order:
        if final[step] is StepStatus.FAILED:
            root[step] = step
        elif final[step] is StepStatus.SKIPPED and seen.plan.rules[step] in (
            TriggerRule.ALL_SUCCESS,
            TriggerRule.NONE_FAILED,
        ):
            causes = [root[up] for up in graph.upstreams[step] if root[up] is not None]
            root[step] = causes[0] if causes else None
    return final, root


def _verdict(
    rule: TriggerRule, statuses: Sequence[StepStatus | None], roots: Sequence[int | None]
) -> str:
    """Work out "wait", "run", "failed", "skipped" or "none failed" from the upstreams."""
    if any(status not in FINAL for status in statuses):
        return "wait"
    failed = any(root is not None for root in roots)
    plain = all(status in KEPT for status in statuses)
    if rule is TriggerRule.ALL_DONE:
        return "run"
    if rule is TriggerRule.ONE_FAILED:
        return "run" if failed else "none failed"
    if failed:
        return "failed"
    return "run" if plain or rule is TriggerRule.NONE_FAILED else "skipped"


def no_step_starts_before_its_rule_allows(seen: RunSeen) -> Violations:
    """At a claim all upstreams have ended, and the step's trigger rule lets it run."""
    graph, (final, root) = seen.plan.graph, _judge(seen)
    ended = {s for s, state in enumerate(seen.states) if state.status in FINAL}
    for now, action in seen.actions():
        if type(action) is EndStep:
            ended.add(action.step)
        if type(action) is not Claim:
            continue
        ups = graph.upstreams[action.step]
        for up in ups:
            if up not in ended:
                yield f"{now}: '{seen.name(action.step)}' claimed before '{seen.name(up)}' ended"
        rule = seen.plan.rules[action.step]
        verdict = _verdict(rule, [final[up] for up in ups], [root[up] for up in ups])
        if verdict != "run":
            yield f"{now}: '{seen.name(action.step)}' claimed, but its rule says {verdict}"


def skips_give_the_true_reason(seen: RunSeen) -> Violations:
    """A skip by trigger rule is due, and names the root failure or the skipped upstream."""
    graph, (final, root) = seen.plan.graph, _judge(seen)
    tried = {action.step for _, action in seen.actions() if type(action) is Claim}
    for now, action in seen.actions():
        if type(action) is not EndStep or action.status is not StepStatus.SKIPPED:
            continue
        if action.step in tried:
            continue  # by its own doing
        ups = graph.upstreams[action.step]
        rule = seen.plan.rules[action.step]
        verdict = _verdict(rule, [final[up] for up in ups], [root[up] for up in ups])
        cause = next((root[up] for up in ups if root[up] is not None), None)
        skipped = next((up for up in ups if final[up] is StepStatus.SKIPPED), None)
        reason = {
            "failed": f"dependency failed: {seen.name(cause or 0)}",
            "skipped": f"dependency skipped: {seen.name(skipped or 0)}",
            "none failed": "no dependency failed",
        }.get(verdict)
        if action.note != reason:
            yield f"{now}: '{seen.name(action.step)}' skipped as {action.note!r}, not {reason!r}"


# -- how many, how often --------------------------------------------------------------------------


def claims_stay_within_workers_and_ahead(seen: RunSeen) -> Violations:
    """After a tick that claims at most workers + ahead attempts are live."""
    for tick in seen.ticks:
        claims = any(type(action) is Claim for action in tick.actions)
        if claims and tick.live > seen.workers + tick.ahead:
            yield f"{tick.now}: {tick.live} live, {seen.workers} workers, {tick.ahead} ahead"


def workers_bound_what_runs(seen: RunSeen) -> Violations:
    """Never more bodies than workers run at once, those left behind aside."""
    running: set[object] = set()
    for kind, at, *key in seen.happened:
        if kind == "begin":
            running.add(tuple(key))
            if len(running) > seen.workers:
                yield f"{at}: {len(running)} bodies run on {seen.workers} workers"
        elif kind in ("end", "left"):
            running.discard(tuple(key))


def no_worker_is_idle_while_a_step_is_ready(seen: RunSeen) -> Violations:
    """Work-conserving: after a tick no step is ready while fewer attempts live than workers."""
    for tick in seen.ticks:
        if tick.ready and tick.live < seen.workers:
            yield f"{tick.now}: a step is ready, {tick.live} of {seen.workers} workers are busy"


def attempts_count_from_one_without_gaps(seen: RunSeen) -> Violations:
    """A step's attempts in a run are numbered 1, 2, 3 …."""
    last: dict[int, int] = {}
    for now, action in seen.actions():
        if type(action) is Claim:
            if action.number != last.get(action.step, 0) + 1:
                yield f"{now}: '{seen.name(action.step)}' goes on with attempt {action.number}"
            last[action.step] = action.number


def budgets_are_kept(seen: RunSeen) -> Violations:
    """No attempt is claimed once those that count are more than the retries."""
    used = [state.used for state in seen.states]
    fresh = [True] * len(used)
    for now, action in seen.actions():
        if type(action) is EndAttempt and action.outcome in COUNTED:
            used[action.step] += 1
        elif type(action) is Claim:
            step = action.step
            if used[step] > seen.plan.retries[step] and not fresh[step]:
                yield f"{now}: '{seen.name(step)}' tried again after {used[step]} failures"
            fresh[step] = False


def a_step_fails_only_when_its_budget_is_spent(seen: RunSeen) -> Violations:
    """A step ends `failed` out of retries, not worth one, or with its body still running."""
    used = [state.used for state in seen.states]
    worth = [True] * len(used)
    left: dict[int, int] = {}
    for tick in seen.ticks:
        for event in _verdict_events(tick):
            worth[event.step] = event.retryable
            if isinstance(event, AttemptFinished) and left.get(event.step) == event.number:
                del left[event.step]
        for action in tick.actions:
            if type(action) is LeaveBehind:
                left[action.step] = action.number
            elif type(action) is EndAttempt:
                used[action.step] += action.outcome in COUNTED
            elif type(action) is EndStep and action.status is StepStatus.FAILED:
                step, running = action.step, action.note.startswith("timed out; its ")
                could = worth[step] and used[step] <= seen.plan.retries[step]
                if running != (step in left) or (could and not running):
                    yield f"{tick.now}: '{seen.name(step)}' failed, {used[step]} used, left {left}"


def _verdict_events(tick: Tick) -> Iterator[AttemptFinished | AttemptOverran]:
    for event in tick.events:
        if isinstance(event, AttemptFinished | AttemptOverran):
            yield event


# -- what is final --------------------------------------------------------------------------------


def final_is_final(seen: RunSeen) -> Violations:
    """Steps and attempts end once; nothing is done for an ended step, nothing after the run."""
    ended = {s for s, state in enumerate(seen.states) if state.status in FINAL}
    closed: set[tuple[int, int]] = set()
    over = False
    for now, action in seen.actions():
        if over:
            yield f"{now}: {action} after the run's end"
        match action:
            case EndRun():
                over = True
            case EndStep(step=step):
                if step in ended:
                    yield f"{now}: '{seen.name(step)}' ends a second time"
                ended.add(step)
            case Claim(step, number, _, _):
                if step in ended:
                    yield f"{now}: '{seen.name(step)}' is claimed after its end"
            case EndAttempt(step, number):
                if (step, number) in closed:
                    yield f"{now}: attempt {number} of '{seen.name(step)}' ends a second time"
                closed.add((step, number))
            case _:
                pass


def a_run_ends_when_all_its_steps_have(seen: RunSeen) -> Violations:
    """The run's end comes with the last step's end: not before it, not later."""
    count = len(seen.plan.graph.names)
    ended = {s for s, state in enumerate(seen.states) if state.status in FINAL}
    for tick in seen.ticks:
        over = False
        for action in tick.actions:
            over |= type(action) is EndRun
            if type(action) is EndStep:
                ended.add(action.step)
        if over != (len(ended) == count):
            yield f"{tick.now}: {len(ended)} of {count} steps have ended, run over: {over}"


def nothing_runs_after_the_end(seen: RunSeen) -> Violations:
    """In the store of an ended run no attempt is live and every step has its status."""
    if seen.stored.status is RunStatus.RUNNING:
        return
    for (step, number), row in seen.stored.attempts.items():
        if row.outcome is None:
            yield f"attempt {number} of '{seen.name(step)}' is live in an ended run"
    for step in range(seen.stored.count):
        if step not in seen.stored.steps:
            yield f"'{seen.name(step)}' has no status in an ended run"


def the_runs_status_follows_from_its_steps(seen: RunSeen) -> Violations:
    """`interrupted` if a stop kept a step from its end, else `failed` if one failed, else `ok`."""
    end = next((a for _, a in seen.actions() if type(a) is EndRun), None)
    if end is None:
        return
    final, _ = _judge(seen)
    if any(status in STOPPED for status in final):
        expected = RunStatus.INTERRUPTED
        if seen.stopped_at() is None:
            yield "steps are interrupted or cancelled, and nobody stopped the run"
    elif StepStatus.FAILED in final:
        expected = RunStatus.FAILED
    else:
        expected = RunStatus.OK
    if end.status is not expected:
        yield f"run is {end.status}, its steps say {expected}"


# -- stopping -------------------------------------------------------------------------------------


def no_claim_after_a_stop(seen: RunSeen) -> Violations:
    """From the tick that hears of a stop on, nothing new is claimed."""
    stopped = seen.stopped_at()
    for now, action in seen.actions():
        if stopped is not None and now >= stopped and type(action) is Claim:
            yield f"{now}: '{seen.name(action.step)}' claimed after the stop"


def a_stop_ends_the_run_in_time(seen: RunSeen) -> Violations:
    """A stopped run is over after the grace and the time its slowest step gets to stop."""
    stopped = seen.stopped_at()
    if stopped is None:
        return
    limit_s = GRACE_S + max(seen.plan.stop_s) + seen.slack_s
    for tick in seen.ticks:
        if tick.now > stopped + limit_s:
            yield f"{tick.now}: still on {tick.now - stopped:g}s after the stop"
            return


def cancelled_means_not_started(seen: RunSeen) -> Violations:
    """No body of a `cancelled` step, and of a `cancelled` attempt, ever began."""
    begun = {(step, n) for kind, _, step, n in _bodies(seen) if kind == "begin"}
    steps = {step for step, _ in begun}
    for now, action in seen.actions():
        match action:
            case EndStep(step, StepStatus.CANCELLED) if step in steps:
                yield f"{now}: '{seen.name(step)}' is cancelled, and had begun"
            case EndAttempt(step, number, AttemptOutcome.CANCELLED) if (step, number) in begun:
                yield f"{now}: attempt {(step, number)} is cancelled, and had begun"
            case _:
                pass


def _bodies(seen: RunSeen) -> Iterator[tuple[str, float, int, int]]:
    for entry in seen.happened:
        if entry[0] in ("begin", "end"):
            yield entry  # type: ignore[misc]


# -- time -----------------------------------------------------------------------------------------


def backoff_is_no_shorter_than_the_delay(seen: RunSeen) -> Violations:
    """A retry waits at least as long as was asked for, also over the end of a run."""
    until = {s: state.next_attempt_at for s, state in enumerate(seen.states)}
    for tick in seen.ticks:
        delays = {event[:2]: event.delay_s for event in _verdict_events(tick)}
        for action in tick.actions:
            if type(action) is BackOff:
                until[action.step] = action.until
                asked_s = delays[action.step, action.number]
                if action.until < tick.now + asked_s:
                    yield f"{tick.now}: '{seen.name(action.step)}' waits less than {asked_s:g}s"
            elif type(action) is Claim:
                due = until.get(action.step)
                if due is not None and tick.now < due:
                    yield f"{tick.now}: '{seen.name(action.step)}' claimed before {due:g}"


def timeouts_are_kept(seen: RunSeen) -> Violations:
    """An attempt is asked to stop at its limit, and has its verdict when the time for it is up."""
    begun: dict[tuple[int, int], float] = {}
    done: set[tuple[int, int]] = set()
    for kind, at, step, number in _bodies(seen):
        if kind == "begin":
            begun[step, number] = at
    asked: dict[tuple[int, int], float] = {}
    for now, action in seen.actions():
        if type(action) is EndAttempt:
            done.add(action[:2])
        if type(action) is StopAttempt and not action.withdraw:
            asked.setdefault(action[:2], now)
    ends = {a[:2]: now for now, a in seen.actions() if type(a) is EndAttempt}
    for key, at in begun.items():
        limit_s = seen.plan.timeout_s[key[0]]
        if limit_s is None or (key not in ends and seen.died):
            continue
        latest = at + limit_s + seen.plan.stop_s[key[0]] + seen.slack_s
        if ends.get(key, math.inf) > latest:
            yield f"attempt {key} began at {at}, limit {limit_s:g}s, verdict {ends.get(key)}"


def verdicts_are_true(seen: RunSeen) -> Violations:
    """`timed_out` is said of what ran past its limit only; a stop is no failure of the step."""
    begun = {(step, n): at for kind, at, step, n in _bodies(seen) if kind == "begin"}
    for now, action in seen.actions():
        if type(action) is not EndAttempt:
            continue
        key = (action.step, action.number)
        limit_s = seen.plan.timeout_s[action.step]
        if action.outcome is AttemptOutcome.TIMED_OUT and (
            limit_s is None or now - begun[key] < limit_s - 1e-9
        ):
            yield f"{now}: attempt {key} timed out after {now - begun[key]:g}s of {limit_s}"
        if action.outcome is AttemptOutcome.INTERRUPTED and seen.stopped_at() is None:
            yield f"{now}: attempt {key} is interrupted, and nobody stopped the run"


def the_makespan_is_at_least_the_critical_path(seen: RunSeen) -> Violations:
    """No body begins before the bodies of its upstreams have ended, so the run takes their sum."""
    begins: dict[int, float] = {}
    ends: dict[int, float] = {}
    final: dict[int, float] = {}
    for _, action in seen.actions():
        if type(action) is EndStep and action.status is StepStatus.OK:
            final[action.step] = action.at
    for kind, at, step, _ in _bodies(seen):
        (begins if kind == "begin" else ends)[step] = at
    longest = [0.0] * len(seen.plan.graph.names)
    for step in seen.plan.graph.order:
        own = ends[step] - begins[step] if step in final and step in ends else 0.0
        ups = seen.plan.graph.upstreams[step]
        longest[step] = own + max((longest[up] for up in ups), default=0.0)
        for up in ups:
            if step in begins and up in final and begins[step] < final[up]:
                yield f"'{seen.name(step)}' began at {begins[step]}, before {final[up]}"
    if seen.ticks and not seen.died:
        makespan = seen.ticks[-1].now - seen.begun_at
        if makespan < max(longest, default=0.0) - 1e-9:
            yield f"makespan {makespan:g} is less than the critical path {max(longest):g}"


# -- commit before effect -------------------------------------------------------------------------


def effects_follow_their_commit(seen: RunSeen) -> Violations:
    """A body begins after its claim's commit and after its upstreams' files were published."""
    claimed: set[object] = set()
    unpublished: set[object] = set()
    for kind, at, *what in seen.happened:
        if kind == "commit":
            actions: Sequence[Action] = what[0]  # type: ignore[assignment]
            claimed |= {action[:2] for action in actions if type(action) is Claim}
            unpublished |= {a.step for a in actions if type(a) is EndStep and a.files}
        elif kind == "publish":
            unpublished.discard(what[0])
        elif kind == "begin":
            if tuple(what) not in claimed:
                yield f"{at}: attempt {what} began before its claim was committed"
            step: int = what[0]  # type: ignore[assignment]
            if unpublished.intersection(seen.plan.graph.upstreams[step]):
                yield f"{at}: attempt {what} began before the files of {unpublished} stood"


def no_step_runs_twice_at_once(seen: RunSeen) -> Violations:
    """A step's next body begins after its last one has ended, one left behind included."""
    running: set[int] = set()
    for kind, at, step, number in _bodies(seen):
        if kind == "begin":
            if step in running:
                yield f"{at}: attempt {number} of '{seen.name(step)}' joins one that still runs"
            running.add(step)
        else:
            running.discard(step)


def what_is_left_behind_would_not_stop(seen: RunSeen) -> Violations:
    """Only an attempt that was asked to stop, and given the time for it, is left behind."""
    asked: dict[object, float] = {}
    for now, action in seen.actions():
        if type(action) is StopAttempt and not action.withdraw:
            asked.setdefault(action[:2], now)
        elif type(action) is LeaveBehind:
            since = now - asked.get(action[:2], math.inf)
            if since < seen.plan.stop_s[action.step] - 1e-9:
                yield f"{now}: attempt {action[:2]} left behind {since:g}s after it was asked"


def memory_is_what_the_store_says(seen: RunSeen) -> Violations:
    """After every commit the core's statuses are those that a restore would find."""
    yield from seen.memory_differs


# -- chains ---------------------------------------------------------------------------------------


def an_ok_step_is_not_run_again(chain: ChainSeen) -> Violations:
    """Within a chain a step that is `ok` runs again only if something above it has to."""
    graph = chain.plan.graph
    kept: set[int] = set()
    for number, seen in enumerate(chain.runs):
        again: set[int] = set()
        for step in graph.order:
            if step not in kept or any(up in again for up in graph.upstreams[step]):
                again.add(step)
        for kind, at, step, _ in _bodies(seen):
            if kind == "begin" and step not in again:
                yield f"run {number}, {at}: '{seen.name(step)}' is ok and runs again"
        kept = {
            step
            for step, (status, note) in seen.stored.steps.items()
            if status in KEPT or (status is StepStatus.SKIPPED and note == OWN_SKIP)
        }


def every_ok_step_has_had_its_effect(chain: ChainSeen) -> Violations:
    """A step that is `ok` or `cached` at the end has begun and ended a body in the chain."""
    effects = {step for seen in chain.runs for kind, _, step, _ in _bodies(seen) if kind == "end"}
    for step, (status, _) in chain.runs[-1].stored.steps.items():
        if status in KEPT and step not in effects:
            yield f"'{chain.runs[-1].name(step)}' is {status}, and its body never ended"


def budgets_hold_over_a_chain(chain: ChainSeen) -> Violations:
    """Failures count from run to run until the step has ended by its own doing."""
    used: dict[int, int] = {}
    for seen in chain.runs:
        for step, state in enumerate(seen.states):
            if state.status in FINAL:
                continue
            if state.used != used.get(step, 0):
                yield f"'{seen.name(step)}' starts with {state.used}, has used {used.get(step, 0)}"
        used = {step: state.used for step, state in enumerate(seen.states)}
        for (step, _), row in seen.stored.attempts.items():
            used[step] += row.outcome in COUNTED
        for step, (status, note) in seen.stored.steps.items():
            own_skip = status is StepStatus.SKIPPED and note == OWN_SKIP
            if own_skip or status in (*KEPT, StepStatus.FAILED):
                used[step] = 0


OF_A_RUN: tuple[Callable[[RunSeen], Violations], ...] = (
    no_step_starts_before_its_rule_allows,
    skips_give_the_true_reason,
    claims_stay_within_workers_and_ahead,
    workers_bound_what_runs,
    no_worker_is_idle_while_a_step_is_ready,
    attempts_count_from_one_without_gaps,
    budgets_are_kept,
    a_step_fails_only_when_its_budget_is_spent,
    final_is_final,
    a_run_ends_when_all_its_steps_have,
    nothing_runs_after_the_end,
    the_runs_status_follows_from_its_steps,
    no_claim_after_a_stop,
    a_stop_ends_the_run_in_time,
    cancelled_means_not_started,
    backoff_is_no_shorter_than_the_delay,
    timeouts_are_kept,
    verdicts_are_true,
    the_makespan_is_at_least_the_critical_path,
    effects_follow_their_commit,
    no_step_runs_twice_at_once,
    what_is_left_behind_would_not_stop,
    memory_is_what_the_store_says,
)

OF_A_CHAIN: tuple[Callable[[ChainSeen], Violations], ...] = (
    an_ok_step_is_not_run_again,
    every_ok_step_has_had_its_effect,
    budgets_hold_over_a_chain,
)


class Broken(AssertionError):
    """An invariant does not hold; `which` names it."""

    def __init__(self, which: str, what: str) -> None:
        super().__init__(f"{which}: {what}")
        self.which = which


def check_run(seen: RunSeen) -> None:
    """Raise `Broken` at the first violation in one run."""
    for invariant in OF_A_RUN:
        for what in invariant(seen):
            raise Broken(invariant.__name__, what)


def check_chain(chain: ChainSeen) -> None:
    """Raise `Broken` at the first violation in a chain."""
    for invariant in OF_A_CHAIN:
        for what in invariant(chain):
            raise Broken(invariant.__name__, what)
