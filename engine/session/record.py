"""What the store is told of a run as it begins."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from engine import params as parameters
from engine.model import Encoded
from engine.records import record
from engine.resume import MARKED
from engine.session import installed
from engine.session.asked import Asked
from engine.session.compiled import Compiled
from engine.session.decision import Decision
from engine.session.environment import Environment
from store.new_run import OWN_KEY, Marked, NewRun, NewSteps, TakenOver

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
    graph, prints = compiled.graph, compiled.fingerprints
    return NewRun(
        workflow=compiled.definition.name,
        params=parameters.to_json(decision.params),
        started_at=env.clock.stamp(env.clock.now()),
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
        steps=NewSteps(
            graph.names,
            [one.digest for one in prints],
            [one.parts for one in prints],
            graph.upstreams,
        ),
        taken_over=_taken_over(decision, f"{MARKED} by {env.user}"),
        marked=_marked(going),
        context=[] if past else going.context,
        weights=decision.weights,
        reason=decision.reason,
        choices=_choices(decision),
        versions=installed.versions(),
    )


def _choices(decision: Decision) -> str:
    """Count, as JSON, what becomes of the steps, and name those that are there no more."""
    told: dict[str, object] = dict(Counter(choice.what for choice in decision.choices))
    if decision.gone:
        told["gone"] = decision.gone[:GONE_MAX]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _marked(going: Going) -> list[Marked]:
    position, by = going.compiled.graph.names.index, going.environment.user
    return [Marked(position(step), by, mark.outputs) for step, mark in going.asked.marks.items()]


def _taken_over(decision: Decision, marked: str) -> list[TakenOver]:
    root = decision.past.root_run if decision.past else 0
    return [
        TakenOver(
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
        for position, choice in enumerate(decision.choices)
    ]


def _unless(key_run: int, root: int) -> int:
    return 0 if key_run == root else key_run
