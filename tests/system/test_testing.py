"""`engine.testing` beside the real engine: the same reports, and nothing left behind."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tenacity import retry_if_result, wait_none

from engine import RetryAfter, Skip, Step, Workflow, testing
from engine.model import TriggerRule
from tests.system.project import Project

RUNS = 100
EXAMPLES = 15  # of drawn workflows, each really run
RUNS_CPU_S = 3.0  # of which they take a tenth on an idle machine

VALUES = {
    "plain": [1, 2.5, None, True, {"k": "v"}],
    "typed": (datetime(2026, 3, 2, tzinfo=UTC), date(2026, 3, 2), Decimal("1.10"), b"\0"),
    "keys": {1: {2, 3}, "p": Path("a/b"), "u": UUID(int=7)},
}


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def nothing(_: Any) -> None:
    """Do nothing."""


def broken(_: Any) -> None:
    """Fail for good."""
    raise ValueError("no\nluck")


def flaky(ctx: Any) -> int:
    """Fail, ask for time, then succeed."""
    if ctx.attempt == 1:
        raise OSError("not yet")
    if ctx.attempt == 2:
        raise RetryAfter(0, "busy")
    ctx.log.info("now")
    return int(ctx.attempt)


def retries() -> Workflow:
    """Retries by exception, by result, used up, and not worth one."""
    quick: dict[str, Any] = {"backoff": 0}
    wanted = retry_if_result(lambda result: result < 3)
    return (
        Workflow("w")
        .add(Step("flaky", flaky, **quick))
        .add(Step("used-up", broken, **quick))
        .add(Step("other", broken, retry_on=KeyError, **quick))
        .add(Step("polled", lambda ctx: ctx.attempt, retry=wanted, wait=wait_none()))
        .add(Step("refused", lambda _: 1, retry=wanted, wait=wait_none(), retries=1))
    )


def skips() -> Workflow:
    """Skips by `Skip`, by condition and after them, with each trigger rule behind."""

    def skip(_: Any) -> None:
        raise Skip("no news")

    workflow = Workflow("w").add(Step("skip", skip)).add(Step("no", nothing, when=lambda _: 0))
    workflow.add(Step("yes", lambda ctx: "no" in ctx, when=lambda ctx: "skip" not in ctx))
    for rule in ("all_success", "none_failed", "all_done", "one_failed"):
        workflow.add(Step(rule, nothing, depends_on=["skip", "no", "yes"], trigger_rule=rule))
    return workflow


def failures() -> Workflow:
    """A failure with each trigger rule behind it, at one step's distance and at two."""

    def exits(_: Any) -> None:
        sys.exit(3)

    workflow = Workflow("w").add(Step("bad", broken, retries=0)).add(Step("good", nothing))
    workflow.add(Step("exits", exits, retries=0))
    workflow.add(Step("after", nothing, depends_on=["bad"]))
    for rule in ("all_success", "none_failed", "all_done", "one_failed"):
        workflow.add(Step(rule, nothing, depends_on=["after", "good"], trigger_rule=rule))
        ups = [rule, "good"]
        workflow.add(Step(f"{rule}.2", nothing, depends_on=ups, trigger_rule="one_failed"))
    return workflow


def conditions() -> Workflow:
    """Conditions that hold, do not, and fail."""
    return (
        Workflow("w")
        .add(Step("n", lambda ctx: ctx["given"] + 1))
        .add(Step("few", lambda _: "few", depends_on=["n"], when=lambda ctx: ctx["n"] < 10))
        .add(Step("many", lambda _: "many", depends_on=["n"], when=lambda ctx: ctx["n"] > 9))
        .add(Step("wrong", nothing, depends_on=["n"], when=lambda ctx: ctx["m"], retries=1))
        .add(Step("join", nothing, depends_on=["few", "many"], trigger_rule="none_failed"))
    )


def values() -> Workflow:
    """Values of all types, a note on a big one, and what cannot be stored."""
    return (
        Workflow("w")
        .add(Step("types", lambda ctx: ctx.update(VALUES)))
        .add(Step("same", lambda ctx: [ctx[k] for k in VALUES] == [*VALUES.values()], ["types"]))
        .add(Step("big", lambda _: "x" * 1_100_000))
        .add(Step("lost", lambda _: {"at": [object()]}))
        .add(Step("inf", lambda _: float("-inf")))
        .add(Step("twice", lambda ctx: ctx.setdefault("twice", 1)))
    )


