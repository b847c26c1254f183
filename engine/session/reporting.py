"""A run's report from the store, with the paths and commands of this environment around it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.logs import tail
from engine.reports import Surroundings, build, write_json
from engine.session.again import command_again, resume_command

if TYPE_CHECKING:
    from engine.session.environment import Environment
    from store.history import History

logger = logging.getLogger("engine.run")


def build_report(
    history: History, run_id: int, environment: Environment, *, threads_left: int = 0
) -> dict[str, Any]:
    """Build the report of any run, ended or not."""
    run = history.run(run_id)
    workflow = str(run["workflow"])
    home = environment.paths.home
    folder = home / "logs" / workflow / str(run_id)

    def log_of(step: str, number: int) -> Path:
        return folder / f"{step}.{number}.log"

    logs = _names_in(folder)

    def log_path(step: str, number: int) -> str | None:
        return str(log_of(step, number)) if f"{step}.{number}.log" in logs else None

    log, written = home / "logs" / f"{workflow}.log", report_path(environment, run_id, workflow)
    around = Surroundings(
        resume_command=command_again(history, environment, run)
        if run["only_steps"]
        else resume_command(environment, run),
        log=str(log) if log.exists() else None,
        report=str(written) if written.exists() else None,
        previous_status=history.previous_status(workflow, run_id),
        threads_left=threads_left,
        log_path=log_path if logs else None,
    )
    expected = history.medians(workflow, before=run_id)
    with history.told(run_id) as steps:
        return build(
            run,
            steps,
            expected=expected,
            logs=lambda step, number: tail(log_of(step, number)),
            around=around,
        )


def _names_in(folder: Path) -> frozenset[str]:
    """What lies in a folder; nothing if it is not there or not ours to read."""
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 - names, of a folder with thousands
    except OSError:
        return frozenset()


def report_path(environment: Environment, run_id: int, workflow: str) -> Path:
    """Where the JSON report of a run lies."""
    return environment.paths.home / "reports" / f"run-{run_id}-{workflow}.json"


def write_report(report: dict[str, Any], environment: Environment) -> None:
    """Write the JSON report of a run that has ended; a full disk is said, and fails nothing."""
    path = report_path(environment, report["run_id"], report["workflow"])
    report["report"] = str(path)
    try:
        write_json(report, path)
    except OSError as error:
        logger.warning("the report could not be written: %s", error.strerror or error)
        report["report"] = None
