"""`engine.testing.run`: what a test of a workflow sees, and how it stands in for steps."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tenacity import wait_fixed

from engine import Param, RetryAfter, Skip, Step, Workflow, shell
from engine.errors import (
    ContextKeyError,
    DefinitionError,
    ParameterError,
    SupersededError,
    UsageError,
)
from engine.model import Shell
from engine.ports import Paths
from engine.testing import Outcome, run, times_out
from engine.testing.in_memory import HeldFiles, HeldOutputs


def nothing(_: Any) -> None:
    """Do nothing."""


def one(*bodies: Callable[[Any], Any] | Shell, **options: Any) -> Workflow:
    """Make a workflow of steps a, b, c … that follow each other; options go to the first."""
    workflow = Workflow("w")
    for name, body in zip("abcdef", bodies, strict=False):
        before = [workflow.steps[-1].name] if workflow.steps else []
        workflow.add(Step(name, body, depends_on=before, **({} if before else options)))
    return workflow


# -- what is seen -----------------------------------------------------------------------------


def test_a_run_gives_report_context_and_statuses() -> None:
    """The report is what `Workflow.run` gives; the context holds what the steps left."""
    outcome = run(one(lambda _: [1, 2], lambda ctx: sum(ctx["a"])))
    assert outcome.status == "ok"
    assert outcome.statuses == {"a": "ok", "b": "ok"}
    assert outcome.context == {"a": [1, 2], "b": 3}
    assert outcome.report["run_id"] == 1
    assert outcome.report["steps"][1]["attempts"] == 1


def test_a_step_tells_how_it_ended() -> None:
    """Status, attempts, note, error and log of a step are at hand by its name."""

    def bad(ctx: Any) -> None:
        ctx.log.info("try %d", ctx.attempt)
        raise ValueError("no luck")

    step = run(one(bad, retries=1)).steps["a"]
    assert (step.name, step.status, step.attempts) == ("a", "failed", 2)
    assert step.note == step.error == "ValueError: no luck"
    assert step.log.splitlines()[0] == "try 1"
    assert step.log.count("Traceback (most recent call last):") == 2


def test_values_are_read_as_stored() -> None:
    """A value goes through the store's codec: it reads equal, but is a copy each time."""
    value = {"when": date(2026, 3, 2), 7: (1, {2})}
    outcome = run(one(lambda _: value))
    assert outcome.context["a"] == value
    outcome.context["a"][7] = None
    assert outcome.context["a"] == value


def test_big_values_are_there_too() -> None:
    """A value of more than a megabyte reaches later steps and the test."""
    outcome = run(one(lambda _: "x" * 3_000_000, lambda ctx: len(ctx["a"])))
    assert outcome.context["b"] == 3_000_000
    assert len(outcome.context["a"]) == 3_000_000
    assert outcome.steps["a"].note == "'a' is 3.0 MB: better a file, by ctx.output"


def two_writers() -> Workflow:
    """Let two unordered steps write one key."""

    def write(ctx: Any) -> None:
        ctx["k"] = ctx.step

    return Workflow("w").add(Step("a", write)).add(Step("b", write))


def test_a_key_written_twice_in_no_order_is_refused() -> None:
    """The final context reads as a last step would: who is to win is nobody's guess."""
    outcome = run(two_writers())
    with pytest.raises(ContextKeyError, match="which both 'a' and 'b' wrote, in no fixed order"):
        outcome.context["k"]
    with pytest.raises(ContextKeyError, match="in no fixed order"):
        outcome.context.get("k")
    assert "k" in outcome.context
    assert repr(outcome.context) == "{'k': '(written twice, in no fixed order)'}"


def test_the_last_of_ordered_writers_counts() -> None:
    """Of two steps that depend on each other the later one's value is seen."""
    workflow = two_writers()
    workflow.steps[1] = Step("b", workflow.steps[1].run, depends_on=["a"])
    assert run(workflow).context == {"k": "b"}


