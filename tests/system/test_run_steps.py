"""How steps of a run behave: trigger rules, conditions, retries, budgets over continuations."""

from __future__ import annotations

import signal
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.system.project import Project, notes, statuses, wait_for

RULES = """
def maybe(ctx):
    raise Skip("nothing today")

workflow = (
    Workflow("flow")
    .add(Step("good", does("good")))
    .add(Step("bad", broken, retries=0))
    .add(Step("skip", maybe))
    .add(Step("after_bad", does("x"), depends_on=["bad", "good"]))
    .add(Step("after_skip", does("x"), depends_on=["skip", "good"]))
    .add(Step("none_failed", does("none_failed"), ["skip", "good"], trigger_rule="none_failed"))
    .add(Step("none_failed_bad", does("x"), ["skip", "after_bad"], trigger_rule="none_failed"))
    .add(Step("all_done", does("all_done"), ["bad", "skip", "good"], trigger_rule="all_done"))
    .add(Step("one_failed", does("one_failed"), ["after_bad", "good"], trigger_rule="one_failed"))
    .add(Step("one_failed_no", does("x"), ["skip", "good"], trigger_rule="one_failed"))
    .add(Step("far", does("x"), depends_on=["after_bad", "good"]))
)
"""


def test_trigger_rules(project: Project) -> None:
    """Each rule looks at the final statuses of the direct upstreams; notes name the cause."""
    project.write("flow", RULES)
    report = project.report("flow", code=1)
    assert statuses(report) == {
        "good": "ok",
        "bad": "failed",
        "skip": "skipped",
        "after_bad": "skipped",
        "after_skip": "skipped",
        "none_failed": "ok",
        "none_failed_bad": "skipped",
        "all_done": "ok",
        "one_failed": "ok",
        "one_failed_no": "skipped",
        "far": "skipped",
    }
    told = notes(report)
    assert told["skip"] == "nothing today"
    assert told["after_bad"] == told["far"] == told["none_failed_bad"] == "dependency failed: bad"
    assert told["after_skip"] == "dependency skipped: skip"
    assert told["one_failed_no"] == "no dependency failed"
    assert sorted(project.effects()) == ["all_done", "good", "none_failed", "one_failed"]


def test_when_sees_the_context(project: Project) -> None:
    """`when=` decides on what the upstreams wrote; a skip by it is no failure."""
    project.write(
        "flow",
        """
workflow = (
    Workflow("flow")
    .add(Step("count", lambda ctx: 3))
    .add(Step("many", does("many"), depends_on=["count"], when=lambda ctx: ctx["count"] > 5))
    .add(Step("few", does("few"), depends_on=["count"], when=lambda ctx: ctx["count"] < 5))
    .add(Step("torn", does("x"), depends_on=["count"], when=lambda ctx: 1 / 0, retries=0))
)
""",
    )
    report = project.report("flow", code=1)
    assert statuses(report) == {"count": "ok", "many": "skipped", "few": "ok", "torn": "failed"}
    assert notes(report)["many"] == "condition false"
    assert project.effects() == ["few"]


RETRY = """
from tenacity import retry_if_exception_message, wait_fixed

class Odd(Exception):
    pass

def flaky(name, failures, error):
    def body(ctx):
        effect(f"{name}{ctx.attempt}")
        if ctx.attempt <= failures:
            raise error
        return ctx.attempt
    return body

workflow = (
    Workflow("flow")
    .add(Step("twice", flaky("twice", 2, ValueError("x")), backoff=0))
    .add(Step("never", flaky("never", 9, ValueError("x")), retries=1, backoff=0))
    .add(Step("picky", flaky("picky", 9, ValueError("x")), retry_on=OSError))
    .add(Step("os", flaky("os", 1, FileNotFoundError("x")), retry_on=(OSError,), backoff=0))
    .add(Step("later", flaky("later", 1, RetryAfter(0.3)), retry_on=OSError))
    .add(Step("wait", flaky("wait", 1, Odd("x")), wait=wait_fixed(0.3)))
    .add(Step("text", flaky("text", 9, Odd("final")), wait=wait_fixed(0),
              retry=retry_if_exception_message(match="other")))
)
"""


