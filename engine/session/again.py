"""The complete command that goes on from a recorded run, or does it again."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from engine import params as parameters
from engine.errors import StoreError
from engine.text import shell_line

if TYPE_CHECKING:
    from engine.session.environment import Environment
    from store.history import History


def resume_command(environment: Environment, run: dict[str, Any], *, has_steps: bool = True) -> str:
    """Give the complete command that goes on from a run, as the user it must be run as.

    Who reads of a timer's run is seldom logged in as its user. One that began no step, as its
    workflow could not be loaded, is nothing to go on from: it is run anew.
    """
    words = ["run", run["workflow"]]
    if has_steps:
        words += ["--resume", str(run["run_id"])]
    if run["backfill"] == run["id"]:
        from engine.session.backfill import recorded

        words = recorded.words(run)
    words = [*environment.command, *words]
    if run["started_by"] == "timer":
        words = ["sudo", "-u", run["user"], *words]
    return shell_line(words)


def command_again(history: History, environment: Environment, run: dict[str, Any]) -> str:
    """Give the complete command that runs the chosen steps of a run again."""
    from engine.session.deciding.named_steps import as_text
    from store.values import decode

    only = ",".join(json.loads(run["only_steps"]))
    words = [*environment.command, "run", run["workflow"], "--only", only]
    for name, text in parameters.recorded_texts(run["params"]).items():
        words += ["--set", f"{name}={text}"]
    keys = history.keys(run["run_id"])
    for row in history.steps(run["run_id"]):
        if row["marked_by"] is None:
            continue
        words += ["--mark-done", row["step"]]
        for key in keys.get(row["step"], []):
            with suppress(StoreError):  # damaged: then it has to be given anew
                value = decode(history.load(run["run_id"], row["step"], key))
                words += ["--output", f"{key}={as_text(value)}"]
    return shell_line(words)
