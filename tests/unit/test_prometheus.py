"""The text for Prometheus: read back by its own parser, and safe whatever names hold."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from engine.reports import prometheus
from engine.reports.prometheus import text_of
from store.metrics import LastRun, StoreState, WorkflowState
from store.step_runs import StepRun

AT_US = 1_700_000_000_500_000


def state_of(name: str, *steps: StepRun, finished_at: int | None = AT_US + 2_500_000) -> StoreState:
    """Make a store of one workflow, whose last run failed."""
    last = LastRun(7, "failed", AT_US, finished_at, 1, 2, len(steps) + 3, steps, left_out=3)
    flow = WorkflowState(
        name, last, AT_US, {"ok": 4, "failed": 1}, running=1, incidents=2, paused="itself"
    )
    return StoreState([flow], {"slack": 5}, 4096)


def series(text: str) -> dict[tuple[str, ...], float]:
    """Read the text; gives values by name and labels. Each metric must come once."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert {family.type for family in families} == {"gauge"}
    assert all(family.documentation for family in families)
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, *sample.labels.values()): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def test_all_is_told() -> None:
    """Of a workflow, of its last run and that run's steps, and of the store."""
    start = "2023-11-14T22:13:20.500Z"
    tried = StepRun("load", 0, "failed", start, start, 1.5)
    found = series(text_of(state_of("flow", tried, StepRun("end", 1, "skipped")), str))
    assert found == {
        ("kahnban_last_run_status", "flow", "ok"): 0,
        ("kahnban_last_run_status", "flow", "failed"): 1,
        ("kahnban_last_run_status", "flow", "interrupted"): 0,
        ("kahnban_last_run_status", "flow", "cancelled"): 0,
        ("kahnban_last_run_start_timestamp_seconds", "flow"): 1_700_000_000.5,
        ("kahnban_last_run_duration_seconds", "flow"): 2.5,
        ("kahnban_last_run_failed_steps", "flow"): 1,
        ("kahnban_last_run_retries", "flow"): 2,
        ("kahnban_last_success_timestamp_seconds", "flow"): 1_700_000_000.5,
        ("kahnban_runs", "flow", "ok"): 4,
        ("kahnban_runs", "flow", "failed"): 1,
        ("kahnban_runs_running", "flow"): 1,
        ("kahnban_open_incidents", "flow"): 2,
        ("kahnban_schedule_paused", "flow", "itself"): 1,
        ("kahnban_schedule_paused", "flow", "person"): 0,
        ("kahnban_step_status", "flow", "load", "failed"): 1,
        ("kahnban_step_status", "flow", "end", "skipped"): 1,
        ("kahnban_step_duration_seconds", "flow", "load"): 1.5,
        ("kahnban_steps_left_out", "flow"): 3,
        ("kahnban_workflows_left_out",): 0,
        ("kahnban_undelivered_alerts", "email"): 0,
        ("kahnban_undelivered_alerts", "slack"): 5,
        ("kahnban_store_bytes",): 4096,
    }
    assert {name for name, *_ in found} == set(prometheus.HELP)


def test_of_a_run_whose_engine_died_nobody_knows_what_it_took() -> None:
    """When it began is told, and no duration."""
    found = series(text_of(state_of("flow", finished_at=None), str))
    assert ("kahnban_last_run_start_timestamp_seconds", "flow") in found
    assert ("kahnban_last_run_duration_seconds", "flow") not in found


def test_names_cannot_break_the_text() -> None:
    r"""Quotes, backslashes and line breaks are escaped: `\n` as text stays that."""
    for name in ('a"b', "a\\", "a\nb 1", r"a\nb", '"} 1\nkahnban_runs{workflow="x'):
        assert ("kahnban_runs_running", name) in series(text_of(state_of(name), str))


def test_names_that_are_alike_once_masked_are_told_once() -> None:
    """A collector refuses a file that tells one series twice; the first counts."""
    steps = [StepRun(f"load-{token}", at, "ok") for at, token in enumerate(("s3cr3t", "t0k3n"))]
    text = text_of(
        state_of("flow", *steps), lambda text: text.replace("s3cr3t", "***").replace("t0k3n", "***")
    )
    found = series(text)
    assert found["kahnban_step_status", "flow", "load-***", "ok"] == 1
    assert "s3cr3t" not in text
