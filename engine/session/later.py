"""What a run imports once its first attempts are dispatched: its start pays for none of it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from engine.conditions import Condition
from engine.model import Shell
from engine.session import alerting, tracing

if TYPE_CHECKING:
    from engine.session.deciding.compiled import Compiled
    from engine.session.environment import Environment


def import_the_rest(env: Environment, compiled: Compiled) -> None:
    """Import what the run and its end may need: an upgrade under it then mixes no versions."""
    steps = compiled.definition.steps
    import_module("engine.session.pruning")
    import_module("engine.session.limits")
    if compiled.definition.deadline is not None:
        import_module("engine.schedule.deadline")
    import_module("engine.session.schedules.pausing")
    import_module("engine.session.sending")
    import_module("store.incidents")
    if env.pages:
        import_module("engine.session.pages")
    import_module("engine.workers.family")  # a function may be stopped at any time
    if compiled.has_processes:
        if any(step.isolate for step in steps):
            import_module("engine.workers.isolation.attempt")
        if any(isinstance(step.run, Shell) for step in steps):
            import_module("engine.workers.shell_step")
    if any(isinstance(step.when, Condition) for step in steps):
        import_module("engine.conditions.evaluation")
    alerting.preload(env)
    tracing.preload(env)