def test_an_unknown_key_is_told() -> None:
    """A key that nobody wrote raises as in a step, with the one that may be meant."""
    outcome = run(one(lambda _: 1, nothing))
    with pytest.raises(ContextKeyError, match="did you mean 'a'"):
        outcome.context["aa"]
    with pytest.raises(ContextKeyError, match="step 'b' left nothing there"):
        outcome.context["b"]
    assert "b" not in outcome.context
    assert outcome.context.get("b", 7) == 7


def test_a_failed_step_leaves_nothing() -> None:
    """Neither values nor files of an attempt that fails are seen."""

    def half(ctx: Any) -> None:
        ctx["k"] = 1
        with ctx.output("k.txt") as file:
            file.write("half")
        raise ValueError

    outcome = run(one(half, retries=0))
    assert (outcome.status, outcome.context, outcome.files) == ("failed", {}, {})


def test_the_outcome_tells_what_went_wrong_first() -> None:
    """An outcome is one line, cut at its end by test tools, which is where all went well."""
    outcome = run(one(lambda _: 1, lambda ctx: ctx["a"] / 0, nothing, retries=0), replace={})
    assert repr(outcome) == (
        "<w failed: b failed (ZeroDivisionError: division by zero);"
        " c skipped (dependency failed: b); a ok>"
    )


def test_an_outcome_tells_of_twenty_steps() -> None:
    """Of a big workflow the one line has those that went wrong, and some of the others."""
    workflow = Workflow("w")
    for number in range(30):
        workflow.add(Step(f"s{number}", lambda ctx: ctx["k"] if ctx.step == "s29" else None))
    told = repr(run(workflow))
    assert told.startswith("<w failed: s29 failed (ContextKeyError: step 's29' reads key 'k'")
    assert told.endswith("; s17 ok; s18 ok; … and 10 more>")


def test_an_outcome_steers_no_terminal() -> None:
    """What a step's error holds is made printable, where it is shown and where it is logged."""
    outcome = run(one(lambda _: 1, retries=0), replace={"a": ValueError("\x1b[2J")})
    assert repr(outcome) == "<w failed: a failed (ValueError: \\x1b[2J)>"


def test_the_outcome_prints_as_a_table() -> None:
    """Printed, it is the table of a run's end."""
    lines = str(run(one(lambda _: 1))).splitlines()
    assert lines[0].split() == ["STEP", "STATUS", "ATTEMPTS", "DURATION"]
    assert lines[1].split() == ["a", "✓", "ok", "1", "0ms"]


def test_failures_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What a step failed with is logged with its traceback: test tools show what is logged."""
    run(one(lambda _: 1 / 0, retries=1))
    assert [(each.name, each.levelno) for each in caplog.records] == [
        ("engine.testing", logging.ERROR)
    ]
    assert caplog.messages[0].startswith("step 'a' failed: ZeroDivisionError: division by zero\n")
    assert "lambda _: 1 / 0" in caplog.messages[0]


# -- time -----------------------------------------------------------------------------------------


def test_waiting_takes_no_time() -> None:
    """The clock jumps over a backoff; a wait is its bound."""
    moments = []

    def late(ctx: Any) -> None:
        moments.append(ctx.attempt)
        if ctx.attempt < 4:
            raise OSError("not yet")

    outcome = run(one(late, retries=3, backoff="1h", backoff_max="3h"))
    assert moments == [1, 2, 3, 4]
    assert outcome.report["duration_s"] == 3600 + 7200 + 10800


def test_asked_waits_are_kept() -> None:
    """`RetryAfter` and tenacity's strategies say how long to wait."""

    def busy(ctx: Any) -> None:
        if ctx.attempt == 1:
            raise RetryAfter(100, "busy")
        if ctx.attempt == 2:
            raise OSError

    outcome = run(one(busy, wait=wait_fixed(20)))
    assert (outcome.status, outcome.report["duration_s"]) == ("ok", 120)


def test_others_go_on_while_one_waits() -> None:
    """A step in backoff holds nobody up: order is by time, then by rank."""
    seen = []

    def told(ctx: Any) -> None:
        seen.append((ctx.step, ctx.attempt))
        if ctx.step == "a" and ctx.attempt == 1:
            raise OSError

    workflow = Workflow("w").add(Step("a", told)).add(Step("b", told))
    workflow.add(Step("c", told, depends_on=["b"]))
    run(workflow)
    assert seen == [("b", 1), ("a", 1), ("c", 1), ("a", 2)]


