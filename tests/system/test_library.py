"""`Workflow.run` as a library: a report, exceptions, and nothing global touched."""

from __future__ import annotations

import json
import logging
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from engine import Param, Step, Workflow
from engine.errors import AlreadyRunning, DefinitionError, ParameterError, StoreError, UsageError
from tests.system.project import Project, statuses

ISSUE = """
from engine import Step, Workflow

def fetch(ctx):
    return [1, 2]

def transform(ctx):
    return sum(ctx["fetch"])

result = (
    Workflow("daily", dry_run=False)
    .add(Step("fetch", fetch))
    .add(Step("transform", transform, depends_on=["fetch"]))
    .run()
)
assert all(s["status"] in ("ok", "cached") for s in result["steps"])
for step in result["steps"]:
    assert set(step) >= {"name", "status", "duration_s", "attempts", "note"}
assert result["status"] == "ok" and result["run_id"] == 1
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def good(ctx: Any) -> str:
    """Do what goes well."""
    return f"good {ctx.get('given', '')}"


def bad(_: Any) -> None:
    """Do what goes wrong."""
    raise ValueError("no luck")


def test_works_as_it_stands(project: Project) -> None:
    """The simplest use, in a folder that is no project: a report, `./var`, nothing printed."""
    script = project.root.parent / "script.py"
    script.write_text(ISSUE)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=script.parent,
        env=project.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (script.parent / "var" / "runs.db").stat().st_mode & 0o777 == 0o600
    assert (script.parent / "var" / ".gitignore").read_text() == "*\n"


def test_failures_are_reported_not_raised_nor_printed(project: Project) -> None:
    """A failed step makes a failed report; nothing is printed where nobody set up logging."""
    script = project.root.parent / "script.py"
    script.write_text(
        "from engine import Step, Workflow\n"
        "def bad(ctx):\n    ctx.log.error('oh')\n    raise ValueError('no luck')\n"
        "report = Workflow('w').add(Step('bad', bad, retries=0)).run()\n"
        "assert report['status'] == 'failed', report\n"
        "assert report['steps'][0]['note'] == 'ValueError: no luck'\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=script.parent,
        env=project.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    log = script.parent / "var" / "logs" / "w" / "1" / "bad.1.log"
    assert "ERROR   oh\n" in log.read_text()


def test_touches_nothing_global() -> None:
    """Signal handlers, root logger, standard streams and threads are as they were."""
    root = logging.getLogger()

    def state() -> tuple[Any, ...]:
        handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
        return (*handlers, root.level, list(root.handlers), sys.stdout, sys.stderr, Path.cwd())

    before = state()
    seen: list[tuple[Any, ...]] = []
    workflow = Workflow("w").add(Step("a", lambda _: seen.append(state())))
    assert workflow.run()["status"] == "ok"
    assert seen == [before]
    assert state() == before
    end = time.monotonic() + 5
    while any(thread.name.startswith("lane") for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_off_the_main_thread() -> None:
    """A run may be started from any thread."""
    reports: list[dict[str, Any]] = []
    workflow = Workflow("w").add(Step("a", good))
    thread = threading.Thread(target=lambda: reports.append(workflow.run()))
    thread.start()
    thread.join(30)
    assert statuses(reports[0]) == {"a": "ok"}


def test_decorator() -> None:
    """`@workflow.step` is `add`, and leaves the function what it is."""
    workflow = Workflow("w")

    @workflow.step()
    def first(_: Any) -> int:
        return 20

    @workflow.step("second-step", depends_on=["first"], retries=0)
    def second(ctx: Any) -> int:
        return int(ctx["first"]) + 1

    assert [(step.name, tuple(step.depends_on)) for step in workflow.steps] == [
        ("first", ()),
        ("second-step", ("first",)),
    ]
    assert second({"first": 1}) == 2
    assert statuses(workflow.run()) == {"first": "ok", "second-step": "ok"}


def test_decides_like_the_command() -> None:
    """A second call goes on from a failed one; `fresh` and `resume` do as the options do."""
    workflow = Workflow("w").add(Step("a", good)).add(Step("b", bad, ["a"], retries=0))
    assert statuses(workflow.run()) == {"a": "ok", "b": "failed"}
    assert statuses(workflow.run()) == {"a": "cached", "b": "failed"}
    assert statuses(workflow.run(fresh=True)) == {"a": "ok", "b": "failed"}
    report = workflow.run(resume=1)
    assert (report["run_id"], report["resumed_from"], report["root_run"]) == (4, 2, 1)
    with pytest.raises(UsageError, match="--set cannot be given"):
        workflow.run(resume=1, params={"x": 1})
    with pytest.raises(UsageError, match="another cannot be given"):
        workflow.run({"given": 1}, resume=1)


def test_context_and_params() -> None:
    """The initial context is there for every step, belongs to "the same", and is resumed with."""
    workflow = Workflow("w", params={"n": Param(int, default=2)})
    workflow.add(Step("a", good)).add(Step("b", bad, ["a"], retries=0))
    read: list[Any] = []
    workflow.add(Step("c", lambda ctx: read.append((ctx["given"], ctx.params["n"])), retries=0))
    first = workflow.run({"given": {1: (2, 3)}}, params={"n": "5"})
    assert read == [({1: (2, 3)}, 5)]
    assert first["params"] == {"n": "5"}
    assert workflow.run({"given": 4}, params={"n": 5})["resumed_from"] is None
    again = workflow.run({"given": {1: (2, 3)}}, params={"n": 5})
    assert again["resumed_from"] == 1
    assert statuses(again) == {"a": "cached", "b": "failed", "c": "cached"}


@pytest.mark.parametrize("how", ["call", "definition"])
def test_dry_run(tmp_path: Path, how: str) -> None:
    """A dry run gives the plan, runs no step and makes nothing."""
    workflow = Workflow("w", how == "definition").add(Step("a", bad))
    report = workflow.run(dry_run=True if how == "call" else None)
    assert (report["status"], report["run_id"], report["dry_run"]) == ("dry-run", None, True)
    assert statuses(report) == {"a": "dry-run"}
    assert list(tmp_path.iterdir()) == []


def test_store_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`store=` goes before ENGINE_STORE, that before `<home>/runs.db`.

    The logs of two stores in one home are told apart by the runs' numbers.
    """
    workflow = Workflow("w").add(Step("a", good))
    monkeypatch.setenv("ENGINE_STORE", f"sqlite:///{tmp_path}/by_env.db")
    assert workflow.run()["run_id"] == 1
    assert workflow.run(store=f"sqlite:///{tmp_path}/by_call.db")["run_id"] == 2
    monkeypatch.delenv("ENGINE_STORE")
    monkeypatch.setenv("ENGINE_HOME", str(tmp_path / "home"))
    assert workflow.run()["run_id"] == 1
    made = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.db"))
    assert made == ["by_call.db", "by_env.db", "home/runs.db"]


