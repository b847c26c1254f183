"""Incidents of real runs: what is listed, and what is sent."""

from __future__ import annotations

import json
import re

from tests.system.alert_servers import slack_api
from tests.system.project import Project

FLOW = """
def body(ctx):
    if Path("fail").exists():
        raise ValueError(f"row {time.time_ns()} of '/tmp/x'")

workflow = Workflow("flow").add(Step("work", body, retries=1, backoff="0.01s"))
"""


def test_a_trouble_from_its_first_failure_to_its_end(project: Project) -> None:
    """After the last retry; reminded of; listed as long as it goes on; closed when it is ok."""
    project.write("flow", FLOW)
    (project.root / "fail").touch()
    with slack_api() as served:
        env = {
            "SLACK_BOT_TOKEN": "xoxb-1-2-s3cr3t",
            "SLACK_CHANNEL": "C1",
            "KAHNBAN_SLACK_API": served.url,
        }
        assert project.run("run", "flow", **env).code == 1
        assert (
            project.run("run", "flow", "--scheduled", ENGINE_REMIND_AFTER="0.1s", **env).code == 1
        )
        head, listed = project.run("incidents").out.splitlines()
        (project.root / "fail").unlink()
        assert project.run("run", "flow", "--scheduled", **env).code == 0
        texts = [(method, body["text"]) for method, body in served.calls]
    about = r"ValueError: row \d+ of '/tmp/x'"
    columns = r"INCIDENT +OF +WHEN +FAILURES +LAST RUN +ERROR"
    assert re.fullmatch(columns, head)
    line = rf" +1  flow / work  open since today \d\d:\d\d +2 +2  {about}"
    assert re.fullmatch(line, listed)
    assert re.fullmatch(f"flow failed: work: {about}", texts[0][1])
    assert [method for method, _ in texts] == [
        "chat.postMessage",
        *["chat.postMessage", "chat.update"] * 2,
    ]
    assert re.fullmatch(r"flow still fails: work, 2 failures in [\d.]+s", texts[1][1])
    assert re.fullmatch(r"flow recovered after 2 failures, [\d.]+s: work", texts[3][1])
    assert project.run("incidents").out == "no open incidents\n"
    assert project.run("incidents", "folw", "--all").out == "no incidents of 'folw'\n"
    (row,) = json.loads(project.run("incidents", "flow", "--all", "--json").out)
    assert (row["failures"], row["opened_run"], row["closed_run"]) == (2, 1, 3)


def test_when_to_remind_is_a_duration(project: Project) -> None:
    """Anything else is told before the run begins."""
    project.write("flow", FLOW)
    refused = project.run("run", "flow", ENGINE_REMIND_AFTER="soon")
    assert refused.code == 2
    assert "error: ENGINE_REMIND_AFTER is 'soon', not a duration" in refused.err
    assert project.rows("SELECT * FROM runs") == []
