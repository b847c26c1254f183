"""Workflows of others as ours: their structure as YAML, and what their own documents say happens.

| theirs | ours | the difference |
|---|---|---|
| `needs` (GitHub), `all_success` (Airflow) | `all_success` | none |
| `if: always() && !failure() && !cancelled()` | `none_failed` | none |
| `none_failed`, `all_done` | the same | none |
| `none_failed_min_one_success` | `none_failed`, and a condition: one is ok | the note of a skip |
| `one_success` | `all_done`, and a condition: one is ok | ours waits for all; the note |
| `all_done_setup_success` | `all_done`, and a condition: its setup is ok | the note |

What an `if:` asks is not part of the data: a job that has one may be skipped by it, any other only
because of those it needs. A task of Airflow may skip itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

NONE_FAILED_HERE = {("apache/airflow:ci-amd.yml", "finalize-tests")}
_ANY_OK = ("one_success", "none_failed_min_one_success")
_RULES = {
    "success": "all_success",
    "all_success": "all_success",
    "not_failure": "none_failed",
    "none_failed": "none_failed",
    "none_failed_min_one_success": "none_failed",
    "all_done": "all_done",
    "one_success": "all_done",
    "all_done_setup_success": "all_done",
}


@dataclass(frozen=True)
class Task:
    """A task of theirs; `rule` is their word for what it asks of its upstreams."""

    name: str
    upstreams: tuple[str, ...]
    rule: str
    may_skip: bool
    timeout: str | None


Tasks = Mapping[str, Task]


@dataclass(frozen=True)
class Foreign:
    """A workflow of theirs, under a name that is legal here."""

    name: str
    tasks: Tasks

    def setups(self, task: Task) -> list[str]:
        """Give the upstreams that set up what a teardown takes down: the others come after."""
        ups = [self.tasks[up] for up in task.upstreams]
        return [up.name for up in ups if any(up.name in other.upstreams for other in ups)]

    def one_ok_of(self, task: Task) -> tuple[str, ...]:
        """Give the steps of which one must be ok, by the condition that stands for their rule."""
        if task.rule == "all_done_setup_success":
            return tuple(self.setups(task))
        return task.upstreams if task.rule in _ANY_OK else ()

    def as_yaml(self) -> str:
        """Give the same in YAML of ours; every step is a command that does nothing."""
        steps = [self._step(task) for task in self.tasks.values()]
        return yaml.safe_dump({"name": self.name, "steps": steps}, sort_keys=False)

    def _step(self, task: Task) -> dict[str, Any]:
        step: dict[str, Any] = {"name": task.name, "command": "true", "retries": 0}
        if task.upstreams:
            step["depends_on"] = list(task.upstreams)
        if _RULES[task.rule] != "all_success":
            step["trigger_rule"] = _RULES[task.rule]
        if task.timeout:
            step["timeout"] = task.timeout
        return step


def legal(name: str) -> str:
    """Give a name that a workflow or step may have here."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def github(folder: Path) -> list[Foreign]:
    """Read the workflows of GitHub Actions."""
    found = json.loads((folder / "github-actions-structures.json").read_bytes())["workflows"]
    return [
        _foreign(
            workflow["name"],
            [
                Task(
                    legal(job["name"]),
                    tuple(map(legal, job["deps"])),
                    "not_failure"
                    if (workflow["name"], job["name"]) in NONE_FAILED_HERE
                    else "success",
                    job["condition"],
                    f"{job['timeout_min']}m" if job.get("timeout_min") else None,
                )
                for job in workflow["tasks"]
            ],
        )
        for workflow in found
    ]


def airflow(folder: Path) -> list[Foreign]:
    """Read the DAGs of Airflow."""
    found = json.loads((folder / "airflow-example-dags.json").read_bytes())["dags"]
    return [
        _foreign(
            dag["name"],
            [
                Task(
                    legal(task["name"]),
                    tuple(map(legal, task["deps"])),
                    task["trigger_rule"],
                    may_skip=True,
                    timeout=f"{task['timeout_s']}s" if task["timeout_s"] else None,
                )
                for task in dag["tasks"]
            ],
        )
        for dag in found
    ]


def _foreign(name: str, tasks: list[Task]) -> Foreign:
    made = Foreign(legal(name), {task.name: task for task in tasks})
    assert len(made.tasks) == len(tasks), "two names have become one"
    return made


# -- what their documents say -------------------------------------------------------------------

SUCCESS, FAILED, SKIPPED, UPSTREAM_FAILED = "success", "failed", "skipped", "upstream_failed"
AS_OURS = {SUCCESS: "ok", FAILED: "failed", SKIPPED: "skipped", UPSTREAM_FAILED: "skipped"}


def expected(foreign: Foreign, fails: Collection[str], skips: Collection[str]) -> dict[str, str]:
    """Give each task's state in their words when some fail and some are told to skip.

    States are filled in, in whatever order they can be, until nothing changes any more.
    """
    states: dict[str, str] = {}
    while True:
        before = len(states)
        for task in foreign.tasks.values():
            if task.name not in states and all(up in states for up in task.upstreams):
                state = _asked(foreign, task, states)
                if state == SUCCESS and task.name in skips:
                    state = SKIPPED
                elif state == SUCCESS and task.name in fails:
                    state = FAILED
                states[task.name] = state
        if len(states) == before:
            assert before == len(foreign.tasks)
            return states


def _asked(foreign: Foreign, task: Task, states: Mapping[str, str]) -> str:
    """Say by the words of the documents whether a task runs (`success`), or what becomes of it."""
    ups = [states[up] for up in task.upstreams]
    some_failed = FAILED in ups or UPSTREAM_FAILED in ups
    match task.rule:
        case "success" | "all_success":  # all have succeeded
            return UPSTREAM_FAILED if some_failed else SKIPPED if SKIPPED in ups else SUCCESS
        case "not_failure" | "none_failed":  # none has failed; they may have been skipped
            return UPSTREAM_FAILED if some_failed else SUCCESS
        case "none_failed_min_one_success":  # none failed, and at least one has succeeded
            all_skipped = bool(ups) and set(ups) == {SKIPPED}
            return UPSTREAM_FAILED if some_failed else SKIPPED if all_skipped else SUCCESS
        case "all_done":  # all are done with their execution
            return SUCCESS
        case "one_success":  # at least one has succeeded
            if SUCCESS in ups:
                return SUCCESS
            return UPSTREAM_FAILED if some_failed else SKIPPED
        case "all_done_setup_success":  # all are done, and the setup has succeeded
            (setup,) = (states[name] for name in foreign.setups(task))
            return {SUCCESS: SUCCESS, SKIPPED: SKIPPED}.get(setup, UPSTREAM_FAILED)
        case _:
            raise AssertionError(f"what does {task.rule} mean?")