def test_a_run_starts_at_a_fixed_instant() -> None:
    """Without `at` every run is at the same time of the same day."""
    outcome = run(one(nothing))
    assert outcome.report["started"] == "2026-01-01T12:00:00.000Z"


@pytest.mark.parametrize(
    ("at", "zone", "day"),
    [
        (datetime(2026, 3, 2, 23, 30, tzinfo=UTC), None, "2026-03-02"),
        (datetime(2026, 3, 2, 23, 30, tzinfo=UTC), "Europe/Berlin", "2026-03-03"),
        (datetime(2026, 3, 2, 23, 30), "Europe/Berlin", "2026-03-02"),
        (datetime(2026, 3, 2, 23, 30), None, "2026-03-02"),
        (datetime(2026, 3, 3, 1, 30, tzinfo=timezone(timedelta(hours=2))), None, "2026-03-02"),
    ],
)
def test_today_is_the_day_of_the_start(
    at: datetime, zone: str | None, day: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`today` follows `at` in the workflow's zone, UTC without one, on whatever machine."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    workflow = Workflow("w", tz=zone, params={"date": Param(date, default="today")})
    workflow.add(Step("a", lambda ctx: str(ctx.params["date"])))
    assert run(workflow, at=at).context["a"] == day


def test_a_run_may_be_of_a_slot() -> None:
    """`today` is its day, and `ctx.slot` has the workflow's zone."""
    workflow = Workflow("w", tz="Europe/Berlin", params={"date": Param(date, default="today")})
    workflow.add(Step("a", lambda ctx: f"{ctx.params['date']} {ctx.slot}"))
    outcome = run(workflow, slot=datetime(2026, 10, 25, 2, 30))
    assert outcome.context["a"] == "2026-10-25 2026-10-25 02:30:00+02:00"
    assert outcome.report["slot"] == "2026-10-25T00:30:00.000Z"
    assert run(one(lambda ctx: ctx.slot is None)).context["a"] is True


def test_a_start_is_an_instant() -> None:
    """Anything but a datetime is refused."""
    with pytest.raises(UsageError, match=r"at is datetime\.date\(2026, 3, 2\)"):
        run(one(nothing), at=date(2026, 3, 2))  # type: ignore[arg-type]


def test_secrets_are_texts() -> None:
    """As in an environment; a number is refused before anything runs."""
    with pytest.raises(UsageError, match="secret 'TOKEN' is no text"):
        run(one(nothing), secrets={"TOKEN": 5})  # type: ignore[dict-item]


# -- timeouts -------------------------------------------------------------------------------------


def test_a_step_can_time_out() -> None:
    """`times_out` ends an attempt as its limit would, and the retries are those of the step."""
    outcome = run(one(nothing, timeout="5m", retries=1, backoff=1), replace={"a": times_out})
    assert outcome.steps["a"].attempts == 2
    assert outcome.steps["a"].note == "timed out after 300s"
    assert outcome.report["duration_s"] == 300 + 1 + 300


def test_a_step_can_time_out_once() -> None:
    """A function that stands in may time out in one attempt and not in another."""
    outcome = run(
        one(nothing, timeout="5m"),
        replace={"a": lambda ctx: times_out(ctx) if ctx.attempt == 1 else "late"},
    )
    assert (outcome.status, outcome.context) == ("ok", {"a": "late"})


def test_a_retry_policy_sees_the_timeout() -> None:
    """`retry_on` decides about a timeout as it does in a run."""
    options = {"timeout": 60, "retry_on": ConnectionError}
    outcome = run(one(nothing, **options), replace={"a": times_out})
    assert outcome.steps["a"].attempts == 1


def test_nothing_times_out_without_a_limit() -> None:
    """A step without `timeout` cannot, which the test is told."""
    with pytest.raises(UsageError, match="step 'a' cannot time out: it has no timeout"):
        run(one(nothing), replace={"a": times_out})


# -- standing in ----------------------------------------------------------------------------------


def test_a_function_stands_in() -> None:
    """It is called with ctx in place of the body; condition and retries stay the step's."""

    def again(ctx: Any) -> int:
        if ctx.attempt == 1:
            raise OSError
        return int(ctx.attempt)

    asked = []

    def when(ctx: Any) -> bool:
        asked.append(ctx.attempt)
        return True

    workflow = one(lambda _: pytest.fail("not called"), when=when)
    outcome = run(workflow, replace={"a": again})
    assert (outcome.context, asked) == ({"a": 2}, [1, 2])


@pytest.mark.parametrize("value", [None, 0, "text", [1, {"k": None}]])
def test_a_value_stands_in(value: object) -> None:
    """Anything else is what the step returns."""
    outcome = run(one(nothing), replace={"a": value})
    assert outcome.context == ({} if value is None else {"a": value})


@pytest.mark.parametrize("error", [OSError("down"), OSError])
def test_an_error_stands_in(error: object) -> None:
    """An exception, or its type, is raised by every attempt."""
    step = run(one(nothing, retries=2), replace={"a": error}).steps["a"]
    assert (step.status, step.attempts) == ("failed", 3)
    assert step.error == ("OSError" if error is OSError else "OSError: down")
    assert step.log.count("in fail") == 3


def test_a_skip_stands_in() -> None:
    """`Skip` skips the step with its reason, as raised by its function."""
    outcome = run(one(nothing, nothing), replace={"a": Skip("no news")})
    assert outcome.statuses == {"a": "skipped", "b": "skipped"}
    assert (outcome.status, outcome.steps["a"].note) == ("ok", "no news")


def test_a_step_replaced_must_be_there() -> None:
    """An unknown name is refused, with the one that may be meant."""
    with pytest.raises(UsageError, match="workflow 'w' has no step 'fetsch' to replace") as caught:
        run(Workflow("w").add(Step("fetch", nothing)), replace={"fetsch": 1})
    assert caught.value.hint == "did you mean 'fetch'?"


def test_commands_are_not_run() -> None:
    """All commands without a stand-in are told at once, and how to replace them."""
    workflow = one(lambda _: pytest.fail("not called"), shell("rm -rf x"), shell(["ls"]))
    with pytest.raises(UsageError) as caught:
        run(workflow)
    assert caught.value.message == (
        "workflow 'w': a test runs no commands, but 'b', 'c' are such steps"
    )
    assert caught.value.hint == (
        'say what each leaves: replace={"b": None, "c": None}, a value or a function of ctx'
    )


def test_a_command_is_replaced() -> None:
    """What stands in for a command may write its file and leave values."""
    workflow = Workflow("w").add(
        Step("dump", shell('pg_dump app > "$OUT"'), output="app.sql", timeout=60, grace=1)
    )

    def dump(ctx: Any) -> None:
        ctx["rows"] = 3
        with ctx.output("app.sql") as file:
            file.write("-- a dump\n")

    outcome = run(workflow, replace={"dump": dump})
    assert (outcome.context, outcome.files) == ({"rows": 3}, {"app.sql": "-- a dump\n"})


def test_a_command_does_not_stand_in() -> None:
    """A command in place of a step would have to be run."""
    with pytest.raises(UsageError, match="step 'a' of workflow 'w' is replaced by a command"):
        run(one(nothing), replace={"a": shell("true")})


def test_isolated_steps_run_here() -> None:
    """An isolated step runs in the test's own process, also as a local function."""
    here = []
    run(one(lambda ctx: here.append(ctx.step), isolate=True, grace=1))
    assert here == ["a"]


# -- what is given --------------------------------------------------------------------------------


def test_parameters_are_resolved_as_in_a_run() -> None:
    """Texts and values are taken, defaults filled in, wrong ones refused."""
    workflow = Workflow("w", params={"n": int, "city": "Rome"})
    workflow.add(Step("a", lambda ctx: [ctx.params["n"] + 1, ctx.params["city"]]))
    assert run(workflow, params={"n": "3"}).context["a"] == [4, "Rome"]
    with pytest.raises(ParameterError, match="needs the parameter 'n'"):
        run(workflow)


def test_an_initial_context_is_read() -> None:
    """`context` is what `Workflow.run` takes by that name."""
    outcome = run(one(lambda ctx: 2 * ctx["n"]), context={"n": 21})
    assert outcome.context == {"n": 21, "a": 42}


def test_secrets_are_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Steps find the secrets and settings that the test gives, and none of the machine's."""
    monkeypatch.setenv("TOKEN", "from-the-machine")
    monkeypatch.setenv("MAIL_TO", "from-the-machine")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "env").write_text("TOKEN=from-a-file\n")

    def tell(ctx: Any) -> list[Any]:
        return [len(ctx.secret("TOKEN", default="")), ctx.setting("MAIL_TO")]

    assert run(one(tell), folder=tmp_path).context["a"] == [0, None]
    given_here = {"TOKEN": "s3cret-token", "MAIL_TO": "ada@example.org"}
    assert run(one(tell), secrets=given_here).context["a"] == [12, "ada@example.org"]


