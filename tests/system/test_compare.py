"""`why` and `diff` as people use them: of a failure, what goes on from it, and a live run."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing

from tests.system.project import Project

FLOW = """
def fetch(ctx):
    if not Path("go").exists():
        raise ValueError("hush-hush \\x1b[31m")
    return 7

workflow = (
    Workflow("flow")
    .add(Step("fetch", fetch, retries=1, backoff=0.01))
    .add(Step("load", lambda ctx: ctx["fetch"], depends_on=["fetch"]))
    .add(Step("slow", lambda ctx: time.sleep(float(os.environ.get("NAP", "0")))))
    .add(Step("last", lambda ctx: 1, depends_on=["slow"]))
)
"""
SECRET = {"SLACK_WEBHOOK_URL": "hush-hush"}


def files(project: Project) -> dict[str, tuple[int, int]]:
    """Give sizes and times of change of all files of the home folder."""
    found = (path for path in project.home.rglob("*") if path.is_file())
    kept = [path for path in found if not path.name.endswith(("-wal", "-shm"))]
    stats = [(str(path), path.stat()) for path in kept]
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats}


def test_why_and_diff_of_a_failure_and_what_goes_on_from_it(project: Project) -> None:
    """The cause in one sentence, masked and harmless; nothing is written; mistakes are told."""
    project.write("flow", FLOW)
    assert project.run("run", "flow", "-q").code == 1
    (project.root / "go").touch()
    assert project.run("run", "flow", "-q").code == 0
    before = files(project)

    told = project.run("why", "1", "load", **SECRET).out.splitlines()
    assert told[0] == (
        r"'load' was skipped: 'fetch' failed (2 of 2 attempts): ValueError: *** \x1b[31m"
    )
    assert [re.sub(r"^ +[\d:.]+  ", "", line) for line in told[1:]] == [
        "run 1 began anew: first run with these parameters",
        "'fetch' had ended, failed",
        "its trigger rule is all_success, and 'fetch' failed",
        "so it was skipped",
    ]
    found = json.loads(project.run("why", "latest", "slow", "--json").out)
    assert found["answer"] == "'slow' was not run again: ok in run 1"
    assert (found["run_id"], found["status"]) == (2, "cached")
    assert [fact["what"] for fact in found["facts"]] == ["begun", "cached"]

    assert project.run("diff", "1", "flow").out.splitlines() == [
        "run 2 of 'flow', against run 1:",
        "  how it began",
        "    begun by hand, on from run 1; before by hand, anew",
        "  outcome",
        "    the run is ok, was failed",
        "  steps",
        "    'fetch': ok, before failed",
        "    'load': ok, before skipped",
        "    'slow' and 'last': cached, before ok",
        "  attempts",
        "    'fetch': 1 attempt, 2 before",
    ]
    wrong = project.run("why", "1", "lod")
    assert wrong.code == 2
    assert wrong.error.startswith("error: run 1 has no step 'lod' (did you mean 'load'?)\n")
    assert files(project) == before

    asked = """SELECT id, reason, choices, e.package, (SELECT count(*) FROM decisions
               WHERE run_id = id) AS decided FROM runs JOIN environments e ON e.run_id = id
               WHERE package = 'sqlalchemy' ORDER BY id"""
    with closing(sqlite3.connect(f"file:{project.store}?mode=ro", uri=True)) as connection:
        assert connection.execute(asked).fetchall() == [
            (1, "first run with these parameters", "{}", "sqlalchemy", 3),
            (2, "run 1 failed", '{"redo":2,"reuse":2}', "sqlalchemy", 0),
        ]


def test_why_of_a_live_run_and_of_one_that_was_killed(project: Project) -> None:
    """What waits names what runs; once the engine is dead, that is told at once."""
    project.write("flow", FLOW)
    (project.root / "go").touch()
    assert project.run("run", "flow", "-q").code == 0
    process = project.start("run", "flow", "--fresh", "-q", NAP="60")
    until = time.monotonic() + 20
    text = ""
    while "is running" not in text and time.monotonic() < until:
        text = project.run("why", "latest", "last").out
    assert re.match(
        r"'last' waits for 'slow', which is running since [\d:]+ \(\S+\) and usually takes", text
    )
    process.kill()
    process.communicate()
    assert project.run("why", "2", "last").out.startswith(
        "'last' was not started: the run was interrupted: its engine died"
    )