def keys() -> Workflow:
    """Keys that a step may not read, or cannot."""

    def write(ctx: Any) -> None:
        ctx["k"] = ctx.step

    return (
        Workflow("w")
        .add(Step("one", write))
        .add(Step("two", write))
        .add(Step("both", lambda ctx: ctx["k"], depends_on=["one", "two"]))
        .add(Step("beside", lambda ctx: ctx["both"]))
        .add(Step("typo", lambda ctx: ctx["given_"], depends_on=["one"]))
        .add(Step("mine", lambda ctx: [*ctx], depends_on=["one"]))
        .add(Step("odd", lambda ctx: ctx[7]))
    )


def logs() -> Workflow:
    """Lines in a failed step's log."""

    def tell(ctx: Any) -> None:
        for number in range(30):
            ctx.log.warning("line %d\x1b[2J", number)
        broken(ctx)

    return Workflow("w").add(Step("tell", tell, retries=0)).add(Step("key", idempotent))


def idempotent(ctx: Any) -> list[Any]:
    """Tell what a step can know of its attempt."""
    return [ctx.idempotency_key, ctx.workflow, ctx.run_id, ctx.step, ctx.attempt, [*ctx.params]]


def plain(report: dict[str, Any]) -> dict[str, Any]:
    """Give a report without times and what hangs on them, paths, user and machine."""
    gone = {"started", "finished", "duration_s", "expected_s", "first_failure"}
    gone |= {"log", "report", "resume_command", "user", "host"}

    def kept(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if key not in gone}

    steps = [kept(step) for step in report["steps"]]
    for step in steps:
        step["last_lines"] = [re.sub(r"^[\d:]{8}\S* ", "", line) for line in step["last_lines"]]
    return kept(report) | {"steps": steps}


@pytest.mark.parametrize(
    "make", [retries, skips, failures, conditions, values, keys, logs], ids=lambda f: f.__name__
)
@pytest.mark.usefixtures("_elsewhere")
def test_reports_are_those_of_a_run(make: Callable[[], Workflow]) -> None:
    """What a test sees is what a run reports, but for times and paths; the context too."""
    workflow, context = make(), {"given": 4}
    names, read = [step.name for step in workflow.steps], []

    def end(ctx: Any) -> None:
        found = {}
        for key in ctx:
            try:
                found[key] = ctx[key]
            except KeyError:
                found[key] = "refused"
        read.append(found)

    workflow.add(Step("end", end, depends_on=names, trigger_rule="all_done"))
    real = workflow.run(context, workers=1)
    outcome = testing.run(workflow, context=context)
    assert plain(outcome.report) == plain(real)
    assert set(outcome.statuses.values()) <= {"ok", "failed", "skipped"}
    assert read[0] == read[1]
    assert sorted(outcome.context) == sorted(read[0])
    assert all(outcome.context[key] == read[0][key] for key in read[0] if read[0][key] != "refused")


BODIES: dict[str, Callable[[Any], Any]] = {
    "ok": len,
    "fails": broken,
    "skips": lambda _: _raised(Skip("own reason")),
    "flaky": flaky,
    "reads": max,
}


def _raised(error: Exception) -> None:
    raise error


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Draw a graph of steps with bodies, trigger rules and conditions of every kind."""
    workflow = Workflow("w")
    for number in range(draw(st.integers(1, 7))):
        above = [step.name for step in workflow.steps]
        ups = draw(st.lists(st.sampled_from(above), max_size=3, unique=True)) if above else []
        when = draw(st.sampled_from([None, None, None, bool, lambda _: True, lambda _: False]))
        step = Step(
            f"s{number}",
            BODIES[draw(st.sampled_from(sorted(BODIES)))],
            depends_on=ups,
            trigger_rule=draw(st.sampled_from(list(TriggerRule))),
            retries=draw(st.integers(0, 2)),
            backoff=0,
            when=when,
        )
        workflow.add(step)
    return workflow


@pytest.mark.usefixtures("_elsewhere")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(workflows())
def test_any_workflow_ends_as_it_does_in_a_run(workflow: Workflow) -> None:
    """Drawn workflows end alike, step by step and word by word, whatever the workers."""
    real = workflow.run(workers=3, fresh=True)
    ended = {"run_id": 1, "root_run": 1, "previous_status": None}
    assert plain(testing.run(workflow).report) == plain(real | ended)


@pytest.mark.usefixtures("_elsewhere")
def test_files_are_those_of_a_run(tmp_path: Path) -> None:
    """What a step writes has the bytes that a run leaves on disk."""

    def write(ctx: Any) -> None:
        with ctx.output("a/utf-8.txt") as file:
            print("é", "\r\n", end="", file=file)
        with ctx.output("b.txt", encoding="utf-16", newline="\r\n") as file:
            file.write("é\n")
        with ctx.output("c.bin", "wb") as file:
            file.write(b"....")
            file.seek(0)
            file.write(b"\0")
            file.truncate(2)

    workflow = Workflow("w").add(Step("write", write))
    outcome = testing.run(workflow)
    assert not [*tmp_path.iterdir()]
    assert workflow.run()["status"] == "ok"
    encodings = {"a/utf-8.txt": "utf-8", "b.txt": "utf-16", "c.bin": ""}
    assert set(outcome.files) == set(encodings)
    for name, content in outcome.files.items():
        data = (tmp_path / name).read_bytes()
        assert content == (data.decode(encodings[name]) if encodings[name] else data)


WATCHED = """
import os, sys
from datetime import date
from engine import RetryAfter, Step, Workflow
from engine.testing import run

