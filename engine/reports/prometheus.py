"""How workflows stand in the text format that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from engine.model import RunStatus
from engine.records import record

if TYPE_CHECKING:
    from store.metrics import LastRun, StoreState, WorkflowState

CHANNELS = ("email", "slack")
_ENDS = (RunStatus.OK, RunStatus.FAILED, RunStatus.INTERRUPTED, RunStatus.CANCELLED)
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

# What is told, in this order. All are gauges: what is pruned lets counts fall.
HELP = {
    "kahnban_last_run_status": "1 for how the last run ended, 0 for the other ways.",
    "kahnban_last_run_start_timestamp_seconds": "When the last run that has ended began.",
    "kahnban_last_run_duration_seconds": "What the last run took, if its engine lived.",
    "kahnban_last_run_failed_steps": "Failed steps of the last run.",
    "kahnban_last_run_retries": "Retries of the last run.",
    "kahnban_last_success_timestamp_seconds": "When the last run that went well ended.",
    "kahnban_runs": "Runs that are kept, by how they ended.",
    "kahnban_runs_running": "Runs that are on.",
    "kahnban_open_incidents": "Incidents that are open.",
    "kahnban_schedule_paused": "1 while the schedule is paused, by whom.",
    "kahnban_step_status": "1, with how the step ended in the last run.",
    "kahnban_step_duration_seconds": "What the step took in the last run, its retries included.",
    "kahnban_steps_left_out": "Steps of the last run that are not told, as there are too many.",
    "kahnban_workflows_left_out": "Workflows that are not told, as there are too many.",
    "kahnban_undelivered_alerts": "Alerts that are to be sent.",
    "kahnban_store_bytes": "Size of the store, with its write-ahead log.",
}


@record
class _Sample:
    name: str
    labels: Mapping[str, str]
    value: float


def text_of(state: StoreState, mask: Callable[[str], str]) -> str:
    """Give the text, each metric with its HELP and TYPE; no series is told twice.

    Names are masked, so that two may come to be the same; the first counts.
    """
    lines: dict[str, dict[str, str]] = {name: {} for name in HELP}
    for sample in _samples(state):
        told = ",".join(
            f'{label}="{mask(value).translate(_ESCAPED)}"' for label, value in sample.labels.items()
        )
        series = f"{sample.name}{{{told}}}" if told else sample.name
        lines[sample.name].setdefault(series, f"{series} {_number(sample.value)}\n")
    return "".join(
        f"# HELP {name} {HELP[name]}\n# TYPE {name} gauge\n{''.join(told.values())}"
        for name, told in lines.items()
        if told
    )


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _samples(state: StoreState) -> Iterator[_Sample]:
    for workflow in state.workflows:
        yield from _workflow(workflow)
    yield _Sample("kahnban_workflows_left_out", {}, state.workflows_left_out)
    for channel in CHANNELS:
        count = state.alerts.get(channel, 0)
        yield _Sample("kahnban_undelivered_alerts", {"channel": channel}, count)
    yield _Sample("kahnban_store_bytes", {}, state.size_bytes)


def _workflow(state: WorkflowState) -> Iterator[_Sample]:
    of = {"workflow": state.name}
    if state.last is not None:
        yield from _last_run(of, state.last)
    if state.last_success_at is not None:
        at_s = state.last_success_at / 1e6
        yield _Sample("kahnban_last_success_timestamp_seconds", of, at_s)
    for status, count in state.runs.items():
        yield _Sample("kahnban_runs", {**of, "status": status}, count)
    yield _Sample("kahnban_runs_running", of, state.running)
    yield _Sample("kahnban_open_incidents", of, state.incidents)
    for whom in ("itself", "person"):
        yield _Sample("kahnban_schedule_paused", {**of, "by": whom}, state.paused == whom)


def _last_run(of: dict[str, str], run: LastRun) -> Iterator[_Sample]:
    for status in _ENDS:
        is_so = run.status == status
        yield _Sample("kahnban_last_run_status", {**of, "status": str(status)}, is_so)
    yield _Sample("kahnban_last_run_start_timestamp_seconds", of, run.started_at / 1e6)
    if run.finished_at is not None:
        took_s = (run.finished_at - run.started_at) / 1e6
        yield _Sample("kahnban_last_run_duration_seconds", of, took_s)
    yield _Sample("kahnban_last_run_failed_steps", of, run.failed)
    yield _Sample("kahnban_last_run_retries", of, run.retries)
    for step in run.steps:
        named = {**of, "step": step.step}
        yield _Sample("kahnban_step_status", {**named, "status": step.status}, 1)
        if step.started_at is not None and step.duration_s is not None:
            yield _Sample("kahnban_step_duration_seconds", named, step.duration_s)
    yield _Sample("kahnban_steps_left_out", of, run.left_out)