def test_secrets_are_masked_and_refused() -> None:
    """A secret is kept out of texts and values as in a run, whether it was read or not."""

    def leak(ctx: Any) -> None:
        ctx.log.info("it is s3cret-token")
        raise ValueError("s3cret-token is wrong")

    secrets = {"TOKEN": "s3cret-token"}
    step = run(one(leak, retries=0), secrets=secrets).steps["a"]
    assert step.error == "ValueError: *** is wrong"
    assert "s3cret" not in step.log
    refused = run(one(lambda _: "s3cret-token"), secrets=secrets).steps["a"]
    assert "a registered secret" in refused.error


def test_a_dry_workflow_runs() -> None:
    """A workflow that only plans by default is run all the same: nothing leaves a test."""
    workflow = Workflow("w", dry_run=True).add(Step("a", lambda _: 1))
    outcome = run(workflow)
    assert (outcome.status, outcome.context) == ("ok", {"a": 1})


def test_the_same_checks_as_in_a_run() -> None:
    """A wrong definition is refused as it is anywhere."""
    with pytest.raises(DefinitionError, match="has no steps"):
        run(Workflow("w"))


# -- files ----------------------------------------------------------------------------------------


def writes_three(ctx: Any) -> str:
    """Write below the project, below the home and elsewhere; read back while writing."""
    with ctx.output("a/text.txt") as file:
        file.write("é\n")
        file.flush()
        read = Path(file.name).read_text("utf-8")
    with ctx.output(ctx.paths.home / "b.bin", "wb") as file:
        file.write(b"\0\1")
    with ctx.output("/elsewhere/c.txt", encoding="latin-1", newline="\r\n") as file:
        file.write("é\n")
    return read


