"""What a run with step processes is given beside its workers: see `engine.workers.keeper`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.session.budgets import Budgets
from engine.session.deciding.decision import Decision
from engine.session.record import Going, slot_in
from engine.session.zones import slot_of
from engine.workers.isolation.orders import Order, Setup
from engine.workers.isolation.pickled import pickled
from engine.workers.keeper import Keeper
from engine.workers.warden_program import LockFiles
from store import locks, steps_lock


@contextmanager
def keeping(
    going: Going, decision: Decision, budgets: Budgets, lock: locks.RunLock, run_id: int
) -> Iterator[Keeper]:
    """Give the run a keeper, and end what that has started."""
    env = going.environment
    steps = steps_lock.of(lock)
    files = steps_lock.files_of(lock.path)
    assert files is not None
    keeper = Keeper(
        _setup(going, decision, budgets, run_id),
        engine=locks.this_process(lock.name).engine(run_id),
        locks=(steps.fd, LockFiles(*files)),
        environ=lambda: env.secrets.child_env(env.environ),
    )
    try:
        keeper.start()
        yield keeper
    finally:
        keeper.close()
        steps.close()


def _setup(going: Going, decision: Decision, budgets: Budgets, run_id: int) -> Setup:
    compiled = going.compiled
    definition = compiled.definition
    orders = {
        at: Order(
            step.name,
            budgets.key_runs[at],
            budgets.used[at],
            compiled.fingerprints[at].digest,
            compiled.fingerprints[at].parts,
            pickled(step) if definition.source is None else None,
        )
        for at, step in enumerate(definition.steps)
        if step.isolate
    }
    return Setup(
        workflow=definition.name,
        run_id=run_id,
        source=definition.source,
        paths=going.environment.paths,
        params=dict(decision.params),
        orders=orders,
        slot=slot_of(definition, slot_in(going.asked, decision)),
    )
