"""`sql` as people use it."""

from __future__ import annotations

import json
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.system.project import Project

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"


def test_questions_and_mistakes(project: Project) -> None:
    """An answer in each form, masked; no store, and a wrong word."""
    missing = project.run("sql", "SELECT 1")
    assert missing.code == 3
    assert missing.error.startswith("error: there is no store ")

    project.write("flow", "workflow = Workflow('flow').add(Step('a', lambda ctx: 'hush-hush'))\n")
    assert project.run("run", "flow", "-q").code == 0
    asked = "SELECT step, status, data FROM step_runs JOIN outputs USING (run_id, step)"
    secret = {"SLACK_WEBHOOK_URL": "hush-hush"}
    assert project.run("sql", asked, **secret).out == (
        'step  status  data\na     ok      "***"\n(1 row)\n'
    )
    told = project.run("sql", asked, "--json", **secret).out
    assert json.loads(told) == [{"step": "a", "status": "ok", "data": '"***"'}]
    assert project.run("sql", asked, "--csv", **secret).out == (
        'step,status,data\na,ok,"""***"""\n'
    )
    assert "\nrun_summary " in project.run("sql").out
    wrong = project.run("sql", "SELECT * FROM runz")
    assert (wrong.code, wrong.out) == (2, "")
    assert "did you mean 'runs'?" in wrong.error


def test_ctrl_c_stops_a_long_search(project: Project) -> None:
    """At once, with the code that shells know."""
    project.write("flow", "workflow = Workflow('flow').add(Step('a', lambda ctx: 1))\n")
    project.run("run", "flow", "-q")
    for number in (signal.SIGINT, signal.SIGTERM):
        begun = time.monotonic()
        process = project.start("sql", ENDLESS)
        while not _has_open(process.pid, "runs.db"):
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(number)
        result = project.end(process, begun, limit_s=5)
        assert result.code == 128 + number


def _has_open(pid: int, name: str) -> bool:
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(each.readlink().name)
    return name in found