WRITTEN = {"a/text.txt": "é\n", "var/b.bin": b"\0\1", "/elsewhere/c.txt": "é\r\n"}


def test_outputs_are_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a step writes with `ctx.output` is in `files`, by path, and nowhere else."""
    monkeypatch.chdir(tmp_path)
    outcome = run(one(writes_three))
    assert outcome.context["a"] == "é\n"
    assert outcome.files == WRITTEN
    assert list(tmp_path.iterdir()) == []


def test_outputs_of_a_folder_are_written(tmp_path: Path) -> None:
    """With `folder` what is written inside of it is there for the steps that follow."""

    def reads(ctx: Any) -> str:
        return str((ctx.paths.root / "a" / "text.txt").read_text("utf-8"))

    outcome = run(one(writes_three, reads), folder=tmp_path)
    assert outcome.context["b"] == "é\n"
    assert outcome.files == WRITTEN
    assert (tmp_path / "var" / "b.bin").read_bytes() == b"\0\1"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b.bin", "text.txt", "var"]


def test_folders_of_outputs_are_made_at_once(tmp_path: Path) -> None:
    """As in a run, a step that writes a file can look into its folder, where the file is not yet.

    The sales workflow did so, and failed in a test alone.
    """

    def look(ctx: Any) -> list[str]:
        with ctx.output("a/b/k.txt"):
            pass
        return [path.name for path in (ctx.paths.root / "a" / "b").iterdir()]

    assert run(one(look), folder=tmp_path).context == {"a": []}


def test_outputs_obey_the_rules_of_a_run(tmp_path: Path) -> None:
    """A folder, a mode that appends, and a second writing are refused as they are in a run."""

    def refused(ctx: Any, path: str = "k.txt", mode: str = "w") -> None:
        with ctx.output(path, mode):
            pass

    def twice(ctx: Any) -> None:
        refused(ctx)
        refused(ctx)

    def error(body: Callable[[Any], None]) -> str:
        return run(one(body), folder=tmp_path).steps["a"].error

    assert "is a folder" in error(lambda ctx: refused(ctx, "."))
    assert "cannot be opened with mode 'a'" in error(lambda ctx: refused(ctx, mode="a"))
    assert "is written twice in one attempt" in error(twice)


def test_an_output_may_be_tried_again(tmp_path: Path) -> None:
    """One that could not be begun, or was broken off, does not count as written."""
    (tmp_path / "a").write_text("in the way")

    def again(ctx: Any) -> None:
        with pytest.raises(OSError, match="exists"), ctx.output("a/k.txt"):
            pytest.fail("not begun")
        (tmp_path / "a").unlink()
        with pytest.raises(ValueError, match="broken off"), ctx.output("a/k.txt") as file:
            file.write("half")
            raise ValueError("broken off")
        with ctx.output("a/k.txt") as file:
            file.write("whole")

    assert run(one(again), folder=tmp_path).files == {"a/k.txt": "whole"}


def test_an_output_that_comes_too_late_touches_nothing(tmp_path: Path) -> None:
    """A file that is finished when its attempt has been closed leaves the one on disk alone.

    It once stood for its own temporary, which is removed then.
    """
    (tmp_path / "k.txt").write_text("kept")
    paths = Paths(tmp_path, tmp_path / "var", "")
    outputs = HeldOutputs(HeldFiles(paths, tmp_path), tmp_path, "1-a-1")

    def late() -> None:
        with outputs.open("k.txt") as file:
            file.write("late")
            outputs.discard()

    with pytest.raises(SupersededError, match="the attempt is over"):
        late()
    assert (tmp_path / "k.txt").read_text() == "kept"


def test_a_log_has_an_end() -> None:
    """An attempt that logs without measure is cut as in a run."""

    def chatter(ctx: Any) -> None:
        for _ in range(11):
            ctx.log.info("\n".join(["x" * 60_000] * 17))

    step = run(one(chatter)).steps["a"]
    assert 9_000_000 < len(step.log) < 10_100_000
    assert step.log.endswith("\noutput cut: the attempt has logged 10 MB")


def test_the_home_is_not_there() -> None:
    """No step finds, or makes, anything in the home of a test's run."""

    def look(ctx: Any) -> bool:
        with pytest.raises(OSError, match="No such file"):
            (ctx.paths.home / "reports").mkdir(parents=True)
        return bool(ctx.paths.home.exists())

    assert run(one(look)).context == {"a": False}


