"""What may not be imported at start-up, told from `sys.modules` of a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.alert_servers import answer
from tests.system.alert_servers import hook as webhook
from tests.system.project import Project

HEAVY = ["sqlalchemy", "alembic", "tenacity", "slack_sdk", "psutil", "yaml", "asyncio"]
HEAVY += ["concurrent", "email", "html", "http", "multiprocessing", "ssl", "statistics", "xml"]
HEAVY += ["engine.testing"]  # of use to tests alone

# What `run` of a workflow in Python loads that importing SQLAlchemy does not.
OF_A_RUN = {"argparse", "concurrent", "encodings", "getpass", "gettext", "mmap", "pwd"}
OF_A_RUN |= {"queue", "resource", "shlex", "sqlite3", "termios", "unicodedata"}
OF_A_RUN |= {"markupsafe"}  # its page, once its first attempts run
OWN = {"engine", "pipelines", "store"}

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


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give a project whose commands load all by themselves."""
    return Project(tmp_path, warm=False)


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
        (MAIN, ["complete", "--", "logs", "latest", ""]),
    ],
)
def test_light(project: Project, what: str, arguments: list[str]) -> None:
    """The package, help, and what only reads or writes definitions import no heavy package."""
    project.chain()
    assert imported(project, what, *arguments) == []


TOLD_AT_EXIT = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules))))
"""


def loaded(project: Project, program: str) -> set[str]:
    """Give all that is loaded at the end of a program."""
    done = project.python("-c", TOLD_AT_EXIT + program)
    assert done.code == 0, done.err
    return set(json.loads(done.out.rstrip().rpartition("\n")[2]))


def test_a_run_imports_little_but_sqlalchemy(project: Project) -> None:
    """Beyond what SQLAlchemy loads itself: few parts of the standard library, no other package."""
    project.write("flow", FIVE, prelude="")
    arguments = ["engine", "run", "flow", "-q", "--fresh"]
    assert project.run(*arguments[1:]).code == 0  # the first one makes the store, of its tables
    found = loaded(project, f"sys.argv = {arguments!r}\n{MAIN}")
    more = found - loaded(project, "import sqlalchemy")
    packages = {_package(name) for name in more if not _package(name).startswith("_")}
    assert packages <= OF_A_RUN | OWN | {"sqlalchemy"}
    assert {name for name in more if f"{name}.".startswith(OF_OTHER_RUNS)} == set()


def test_pages_are_loaded_after_the_first_dispatch(project: Project) -> None:
    """What a run's end alone needs is not there when its first attempt is claimed.

    Nor are time zones, of a workflow that names none: to load them takes 4 ms.
    """
    project.write("flow", FIVE, prelude="")
    armed = "import os, sys\nos.environ['KAHNBAN_FAILPOINTS'] = 'run-begun:raise'\n"
    program = f"{armed}{TOLD_AT_EXIT}sys.argv = ['engine', 'run', 'flow', '-q']\n{MAIN}"
    done = project.python("-c", program)
    assert done.code == 3, done.err
    found = set(json.loads(done.out.rstrip().rpartition("\n")[2]))
    assert "engine.session.live" in found
    assert "zoneinfo" not in found
    assert not [name for name in found if name.startswith(("engine.reports.html", "markupsafe"))]


FIVE = """
from engine import Step, Workflow

def nothing(ctx):
    pass

workflow = Workflow("flow")
for at in range(5):
    workflow.add(Step(f"s{at}", nothing, depends_on=[f"s{at - 1}"] if at else []))
"""

# Rooms of ours that such a run does not enter.
OF_OTHER_RUNS = (
    "engine.alerts.blocks.",
    "engine.alerts.delivery.",
    "engine.alerts.of_runs.",
    "engine.alerts.letter.",
    "engine.conditions.parser.",
    "engine.definitions.config.",
    "engine.definitions.fields.",
    "engine.schedule.",
    "engine.session.alert_facts.",
    "engine.session.backfill.",
    "engine.session.orphans.",
    "engine.testing.",
    "engine.workers.commands.",
    "engine.workers.isolation.",
    "engine.workers.processes.",
    "migrations.",
    "sqlalchemy.orm.",
    "store.migrate.",
    "store.restore.",
    "store.statements.",
    "store.successes.",
    "store.tables.",
    "store.verify.",
)


UNTIDY = """
class Untidy:
    file = open("left-open.txt", "w")
Untidy.file.write(f"store loaded: {'sqlalchemy' in sys.modules}")
workflow = Workflow("flow").add(Step("a", does("a")))
"""


@pytest.mark.parametrize("words", [["run", "flow", "-q"], ["run", "flow", "--dry-run"], ["list"]])
def test_what_a_workflow_leaves_open_is_written_out(project: Project, words: list[str]) -> None:
    """What the collector is kept away from is ours alone: it was loaded before the workflow."""
    project.write("flow", UNTIDY)
    assert project.run(*words).code == 0
    loaded = words == ["run", "flow", "-q"]
    left = (project.root / "left-open.txt").read_text("utf-8")
    assert left == f"store loaded: {loaded}"


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


UPGRADED = """
import time
from engine import shell

def upgrade(ctx):
    time.sleep(0.3)  # the run has settled in by then
    for name in [name for name in sys.modules if name.partition(".")[0] in ("engine", "store")]:
        known.add(name)
    sys.meta_path.insert(0, Upgrade())

known = set()

class Upgrade:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("engine", "store") and name not in known:
            raise ImportError(f"{name} of another version")

def slow(ctx):
    time.sleep(30)

workflow = (
    Workflow("flow")
    .add(Step("upgrade", upgrade))
    .add(Step("command", shell("true"), ["upgrade"], retries=0))
    .add(Step("isolated", does("a"), ["upgrade"], retries=0, isolate=True))
    .add(Step("asked", does("a"), ["upgrade"], retries=0, when="upgrade.status == 'ok'"))
    .add(Step("stopped", slow, ["upgrade"], retries=0, timeout=0.1))
)
"""


def test_steps_of_all_kinds_go_on_under_an_upgrade(project: Project) -> None:
    """What starts, judges or stops a step is there before the first of its kind is due."""
    project.write("flow", UPGRADED)
    done = project.run("run", "flow", "--json")
    notes = {step["name"]: step["note"] or step["status"] for step in json.loads(done.out)["steps"]}
    assert notes == {
        "upgrade": "ok",
        "command": "ok",
        "isolated": "ok",
        "asked": "ok",
        "stopped": "timed out; its thread is still running",
    }