def flaky(ctx):
    ctx.log.warning("hello")
    with ctx.output("a.txt") as file:
        file.write("a")
    if ctx.attempt == 1:
        raise RetryAfter(3600)
    return date(2026, 3, 2), ctx.secret("TOKEN", default=None)

def broken(ctx):
    raise ValueError("no luck")

workflow = Workflow("w").add(Step("a", flaky)).add(Step("b", broken, depends_on=["a"]))
run(workflow)  # imports what it needs

seen = []
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
QUIET = ("array.", "object.", "sys.", "import", "compile", "exec", "marshal.", "code.", "builtins.")

def watch(event, arguments):
    if event == "open":
        name, _, flags = arguments
        own = isinstance(name, int) or str(name).startswith(f"/proc/{os.getpid()}/fd/")
        if flags & WRITING and not own:
            seen.append((event, name))
    elif event == "sqlite3.connect":
        if arguments[0] != "file::memory:":
            seen.append((event, *arguments))
    elif not event.startswith(QUIET) and not event.startswith("sqlite3."):
        seen.append((event, *map(str, arguments)))

sys.addaudithook(watch)
outcome = run(workflow)
found = list(seen)
open("there", "w").close()  # the watch does see
assert seen[len(found):] == [("open", "there")], seen
os.remove("there")
assert outcome.statuses == {"a": "ok", "b": "failed"}
assert outcome.context == {"a": (date(2026, 3, 2), None)}
assert found == [], found
"""


def test_nothing_is_left_behind(tmp_path: Path, project: Project) -> None:
    """No file is opened to be written, no folder made, no process, no connection, no word said."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    script = tmp_path / "script.py"
    script.write_text(WATCHED)
    done = subprocess.run(
        [sys.executable, "-B", str(script)],
        cwd=here,
        env=project.env(HOME=str(home), TOKEN="from-the-machine"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [*home.iterdir(), *here.iterdir()] == []


def test_nothing_global_is_touched() -> None:
    """Signal handlers, root logger, standard streams and the current folder are as they were."""
    root = logging.getLogger()

    def state() -> tuple[Any, ...]:
        handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
        path, streams = list(sys.path), (sys.stdout, sys.stderr)
        return (*handlers, root.level, list(root.handlers), *streams, path, Path.cwd())

    before, seen = state(), []
    assert testing.run(Workflow("w").add(Step("a", lambda _: seen.append(state())))).status == "ok"
    assert seen == [before]
    assert state() == before


def open_files() -> int:
    """Count the descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_many_runs_are_quick() -> None:
    """Hundreds of runs of a small workflow take a moment, and leave nothing open."""
    workflow = (
        Workflow("w")
        .add(Step("a", lambda _: 1))
        .add(Step("b", lambda ctx: ctx["a"] + 1, depends_on=["a"]))
        .add(Step("c", lambda ctx: ctx["b"] + 1, depends_on=["b"]))
    )
    testing.run(workflow)
    before, begun = open_files(), time.process_time()
    for _ in range(RUNS):
        assert testing.run(workflow).context["c"] == 3
    assert time.process_time() - begun < RUNS_CPU_S
    assert open_files() == before


def test_a_failing_assertion_says_why(project: Project) -> None:
    """What is shown of a failed test names the step, its error and the line."""
    test = project.root / "test_it.py"
    test.write_text(
        "from engine import Step, Workflow\n"
        "from engine.testing import run\n"
        "def fetch(ctx):\n"
        "    return ctx.params['date'] / 0\n"
        "def test_it():\n"
        "    workflow = Workflow('w', params={'date': 7}).add(Step('fetch', fetch))\n"
        "    outcome = run(workflow)\n"
        "    assert outcome.status == 'ok'\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", str(test)],
        cwd=project.root,
        env=project.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    told = done.stdout.splitlines()
    place = next(at for at, line in enumerate(told) if "engine.testing" in line)
    assert told[place].endswith("step 'fetch' failed: ZeroDivisionError: division by zero")
    assert told[place + 1] == "Traceback (most recent call last):"
    assert told[place + 2] == f'  File "{test}", line 4, in fetch'
