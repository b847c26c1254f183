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
    EngineHalted,
    Event,
    LeaveBehind,
    RecordStart,
    StopAttempt,
    StopRequested,
    TellLate,
)
from engine.live import LEFT_MAX
from engine.model import AttemptOutcome, OnOverrun, RunStatus, StepStatus, TriggerRule
from engine.plan import Plan, StepState
from engine.runner import LOOK_S
from engine.scheduler import PROBE_S
from engine.stopping import STOP_GRACE_S
from tests.fakes import RunRow

COUNTED = (AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT)
FINAL = frozenset({"ok", "failed", "skipped", "cached", "cancelled", "interrupted"})
KEPT = (StepStatus.OK, StepStatus.CACHED)
OWN_SKIP = "no trade"  # what simulated steps say that skip themselves
WORDS = {
    "signal": RunStatus.INTERRUPTED,
    "cancel": RunStatus.CANCELLED,
    "bound": RunStatus.FAILED,
}
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
    cancel_at: float | None = None
    marked: frozenset[int] = frozenset()
    halts: list[EngineHalted] = field(default_factory=list)
    late_s: Sequence[float] = ()  # by step, after how long an attempt is late

    def actions(self) -> Iterator[tuple[float, Action]]:
        """Give each action with its tick's time, in order."""
        for tick in self.ticks:
            for action in tick.actions:
                yield tick.now, action

    def name(self, step: int) -> str:
        """Name a step."""
        return self.plan.graph.names[step]

    def stops(self) -> list[tuple[int, str]]:
        """Give (index of the tick, "signal" | "cancel" | "bound") of all that stopped the run."""
        found = []
        left: set[object] = set()
        for index, tick in enumerate(self.ticks):
            for event in tick.events:
                if type(event) is StopRequested:
                    found.append((index, "cancel" if event.cancel else "signal"))
                elif type(event) is AttemptFinished:
                    left.discard(event[:2])
                elif type(event) is AttemptOverran:
                    overran = {a[:2] for a in tick.actions if type(a) is LeaveBehind}
                    left |= overran & {event[:2]}
                    if len(left) > LEFT_MAX:
                        found.append((index, "bound"))
        return found

    def stopped_at(self, *kinds: str) -> int | None:
        """Give the index of the first tick that stopped the run in one of these ways."""
        return next((index for index, kind in self.stops() if not kinds or kind in kinds), None)

    def spares(self, step: int) -> bool:
        """Whether a cancel leaves a step alone."""
        return self.plan.rules[step] is TriggerRule.ALL_DONE


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
        state = seen.states[step] if seen.states else StepState()
        if StepStatus.FAILED in (final[step], state.counts_as) or state.failed_above:
            root[step] = step
        elif state.counts_as is not None:
            pass  # as it ended before, whatever is above it now
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
    """At a claim all above it has ended, at any distance, and the step's rule lets it run."""
    graph, (final, root) = seen.plan.graph, _judge(seen)
    above: list[set[int]] = [set() for _ in graph.names]
    for step in graph.order:
        above[step] = set(graph.upstreams[step]).union(*(above[u] for u in graph.upstreams[step]))
    ended = {s for s, state in enumerate(seen.states) if state.status in FINAL}
    for now, action in seen.actions():
        if type(action) is EndStep:
            ended.add(action.step)
        if type(action) is not Claim:
            continue
        ups = graph.upstreams[action.step]
        for up in sorted(above[action.step]):
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
    """At most workers + ahead attempts are live, but for those that go before a queued one."""
    ranks = {step: rank for rank, step in enumerate(seen.plan.graph.ranked())}
    queued: dict[int, bool] = {}  # of those that are live, as far as the core can know
    for tick in seen.ticks:
        most = seen.workers + tick.ahead
        for action in tick.actions:
            if type(action) is Claim:
                least = max((ranks[step] for step, is_so in queued.items() if is_so), default=-1)
                if len(queued) >= most and least < ranks[action.step]:
                    yield f"{tick.now}: {tick.live} live, {most} at most"
                queued[action.step] = action.started_at is None
            elif type(action) is RecordStart:
                queued[action.step] = False
            elif type(action) is EndAttempt:
                queued.pop(action.step, None)


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
    left: dict[int, set[int]] = {}
    for tick in seen.ticks:
        for event in _verdict_events(tick):
            if event.number in left.get(event.step, ()):
                left[event.step].discard(event.number)
            else:
                worth[event.step] = event.retryable
        for action in tick.actions:
            if type(action) is LeaveBehind:
                left.setdefault(action.step, set()).add(action.number)
            elif type(action) is EndAttempt:
                used[action.step] += action.outcome in COUNTED
            elif type(action) is EndStep and action.status is StepStatus.FAILED:
                step, running = action.step, action.note.startswith("timed out; its ")
                could = worth[step] and used[step] <= seen.plan.retries[step]
                policy, still = seen.plan.on_overrun[step], bool(left.get(step))
                beside = still and policy is OnOverrun.ABANDON  # of an attempt before this one
                if (could and not (running and policy is OnOverrun.FAIL)) or (
                    running != still and not (beside and not running)
                ):
                    yield f"{tick.now}: '{seen.name(step)}' failed, {used[step]} used, left {left}"


