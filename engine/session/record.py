"""What the store is told of a run as it begins."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from engine import params as parameters
from engine.model import StepStatus
from engine.produced import Encoded
from engine.records import record
from engine.resume import MARKED, Choice, alike
from engine.session import own_limits, versions
from engine.session.deciding.asked import Asked
from engine.session.deciding.compiled import Compiled
from engine.session.deciding.decision import Decision
from engine.session.environment import Environment
from store.new_run import OWN_KEY, Marked, NewRun, Reused, TakenOver

GONE_MAX = 100  # names of steps


@record
class Going:
    """One invocation that really runs: the definition, what is asked of it, and where.

    `context` is the initial context, encoded.
    """

    compiled: Compiled
    asked: Asked
    context: Sequence[tuple[str, Encoded]]
    environment: Environment


def new_run(going: Going, decision: Decision, *, owner: str, note: str = "") -> NewRun:
    """Say what is recorded of a run as it begins."""
    compiled, asked, env, past = going.compiled, going.asked, going.environment, decision.past
    reused, taken_over = _over(decision, f"{MARKED} by {env.user}")
    return NewRun(
        workflow=compiled.definition.name,
        params=parameters.to_json(decision.params),
        started_at=env.now_us,
        started_by=asked.request.started_by,
        user=env.user,
        host=env.host,
        owner=owner,
        workers=asked.request.workers,
        context_sha256=past.context_sha256 if past else asked.context_sha256,
        resumed_from=past.run_id if past else None,
        root_run=past.root_run if past else None,
        note=note,
        only_steps=json.dumps(decision.only, ensure_ascii=False) if decision.only else "",
        steps=compiled.new_steps(),
        reused=reused,
        taken_over=taken_over,
        marked=_marked(going),
        context=[] if past else going.context,
        weights=decision.weights,
        reason=decision.reason,
        choices=_choices(decision),
        versions=versions.installed(),
        slot=slot_in(asked, decision),
        zone=compiled.definition.tz,
        limits=own_limits.to_text(compiled.definition),
    )


def slot_in(asked: Asked, decision: Decision) -> int | None:
    """Give the slot that a run is for: one that goes on from another has that one's."""
    return asked.request.slot if decision.past is None else decision.past.slot


def _choices(decision: Decision) -> str:
    """Count, as JSON, what becomes of the steps, and name those that are there no more."""
    told: dict[str, object] = dict(Counter(choice.what for choice in decision.choices))
    if decision.gone:
        told["gone"] = decision.gone[:GONE_MAX]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _marked(going: Going) -> list[Marked]:
    position, by = going.compiled.graph.names.index, going.environment.user
    return [Marked(position(step), by, mark.outputs) for step, mark in going.asked.marks.items()]


def _over(decision: Decision, marked: str) -> tuple[list[Reused], list[TakenOver]]:
    """Give what is taken over: of steps of equal choices at once, where these are only reused."""
    root = decision.past.root_run if decision.past else 0
    reused, rest = [], []
    for choice, positions in alike(decision.choices):
        if choice.status is StepStatus.CACHED and choice.source_run and choice.key_run in (0, root):
            reused.append(Reused(choice.source_run, choice.note, positions))
        else:
            rest += [_taken_over(position, choice, root, marked) for position in positions]
    return reused, sorted(rest)


def _taken_over(position: int, choice: Choice, root: int, marked: str) -> TakenOver:
    return TakenOver(
        position,
        choice.status,
        marked if choice.what == MARKED else choice.note,
        choice.source_run,
        choice.used,
        choice.retry_at,
        OWN_KEY if choice.own_key else _unless(choice.key_run, root),
        choice.lost,
        choice.why if choice.own_key else "",
    )


def _unless(key_run: int, root: int) -> int:
    return 0 if key_run == root else key_run
