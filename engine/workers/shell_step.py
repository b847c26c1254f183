"""From a shell step and its context to a command that is ready to run."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ContextKeyError
from engine.workers.command_env import AttemptFacts, build_env
from engine.workers.commands import CommandSpec, ShellCommand

if TYPE_CHECKING:
    from engine.context import StepContext
    from engine.model import Shell
    from engine.ports import AttemptLog, Job
    from engine.workers.procfs import Marker
    from engine.workers.toolbox import Toolbox


def prepare(
    shell: Shell,
    job: Job,
    context: StepContext,
    tools: Toolbox,
    said: tuple[AttemptLog, Marker | None],
) -> ShellCommand:
    """Give it the values and parameters it may see, in its environment, and its declared output."""
    log, marker = said
    step = tools.steps[job.step]
    values = {}
    for key in context:
        try:
            values[key] = context[key]
        except ContextKeyError as error:  # two unordered writers: only a step that uses it minds
            log.write(f"{error}\n", stream="WARNING")
    private = Path(tempfile.mkdtemp(prefix="kahnban-"))
    facts = AttemptFacts(
        run_id=context.run_id,
        workflow=context.workflow,
        step=step.name,
        number=context.attempt,
        idempotency_key=context.idempotency_key,
        command=shlex.join(tools.command),
        slot=context.slot.isoformat() if context.slot else "",
    )
    env, warnings = build_env(
        tools.environ(),
        context=values,
        params=context.params,
        spill_dir=private,
        attempt=facts,
    )
    if marker is not None:
        env |= marker.variables()
    for warning in warnings:
        log.write(f"{warning}\n", stream="WARNING")
    spec = CommandSpec(
        cwd=tools.scope.paths.root,
        env=env,
        log=log,
        target=step.output,
        outputs=context.outputs,
        private=private,
        grace_s=step.grace_s,
        marker=marker,
        pass_fds=tools.keeper.pass_fds if tools.keeper else (),
    )
    return ShellCommand(shell, spec=spec)
