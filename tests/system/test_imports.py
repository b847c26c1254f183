"""What may not be imported at start-up, told from `sys.modules` of a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.system.alert_servers import answer
from tests.system.alert_servers import hook as webhook
from tests.system.project import Project

HEAVY = ["sqlalchemy", "alembic", "tenacity", "slack_sdk", "psutil", "email.message", "asyncio"]
HEAVY += ["engine.testing"]  # of use to tests alone

PROBE = """
import json, sys
sys.argv = ["engine", *{arguments!r}]
try:
    {what}
except SystemExit as end:
    assert not end.code, end.code
found = [name for name in {heavy!r} if name in sys.modules]
print("\\n" + json.dumps(found))
"""


def imported(project: Project, what: str, *arguments: str) -> list[str]:
    """Which heavy modules are there after `what`, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(arguments=arguments, what=what, heavy=HEAVY)],
        cwd=project.root,
        env=project.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.rstrip().rpartition("\n")[2])
    return found


MAIN = "from engine.__main__ import main; raise SystemExit(main())"


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("import engine", []),
        ("import engine; engine.Workflow, engine.Step, engine.shell, engine.order_steps", []),
        (MAIN, ["--help"]),
        (MAIN, ["run", "--help"]),
        (MAIN, ["check"]),
        (MAIN, ["check", "flow"]),
        (MAIN, ["graph", "flow"]),
        (MAIN, ["init", "other", "--yaml"]),
        (MAIN, ["list"]),
    ],
)
def test_light(project: Project, what: str, arguments: list[str]) -> None:
    """The package, help, and what only reads or writes definitions import no heavy package."""
    project.chain()
    assert imported(project, what, *arguments) == []


def test_run_imports_the_store_but_no_migrations(project: Project) -> None:
    """A run needs SQLAlchemy (so the probe sees it), but no other heavy package of ours."""
    project.write("flow", 'workflow = Workflow("flow").add(Step("a", does("a")))')
    found = imported(project, MAIN, "run", "flow", "-q")
    assert "sqlalchemy" in found
    assert not {"alembic", "tenacity", "slack_sdk", "psutil", "engine.testing"} & set(found)


UNTIDY = """
import gc
class Untidy:
    file = open("left-open.txt", "w")
Untidy.file.write(f"collected {gc.isenabled()}, store loaded {'sqlalchemy' in sys.modules}")
workflow = Workflow("flow").add(Step("a", does("a")))
"""


@pytest.mark.parametrize("words", [["run", "flow", "-q"], ["run", "flow", "--dry-run"], ["list"]])
def test_what_a_workflow_leaves_open_is_written_out(project: Project, words: list[str]) -> None:
    """What the collector is kept away from is ours alone: it was loaded before the workflow."""
    project.write("flow", UNTIDY)
    assert project.run(*words).code == 0
    loaded = words == ["run", "flow", "-q"]
    left = (project.root / "left-open.txt").read_text("utf-8")
    assert left == f"collected True, store loaded {loaded}"


SETTLED = """
import atexit, json

def settled(ctx):
    global before
    before = set(sys.modules)

def told():
    print(json.dumps(sorted(set(sys.modules) - before)))

atexit.register(told)
workflow = Workflow("flow").add(Step("a", does("a"))).add(Step("b", settled, depends_on=["a"]))
"""


def _package(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("alerting", [False, True])
def test_a_run_imports_nothing_at_its_end(project: Project, *, alerting: bool) -> None:
    """Whoever upgrades the program under a live run mixes no versions: all is there by then."""
    project.write("flow", SETTLED)
    with webhook(answer(200, "ok")) as hook:
        done = project.run("run", "flow", "-q", SLACK_WEBHOOK_URL=hook.url if alerting else "")
        assert (done.code, done.err) == (0, "")
        assert len(hook.bodies) == alerting
    later = [name for name in json.loads(done.out) if _package(name) not in sys.stdlib_module_names]
    assert later == []