def test_retries(project: Project) -> None:
    """Budget, retry_on, RetryAfter and tenacity's own objects decide what is tried again, when."""
    project.write("flow", RETRY)
    report = project.report("flow", "--workers", "8", code=1)
    found = {step["name"]: (step["status"], step["attempts"]) for step in report["steps"]}
    assert found == {
        "twice": ("ok", 3),
        "never": ("failed", 2),
        "picky": ("failed", 1),
        "os": ("ok", 2),
        "later": ("ok", 2),
        "wait": ("ok", 2),
        "text": ("failed", 1),
    }
    for name in ("later", "wait"):
        ((wait_s, kept),) = project.rows(
            "SELECT (julianday(a.retry_at) - julianday(a.finished_at)) * 86400,"
            " b.started_at >= a.retry_at FROM attempts a"
            " JOIN attempts b ON a.run_id = b.run_id AND a.step = b.step"
            f" WHERE a.step = '{name}' AND a.number = 1 AND b.number = 2"
        )
        assert kept, name
        assert 0.29 < wait_s < 0.4, name
    assert project.rows("SELECT outcome, error FROM attempts WHERE step = 'never'") == [
        ("failed", "ValueError: x"),
        ("failed", "ValueError: x"),
    ]


def test_retry_on_a_result(project: Project) -> None:
    """A tenacity `retry` that looks at what the step returned gets the attempts it asks for."""
    project.write(
        "flow",
        """
from tenacity import retry_if_result, wait_fixed

few = retry_if_result(lambda found: found < 3)
workflow = Workflow("flow").add(Step("a", lambda ctx: ctx.attempt, wait=wait_fixed(0), retry=few))
""",
    )
    report = project.report("flow")
    assert (report["steps"][0]["status"], report["steps"][0]["attempts"]) == ("ok", 3)


BACKOFF = """
def flaky(ctx):
    effect("tried")
    raise RetryAfter(WAIT)

workflow = Workflow("flow").add(Step("a", flaky, retries=2)).add(Step("b", does("b"), ["a"]))
"""


def test_ctrl_c_in_a_long_backoff(project: Project) -> None:
    """Ctrl-C while a step waits an hour for its retry ends at once, and keeps what is left."""
    project.write("flow", BACKOFF.replace("WAIT", "3600"))
    process = project.start("run", "flow")
    wait_for(
        lambda: (
            project.store.exists()
            and project.rows("SELECT 1 FROM step_runs WHERE status = 'backing_off'") == [(1,)]
        )
    )
    result = project.stopped(process, signal.SIGINT)
    assert result.code == 130
    assert result.seconds < 1
    assert project.rows("SELECT step, status, note FROM step_runs ORDER BY position") == [
        ("a", "interrupted", "stopped before its retry"),
        ("b", "cancelled", "not started"),
    ]
    assert project.rows("SELECT status FROM runs") == [("interrupted",)]
    plan = project.report("flow", "--dry-run")["plan"]
    assert plan[0]["why"] == "was waiting for its retry in run 1"


def test_budget_and_wait_outlive_a_stop(project: Project) -> None:
    """A continued run waits for what is left of the backoff, and has only the attempts left."""
    project.write("flow", BACKOFF.replace("WAIT", "0.9"))
    process = project.start("run", "flow")
    project.wait_for_effect("tried")
    wait_for(lambda: project.rows("SELECT 1 FROM step_runs WHERE status = 'backing_off'") == [(1,)])
    assert project.stopped(process, signal.SIGINT).code == 130
    result = project.run("run", "flow", "--json")
    assert result.code == 1
    (due,) = project.rows("SELECT retry_at FROM attempts WHERE run_id = 1")
    ((again, resumed),) = project.rows(
        "SELECT min(a.started_at), r.started_at FROM attempts a JOIN runs r ON r.id = a.run_id"
        " WHERE r.id = 2"
    )
    assert due[0] <= again
    waited = datetime.fromisoformat(again) - datetime.fromisoformat(resumed)
    assert waited < timedelta(seconds=0.9)  # less than a whole wait
    assert project.effects() == ["tried"] * 3  # one in the first run, two in the second
    step = result.report["steps"][0]
    assert (step["status"], step["attempts"]) == ("failed", 2)


