"""Anew, on from an earlier run, or not at all: the decision about one invocation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine import params as parameters
from engine import resume
from engine.errors import StoreError, UsageError
from engine.fingerprint import difference
from engine.naming import BACKFILL_SUFFIX
from engine.outputs import matches
from engine.session.deciding.decision import Decision
from engine.session.zones import clock_time, slot_of
from engine.text import human_duration

if TYPE_CHECKING:
    from engine.session.deciding.asked import Asked
    from engine.session.deciding.compiled import Compiled
    from store.history import History
    from store.past import PastRun
    from store.readback import ValueFaults


def decide(compiled: Compiled, asked: Asked, history: History | None) -> Decision:
    """Decide by hand or by timer. Raises `UsageError` for what cannot be done as asked."""
    if not asked.request.only and not asked.marks:
        return _decide(compiled, asked, history)
    from engine.session.deciding import choosing

    if asked.request.only:
        return choosing.only(compiled, asked, history)
    decision = _decide(compiled, asked, history)
    if decision.nothing or decision.past is not None:
        return decision
    return replace(decision, choices=choosing.anew(compiled, asked))


def _decide(compiled: Compiled, asked: Asked, history: History | None) -> Decision:
    request = asked.request
    if request.resume is not None:
        if history is None:
            raise UsageError("there is no run to resume in this store", hint="run it anew")
        return _resume(compiled, asked, history)
    if history is None:
        if request.from_step is not None:
            raise UsageError(
                "--from redoes a step of an earlier run, and there is none", hint="run it anew"
            )
        return Decision("first run", asked.params)
    name = compiled.definition.name
    if request.once:
        done = history.succeeded(name, asked.params_text, asked.context_sha256)
        if done is not None:
            return Decision(f"run {done} with these parameters is ok", asked.params, nothing=True)
    if request.started_by == "timer":
        left = history.unfinished(name)
        return Decision(
            _due(compiled, request.slot),
            asked.params,
            unfinished=None if left is None else left["run_id"],
        )
    past = history.newest(name, params=asked.params_text, context_sha256=asked.context_sha256)
    if request.from_step is not None:
        return _from_step(compiled, asked, past, history)
    if request.fresh:
        return Decision("asked for with --fresh", asked.params)
    return _by_hand(compiled, asked, past, history)


def _due(compiled: Compiled, slot: int | None) -> str:
    at = slot_of(compiled.definition, slot)
    return "scheduled" if at is None else f"scheduled for {clock_time(at)}"


def _by_hand(compiled: Compiled, asked: Asked, past: PastRun | None, history: History) -> Decision:
    if past is None:
        return Decision("first run with these parameters", asked.params)
    if past.status not in ("failed", "interrupted"):
        return Decision(f"run {past.run_id} with these parameters is {past.status}", asked.params)
    age_s = (asked.now_us - past.root_started_at) / 1e6
    within_s = compiled.definition.resume_within_s
    if age_s >= within_s:
        age, within = human_duration(age_s), human_duration(within_s)
        reason = f"run {past.root_run}, where its chain began, is {age} old, over {within}"
        return Decision(reason, asked.params)
    reason = f"run {past.run_id} {_ended(past.status)}"
    return _continue(compiled, asked, asked.params, past, reason, history)


def _ended(status: str) -> str:
    return "failed" if status == "failed" else f"was {status}"


def _from_step(
    compiled: Compiled, asked: Asked, past: PastRun | None, history: History
) -> Decision:
    step = asked.request.from_step
    assert step is not None
    if step not in compiled.graph.names:
        from engine.session.deciding.named_steps import unknown_step

        raise unknown_step("--from", compiled.definition.name, step, compiled.graph.names)
    if past is None:
        raise UsageError(
            "--from redoes a step of an earlier run, and there is none with these parameters",
            hint="run it without --from",
        )
    reason = f"step '{step}' and all after it are redone on run {past.run_id}"
    return _continue(compiled, asked, asked.params, past, reason, history)


def _resume(compiled: Compiled, asked: Asked, history: History) -> Decision:
    name = compiled.definition.name
    assert asked.request.resume is not None
    past = history.newest_of_chain(history.find(asked.request.resume))
    if past.workflow == name + BACKFILL_SUFFIX:
        raise UsageError(
            f"run {past.run_id} is a backfill of '{name}'; it is gone on with by `backfill`",
            hint=f"give it again as `show {past.run_id}` tells: `backfill {name} --param …`",
        )
    if past.workflow != name:
        raise UsageError(
            f"run {past.run_id} is one of workflow '{past.workflow}', not of '{name}'",
            hint=f"`run {past.workflow} --resume {past.run_id}`",
        )
    if past.only_steps:
        raise UsageError(
            f"run {past.run_id} was one of chosen steps (--only), which nothing goes on from",
            hint=f"`run {name} --only {','.join(json.loads(past.only_steps))}`, with the parameters"
            f" and marks of `show {past.run_id}`, runs them again",
        )
    fits = bool(past.read_done(compiled.new_steps()))  # the graph is the same
    if not fits and not past.steps:
        raise UsageError(
            f"run {past.run_id} began no step; there is nothing to go on from",
            hint=f"start anew: `run {name}`",
        )
    recorded = parameters.from_json(compiled.definition.params, past.params)
    if past.status == "ok":
        return Decision(f"run {past.run_id} is ok", recorded, past=past, nothing=True)
    if past.status == "running":
        raise UsageError(f"run {past.run_id} is still on", hint=f"see `show {past.run_id}`")
    if not fits:
        _check_fits(compiled, past)
    reason = f"asked for: run {past.run_id}, {past.status}"
    return _continue(compiled, asked, recorded, past, reason, history)


def _check_fits(compiled: Compiled, past: PastRun) -> None:
    """Refuse a graph other than the run's: what its steps meant may no longer hold."""
    old = {step.name: set(step.depends_on) for step in past.steps}
    names, upstreams = compiled.graph.names, compiled.graph.upstreams
    new = {name: {names[up] for up in ups} for name, ups in zip(names, upstreams, strict=True)}
    changed = [f"step '{name}' is gone" for name in old if name not in new]
    changed += [f"step '{name}' is new" for name in new if name not in old]
    changed += [
        f"step '{name}' depends on other steps than it did"
        for name in old
        if name in new and old[name] != new[name]
    ]
    if changed:
        raise UsageError(
            f"run {past.run_id} cannot be resumed: the graph has changed: {'; '.join(changed[:5])}",
            hint=f"a plain `run {compiled.definition.name}` takes over what still fits",
        )