# -- which workflow -------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project with a workflow in Python and one in YAML, and stand in it."""
    pipelines = tmp_path / "pipelines"
    pipelines.mkdir()
    (pipelines / "notes.py").write_text(
        "from engine import Step, Workflow\n"
        "import _of_a_tests_project\n"
        "workflow = Workflow('notes').add(Step('a', lambda ctx: str(ctx.paths.root)))\n"
    )
    (tmp_path / "_of_a_tests_project.py").write_text("def fetch(ctx):\n    return {'rows': 3}\n")
    (pipelines / "nightly.yaml").write_text(
        "name: nightly\n"
        "params: {date: {type: date, default: today}}\n"
        "steps:\n"
        "  - {name: fetch, fn: _of_a_tests_project.fetch}\n"
        "  - {name: dump, command: pg_dump app > $OUT, output: app.sql, depends_on: [fetch]}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("_of_a_tests_project", "pipelines.notes"):
        monkeypatch.setitem(sys.modules, name, None)  # restored at the end
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


@pytest.mark.parametrize("named", ["notes", "pipelines/notes.py", Path("pipelines/notes.py")])
def test_a_workflow_is_found(project: Path, named: str | Path) -> None:
    """A name, or the path of a file, loads it; its project is where the run works."""
    assert run(named).context == {"a": str(project)}


@pytest.mark.usefixtures("project")
def test_a_workflow_in_yaml_is_tested_alike() -> None:
    """What YAML defines runs here too, with its command replaced."""
    outcome = run("nightly", replace={"dump": None}, at=datetime(2026, 3, 2))
    assert outcome.statuses == {"fetch": "ok", "dump": "ok"}
    assert outcome.context == {"fetch": {"rows": 3}}
    assert outcome.report["params"] == {"date": "2026-03-02"}


@pytest.mark.usefixtures("project")
def test_an_unknown_workflow_is_told() -> None:
    """A name that is none is refused as the commands refuse it."""
    with pytest.raises(UsageError, match="there is no workflow 'noted'"):
        run("noted")


def test_anything_else_is_no_workflow() -> None:
    """A module, say, is refused, with what is taken."""
    with pytest.raises(UsageError, match="workflow is <module 'sys'") as caught:
        run(sys)  # type: ignore[arg-type]
    assert caught.value.hint == "give a Workflow, its name, or the path of its file"


def test_a_definition_is_taken() -> None:
    """A checked definition runs like the workflow it is of."""
    assert run(one(nothing).definition()).status == "ok"


# -- what goes through ----------------------------------------------------------------------------


class Stopped(BaseException):
    """What no step's `except Exception` is to catch."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stopped, pytest.fail.Exception])
def test_what_is_no_exception_comes_out(error: type[BaseException]) -> None:
    """Ctrl-C, and what test tools fail and skip with, end the run and reach the test."""
    ran = []
    workflow = one(nothing, lambda _: ran.append("b"))
    with pytest.raises(error):
        run(workflow, replace={"a": error("now")})
    assert ran == []


def test_a_condition_may_fail_the_test() -> None:
    """It goes for conditions too."""
    with pytest.raises(pytest.fail.Exception):
        run(one(nothing, when=lambda _: pytest.fail("asked")))


def test_an_exit_is_a_failure() -> None:
    """A step that exits has failed, in a run as in a test."""
    step = run(one(lambda _: sys.exit("bye"), retries=0)).steps["a"]
    assert (step.status, step.error) == ("failed", "SystemExit: bye")


# -- often, and side by side ----------------------------------------------------------------------


@settings(max_examples=30)
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 3))
def test_runs_under_hypothesis(numbers: list[int], fails: int) -> None:
    """A property holds over many runs, each of them new."""

    def flaky(ctx: Any) -> list[int]:
        if ctx.attempt <= fails:
            raise OSError
        return numbers

    outcome = run(one(flaky, lambda ctx: sum(ctx["a"]), retries=2))
    assert outcome.report["run_id"] == 1
    assert outcome.status == ("failed" if fails == 3 else "ok")
    assert outcome.context.get("b") == (None if fails == 3 else sum(numbers))


def test_runs_side_by_side() -> None:
    """Runs in several threads at once know nothing of each other."""
    outcomes: dict[int, list[Outcome]] = {}

    def many(number: int) -> None:
        workflow = one(lambda _: number, lambda ctx: ctx["a"] + 1)
        outcomes[number] = [run(workflow) for _ in range(10)]

    threads = [threading.Thread(target=many, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: [o.context["b"] for o in found] for n, found in outcomes.items()} == {
        n: [n + 1] * 10 for n in range(6)
    }


def test_a_step_may_run_a_workflow() -> None:
    """A run within a step's run is a run of its own."""
    outcome = run(one(lambda _: run(one(lambda _: 7)).context["a"] + 1))
    assert outcome.context == {"a": 8}