def _verdict_events(tick: Tick) -> Iterator[AttemptFinished | AttemptOverran]:
    """Give what a tick was told of attempts' ends; of two about the same one the first counts."""
    told: set[tuple[int, int]] = set()
    for event in tick.events:
        if isinstance(event, AttemptFinished | AttemptOverran) and event[:2] not in told:
            told.add(event[:2])
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
    """What stopped it if that kept a step from its end, else `failed` if one failed, else `ok`.

    The first to stop a run gives it its word, but a cancel overrules a signal.
    """
    end = next((a for _, a in seen.actions() if type(a) is EndRun), None)
    if end is None:
        return
    final, _ = _judge(seen)
    if any(status in STOPPED for status in final):
        kinds = [kind for _, kind in seen.stops()]
        if not kinds:
            yield "steps are interrupted or cancelled, and nobody stopped the run"
            return
        first = "cancel" if kinds[0] == "signal" and "cancel" in kinds else kinds[0]
        expected = WORDS[first]
    elif StepStatus.FAILED in final:
        expected = RunStatus.FAILED
    else:
        expected = RunStatus.OK
    if end.status is not expected:
        yield f"run is {end.status}, its steps say {expected}"


# -- stopping -------------------------------------------------------------------------------------


def no_claim_after_a_stop(seen: RunSeen) -> Violations:
    """From the tick that hears of it on nothing is claimed; after a cancel, but for `all_done`."""
    stopped, cancelled = seen.stopped_at("signal", "bound"), seen.stopped_at("cancel")
    for index, tick in enumerate(seen.ticks):
        for action in tick.actions:
            if type(action) is not Claim:
                continue
            if stopped is not None and index >= stopped:
                yield f"{tick.now}: '{seen.name(action.step)}' claimed after the stop"
            spared = seen.spares(action.step)
            if cancelled is not None and index >= cancelled and not spared:
                yield f"{tick.now}: '{seen.name(action.step)}' claimed after the cancel"


def a_stop_ends_the_run_in_time(seen: RunSeen) -> Violations:
    """A stopped run is over after the grace and the time its slowest step gets to stop."""
    index = seen.stopped_at("signal", "bound")
    if index is None:
        return
    stopped = seen.ticks[index].now
    limit_s = STOP_GRACE_S + max(seen.plan.stop_s) + seen.slack_s
    for tick in seen.ticks:
        if tick.now > stopped + limit_s:
            yield f"{tick.now}: still on {tick.now - stopped:g}s after the stop"
            return


