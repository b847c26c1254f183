"""A run's report from the store, with the paths and commands of this environment around it."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.logs import log_name, tail
from engine.reports import Surroundings, build, json_text, write_whole
from engine.reports.terminal import interesting
from engine.session.again import command_again, resume_command

if TYPE_CHECKING:
    from engine.session.environment import Environment
    from store.history import History

logger = logging.getLogger("engine.run")


PAGED_FROM = 10_000  # steps: to read so many takes 50 ms


def build_report(
    history: History, run_id: int, environment: Environment, *, threads_left: int = 0
) -> dict[str, Any]:
    """Build the report of any run, ended or not."""
    run = history.run(run_id)
    logs = _Logs(environment, run)
    there = logs.there()

    def log_path(step: str, number: int) -> str | None:
        path = logs.path(step, number)
        return path if path in there else None

    around = _around(history, run, environment, threads_left)
    around = replace(around, log_path=log_path if there else None)
    expected = history.medians(str(run["workflow"]), before=run_id)
    with history.told(run_id) as steps:
        return build(run, steps, expected=expected, logs=logs.tail, around=around)


def build_page(
    history: History, run_id: int, environment: Environment, most: int, *, whole: int = PAGED_FROM
) -> dict[str, Any]:
    """Build the report of a run with at most so many of its steps, those most worth a look.

    `steps_in_all` then says how many there are; what steps usually take is not told of a run with
    more than `whole` steps.
    """
    total = history.count_steps(run_id)
    if total <= max(most, whole):
        report = build_report(history, run_id, environment)
    else:
        run = history.run(run_id)
        logs = _Logs(environment, run)

        def log_path(step: str, number: int) -> str | None:
            path = logs.path(step, number)
            return path if Path(path).exists() else None

        page = history.page(run_id, most)
        around = replace(_around(history, run, environment), log_path=log_path)
        report = build(run, page.steps, expected={}, logs=logs.tail, around=around)
        report["counts"] = page.counts
    report["steps"] = list(interesting(report["steps"], report["first_failure"], most))
    return report | {"steps_in_all": max(total, len(report["steps"]))}


def _around(
    history: History, run: dict[str, Any], environment: Environment, threads_left: int = 0
) -> Surroundings:
    workflow, run_id = str(run["workflow"]), run["run_id"]
    log = environment.paths.home / "logs" / f"{workflow}.log"
    written = report_path(environment, run_id, workflow)
    page = page_path(environment, run_id, workflow)
    return Surroundings(
        resume_command=command_again(history, environment, run)
        if run["only_steps"]
        else resume_command(environment, run, has_steps=history.count_steps(run_id) > 0),
        log=str(log) if log.exists() else None,
        report=str(written) if written.exists() else None,
        page=str(page) if page.exists() else None,
        previous_status=history.previous_status(workflow, run_id),
        threads_left=threads_left,
    )


class _Logs:
    """The attempt logs of a run, in a folder that may not be there or not be ours to read."""

    def __init__(self, environment: Environment, run: dict[str, Any]) -> None:
        self._folder = f"{environment.paths.home}/logs/{run['workflow']}/{run['run_id']}"

    def path(self, step: str, number: int) -> str:
        return f"{self._folder}/{log_name(step, number)}"

    def there(self) -> frozenset[str]:
        try:
            names = os.listdir(self._folder)  # noqa: PTH208 - as text, for there are thousands
        except OSError:
            return frozenset()
        return frozenset([f"{self._folder}/{name}" for name in names])

    def tail(self, step: str, number: int) -> list[str]:
        return tail(Path(self.path(step, number)))


def report_path(environment: Environment, run_id: int, workflow: str) -> Path:
    """Where the JSON report of a run lies."""
    return environment.paths.home / "reports" / f"run-{run_id}-{workflow}.json"


def page_path(environment: Environment, run_id: int, workflow: str) -> Path:
    """Where the page of a run lies."""
    return report_path(environment, run_id, workflow).with_suffix(".html")


def write_report(report: dict[str, Any], environment: Environment) -> None:
    """Write the JSON report of a run that has ended; a full disk is said, and fails nothing."""
    path = report_path(environment, report["run_id"], report["workflow"])
    report["report"] = str(path)
    try:
        write_whole(json_text(report), path)
    except OSError as error:
        logger.warning("the report could not be written: %s", error.strerror or error)
        report["report"] = None