def _check_context(past: PastRun, faults: ValueFaults) -> None:
    """Refuse a chain whose initial context is not what it was: no step can make that again."""
    fault = faults.of_step(past.root_run, "") if past.context_sha256 else ""
    if fault:
        raise StoreError(
            f"run {past.run_id} cannot be continued: of its initial context, {fault}",
            hint="start anew: --fresh as a command, fresh=True in a program",
        )


def _file_matches(history: History) -> Callable[[str, str], bool]:
    """Judge a file as it will be: what a crash kept from its place, a run's start puts there."""
    waiting = history.unpublished()

    def as_it_will_be(target: str, sha256: str) -> bool:
        temporary = waiting.get(target)
        if temporary is not None and matches(temporary, sha256):
            return True
        return matches(target, sha256)

    return as_it_will_be


def _continue(
    compiled: Compiled,
    asked: Asked,
    recorded: Mapping[str, Any],
    past: PastRun,
    reason: str,
    history: History,
) -> Decision:
    faults = history.value_faults()
    _check_context(past, faults)
    rules = resume.Rules(
        run_id=past.run_id,
        file_matches=_file_matches(history),
        values_fault=faults.of_step,
        difference=difference,
        forced=asked.request.from_step,
        marked=asked.marked,
    )
    kept = _kept(compiled, past, rules, faults)
    if not kept:
        old = {step.name: step for step in past.steps}
        choices = resume.choose(compiled.fresh_steps(), compiled.graph.order, old, rules)
        names = set(compiled.graph.names)
        gone = tuple(name for name in old if name not in names)
        return Decision(reason, recorded, past=past, choices=choices, gone=gone)
    left = tuple([position for position, choice in enumerate(kept) if choice is None])
    old = {step.name: step for step in past.read_steps(left)}
    steps = {position: compiled.fresh(position) for position in left}
    choices = resume.choose(steps, compiled.graph.order, old, rules, kept)
    return Decision(reason, recorded, past=past, choices=choices)


def _kept(
    compiled: Compiled, past: PastRun, rules: resume.Rules, faults: ValueFaults
) -> resume.Kept:
    """Tell at once what becomes of most steps; of none where these are not most."""
    done, graph = past.read_done(compiled.new_steps()), compiled.graph
    other = set(rules.marked) if rules.forced is None else {rules.forced, *rules.marked}
    for run in set(done) - {0}:
        whole_run, damaged = faults.of_run(run)
        other |= set(graph.names) if whole_run else damaged.keys()
    if done and other:
        done = [0 if name in other else run for name, run in zip(graph.names, done, strict=True)]
    kept = resume.keep(done, graph.downstreams, past.root_run)
    return kept if kept.count(None) * 2 < len(kept) else []