def a_cancel_is_heard_in_time(seen: RunSeen) -> Violations:
    """The run looks for a request every half second, whatever else goes on."""
    if seen.cancel_at is None:
        return
    latest = seen.cancel_at + LOOK_S + seen.slack_s
    index = seen.stopped_at("cancel")
    for at, tick in enumerate(seen.ticks):
        if tick.now > latest and (index is None or at < index):
            yield f"{tick.now}: asked at {seen.cancel_at}, and not heard"
            return


def a_cancel_ends_what_runs_in_time(seen: RunSeen) -> Violations:
    """What runs and is no `all_done` has its verdict as soon as it had its time to stop."""
    index = seen.stopped_at("cancel")
    if index is None:
        return
    asked = seen.ticks[index].now
    live: set[tuple[int, int]] = set()
    for at, tick in enumerate(seen.ticks):
        for action in tick.actions:
            if type(action) is Claim and at < index:
                live.add(action[:2])
            elif type(action) is EndAttempt:
                live.discard(action[:2])
        for step, number in sorted(live) if at > index else ():
            late_s = tick.now - asked - PROBE_S - seen.plan.stop_s[step] - seen.slack_s
            if late_s > 0 and not seen.spares(step):
                yield f"{tick.now}: attempt {(step, number)} lives {late_s:g}s too long"


def a_cancel_leaves_cleanup_its_turn(seen: RunSeen) -> Violations:
    """Each `all_done` step ends by its own doing, unless a signal came too."""
    if seen.died or seen.stopped_at("cancel") is None:
        return
    if seen.stopped_at("signal", "bound") is not None:
        return
    final, _ = _judge(seen)
    for step, status in enumerate(final):
        if seen.spares(step) and status in STOPPED:
            yield f"'{seen.name(step)}' is {status} although it is to clean up"


def what_is_left_behind_is_bounded(seen: RunSeen) -> Violations:
    """Past the bound nothing starts, so no more are left than ran when it was passed."""
    most = LEFT_MAX + 2 * seen.workers
    left: set[object] = set()
    for tick in seen.ticks:
        left -= {event[:2] for event in tick.events if type(event) is AttemptFinished}
        left |= {action[:2] for action in tick.actions if type(action) is LeaveBehind}
        if len(left) > most:
            yield f"{tick.now}: {len(left)} attempts are left behind"
        if len(left) > LEFT_MAX and any(type(action) is Claim for action in tick.actions):
            yield f"{tick.now}: a claim beside {len(left)} attempts left behind"


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
    stopped = bool(seen.stops())
    for now, action in seen.actions():
        if type(action) is not EndAttempt:
            continue
        key = (action.step, action.number)
        limit_s = seen.plan.timeout_s[action.step]
        if action.outcome is AttemptOutcome.TIMED_OUT:
            ran_s = now - begun[key]
            if not seen.plan.gentle[action.step]:  # a process runs on while the engine is halted
                past = (h for h in seen.halts if h.ended <= now)
                ran_s -= sum(max(0, h.ended - max(h.begun, begun[key])) for h in past)
            if limit_s is None or ran_s < limit_s - 1e-9:
                yield f"{now}: attempt {key} timed out after {ran_s:g}s of {limit_s}"
        if action.outcome is AttemptOutcome.INTERRUPTED and not stopped:
            yield f"{now}: attempt {key} is interrupted, and nobody stopped the run"


def the_makespan_is_at_least_the_critical_path(seen: RunSeen) -> Violations:
    """No body begins before the bodies of its upstreams have ended, so the run takes their sum."""
    begins: dict[tuple[int, int], float] = {}
    ends: dict[tuple[int, int], float] = {}
    final: dict[int, float] = {}
    last: dict[int, int] = {}  # attempts: one left behind may outlive the one that counts
    for _, action in seen.actions():
        if type(action) is EndStep and action.status is StepStatus.OK:
            final[action.step] = action.at
        elif type(action) is EndAttempt:
            last[action.step] = action.number
    for kind, at, *key in _bodies(seen):
        (begins if kind == "begin" else ends)[key[0], key[1]] = at
    longest = [0.0] * len(seen.plan.graph.names)
    for step in seen.plan.graph.order:
        took = (step, last.get(step, 0))
        own = ends[took] - begins[took] if step in final and took in ends else 0.0
        ups = seen.plan.graph.upstreams[step]
        longest[step] = own + max((longest[up] for up in ups), default=0.0)
        began = begins.get((step, 1))
        for up in ups:
            if began is not None and up in final and began < final[up]:
                yield f"'{seen.name(step)}' began at {began}, before {final[up]}"
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