def test_step_that_kills_its_engine(project: Project) -> None:
    """A step that took its engine down three times is failed, and gets a full budget after that."""
    project.write(
        "flow",
        """
def deadly(ctx):
    effect("deadly")
    if not Path("go").exists():
        print("last words")
        os.kill(os.getpid(), signal.SIGKILL)

workflow = Workflow("flow").add(Step("a", does("a"))).add(
    Step("deadly", deadly, depends_on=["a"], retries=0)
)
""",
    )
    for _ in range(3):
        assert project.run("run", "flow").code == -signal.SIGKILL
    assert project.effects() == ["a", "deadly", "deadly", "deadly"]
    log = project.home / "logs" / "flow" / "3" / "deadly.1.log"
    assert log.read_text("utf-8").endswith(" out     last words\n")
    report = project.report("flow", code=1)
    assert statuses(report) == {"a": "cached", "deadly": "failed"}
    assert notes(report)["deadly"] == (
        "its last 3 attempts all ended with the engine's death; it may be what kills it"
    )
    outcomes = project.rows(
        "SELECT outcome, started_at IS NOT NULL FROM attempts WHERE step <> 'a'"
    )
    assert outcomes == [("abandoned", 1)] * 3
    (project.root / "go").touch()
    report = project.report("flow")
    assert statuses(report) == {"a": "cached", "deadly": "ok"}
    assert project.effects()[4:] == ["deadly"]


@pytest.mark.parametrize("killed", [False, True])
def test_a_killed_run_is_shown_and_continued(project: Project, *, killed: bool) -> None:
    """A run whose engine died is shown as interrupted at once, and recorded so by the next run."""
    project.write(
        "flow",
        """
def waits(ctx):
    effect("waits")
    if not Path("go").exists():
        time.sleep(30)

workflow = Workflow("flow").add(Step("a", does("a"))).add(Step("w", waits, ["a"]))
""",
    )
    begun = time.monotonic()
    process = project.start("run", "flow")
    project.wait_for_effect("waits")
    if killed:
        process.kill()
        project.end(process, begun)
    shown = project.run("show", "--json").report
    assert shown["status"] == ("interrupted" if killed else "running")
    assert project.rows("SELECT status FROM runs") == [("running",)]  # looking changes nothing
    if not killed:
        process.kill()
        project.end(process, begun)
    (project.root / "go").touch()
    report = project.report("flow")
    assert statuses(report) == {"a": "cached", "w": "ok"}
    assert project.effects() == ["a", "waits", "waits"]
    assert project.rows("SELECT status FROM runs") == [("interrupted",), ("ok",)]
    assert project.rows("SELECT step, outcome, error FROM attempts WHERE outcome <> 'ok'") == [
        ("w", "abandoned", "its engine died")
    ]


def test_a_command_can_call_the_engine(project: Project, tmp_path: Path) -> None:
    """`KAHNBAN_COMMAND` finds home and store from anywhere."""
    home = tmp_path / "a home"
    text = 'cd / && eval "$KAHNBAN_COMMAND history --json"'
    project.write("flow", f"workflow = Workflow('flow').add(Step('ask', shell({text!r})))\n")
    result = project.run("run", "flow", "--home", str(home))
    assert result.code == 0, result.err
    (log,) = home.glob("logs/flow/1/ask.1.log")
    said = log.read_text()
    assert '"status": "running"' in said
    assert '"workflow": "flow"' in said