def test_errors_are_raised(tmp_path: Path) -> None:
    """What the command ends with 2 and 3 for is raised, with a hint."""
    workflow = Workflow("w", params={"n": int}).add(Step("a", good))
    with pytest.raises(ParameterError, match="needs the parameter 'n'"):
        workflow.run()
    with pytest.raises(UsageError, match="workers is 0"):
        workflow.run(workers=0, params={"n": 1})
    with pytest.raises(UsageError, match="must be a SQLite file"):
        workflow.run(store="mysql://x/y", params={"n": 1})
    with pytest.raises(DefinitionError, match="dependency cycle: a -> a"):
        Workflow("w").add(Step("a", good, ["a"])).run()
    (tmp_path / "broken.db").write_bytes(b"nothing of the kind" * 99)
    with pytest.raises(StoreError, match="is damaged or no store") as raised:
        workflow.run(store=f"sqlite:///{tmp_path}/broken.db", params={"n": 1})
    assert raised.value.hint
    with pytest.raises(StoreError, match="is a folder"):
        workflow.run(store=f"sqlite:///{tmp_path}", params={"n": 1})


def test_already_running() -> None:
    """A second run of the same workflow at once is refused, naming the first."""
    inner: list[BaseException] = []

    def again(_: Any) -> None:
        try:
            workflow.run()
        except AlreadyRunning as error:
            inner.append(error)

    workflow = Workflow("w").add(Step("a", again, retries=0))
    assert workflow.run()["status"] == "ok"
    assert str(inner[0]).startswith("run 1 of 'w' is on since ")


def test_a_run_within_a_step(project: Project) -> None:
    """A step may run another workflow: it has workers of its own, so neither waits for the other.

    Its own workflow it may not: that is on already.
    """
    project.write(
        "outer",
        """
inner = Workflow("inner").add(Step("deep", does("deep"))).add(Step("end", does("end"), ["deep"]))

def nested(ctx):
    return inner.run(workers=1)["status"]

def itself(ctx):
    workflow.run(workers=1)

workflow = Workflow("outer").add(Step("nested", nested)).add(Step("itself", itself, retries=0))
""",
    )
    report = project.report("outer", "--workers", "1", code=1)
    assert statuses(report) == {"nested": "ok", "itself": "failed"}
    assert project.effects() == ["deep", "end"]
    ((error,),) = project.rows("SELECT error FROM attempts WHERE step = 'itself'")
    assert error.startswith("AlreadyRunning: run 1 of 'outer' is on since ")


def _fails(_ctx: Any) -> None:
    raise RuntimeError


def _flow(upstreams: list[str]) -> Workflow:
    made = Workflow("flow").add(Step("a", good)).add(Step("b", good, upstreams))
    return made.add(Step("c", good, ["b", "a"])).add(Step("end", _fails, ["c"], retries=0))


def _plan(workflow: Workflow) -> dict[str, str]:
    return {row["step"]: row["what"] + row["why"] for row in workflow.run(dry_run=True)["plan"]}


def test_other_upstreams_are_a_change() -> None:
    """A step that comes to depend on others is redone, and the plan says why."""
    assert _flow(["a"]).run()["status"] == "failed"
    assert _plan(_flow(["a"]))["b"] == "cachedok in run 1"
    assert _plan(_flow([]))["b"] == "would runupstreams changed"


def test_fingerprints_with_upstreams_still_hold() -> None:
    """Once they covered the names of upstreams: a run recorded so is gone on with all the same."""
    assert _flow(["a"]).run()["status"] == "failed"
    with sqlite3.connect("var/runs.db") as connection:
        sql = "SELECT fingerprint, parts FROM definition_steps WHERE position = 0"
        code, parts = connection.execute(sql).fetchone()
        for position, names in (1, b"a"), (2, b"a\0b"), (3, b"c"):
            ups = sha256(names).hexdigest()[:16]
            print_ = sha256(f"{code}|{ {'upstreams': ups} }".encode()).hexdigest()
            row = (print_, json.dumps(json.loads(parts) | {"upstreams": ups}), position)
            sql = "UPDATE definition_steps SET fingerprint = ?, parts = ? WHERE position = ?"
            connection.execute(sql, row)
    plan = _plan(_flow(["a"]))
    assert (plan["b"], plan["c"]) == ("cachedok in run 1", "cachedok in run 1")
    assert _plan(_flow([]))["b"] == "would runupstreams changed"