def what_is_decided_is_committed_once(seen: RunSeen) -> Violations:
    """The commits hold each tick's actions once, in order; a death cuts off the end alone."""
    decided = [action for _, action in seen.actions()]
    written = [a for kind, _, *what in seen.happened if kind == "commit" for a in what[0]]  # type: ignore[attr-defined]
    committed = [action for action in written if type(action) is not TellLate]
    if committed != decided[: len(committed)]:
        yield "what was committed is not what was decided"
    elif len(committed) < len(decided) and not seen.died:
        yield f"{len(decided) - len(committed)} actions were never committed"


def what_is_late_is_told_once_while_it_runs(seen: RunSeen) -> Violations:
    """Of an attempt that has begun, is past its limit, and has no verdict yet."""
    begun: dict[object, float] = {}
    ended: set[object] = set()
    told: set[object] = set()
    for kind, at, *what in seen.happened:
        if kind == "begin":
            begun[tuple(what)] = at  # type: ignore[assignment]
        if kind != "commit":
            continue
        actions: Sequence[Action] = what[0]  # type: ignore[assignment]
        ended |= {action[:2] for action in actions if type(action) is EndAttempt}
        for action in actions:
            if type(action) is not TellLate or action.step is None:
                continue
            attempt = action[:2]
            if attempt in told or attempt in ended:
                yield f"{at}: attempt {attempt} is told of again, or has ended"
            told.add(attempt)
            due = begun.get(attempt, math.inf) + seen.late_s[action.step] - seen.slack_s
            if action.at < due:
                yield f"{at}: attempt {attempt} is told of before {due}"


def no_step_runs_twice_at_once(seen: RunSeen) -> Violations:
    """A step's next body begins after its last one has ended, unless its policy is `abandon`."""
    running: set[int] = set()
    for kind, at, step, number in _bodies(seen):
        if kind == "begin":
            if step in running and seen.plan.on_overrun[step] is not OnOverrun.ABANDON:
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
    marked: set[int] = set()  # that a person's word is all there is for
    for number, seen in enumerate(chain.runs):
        again: set[int] = set()
        anew: set[int] = set()  # on which nothing that was done before can build
        for step in graph.order:
            above = any(up in anew for up in graph.upstreams[step])
            if step not in seen.marked and (step not in kept or (above and step not in marked)):
                again.add(step)
            if step in again or step in seen.marked or above:
                anew.add(step)
        marked = (marked | seen.marked) - again
        for kind, at, step, _ in _bodies(seen):
            if kind == "begin" and step in seen.marked:
                yield f"run {number}, {at}: '{seen.name(step)}' is marked as done and runs"
            elif kind == "begin" and step not in again:
                yield f"run {number}, {at}: '{seen.name(step)}' is ok and runs again"
        kept = {
            step
            for step, (status, note) in seen.stored.steps.items()
            if status in KEPT or (status is StepStatus.SKIPPED and note == OWN_SKIP)
        }


def every_ok_step_has_had_its_effect(chain: ChainSeen) -> Violations:
    """A step `ok` or `cached` at the end has ended a body in the chain, or was marked as done."""
    effects = {step for seen in chain.runs for kind, _, step, _ in _bodies(seen) if kind == "end"}
    effects |= {step for seen in chain.runs for step in seen.marked}
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
    what_is_left_behind_is_bounded,
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
    what_is_decided_is_committed_once,
    what_is_late_is_told_once_while_it_runs,
    a_cancel_is_heard_in_time,
    a_cancel_ends_what_runs_in_time,
    a_cancel_leaves_cleanup_its_turn,
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
