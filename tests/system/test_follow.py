"""`logs --follow`: what steps log, as it comes."""

from __future__ import annotations

import re
import signal
import subprocess

from tests.system.project import Project, wait_for

FLOW = """
def talks(ctx):
    print("begun")
    while not Path("go").exists():
        time.sleep(0.02)
    print("gone on")

workflow = Workflow("flow").add(Step("talks", talks)).add(Step("after", does("x"), ["talks"]))
workflow.add(Step("last", lambda ctx: print("the end"), ["after"]))
"""


def told(text: str) -> list[str]:
    """Give the lines without times and folders."""
    return [
        re.sub(r"^\d\d:\d\d:\d\d[+-]\d\d:\d\d |(?<=: )/\S+/", "", line)
        for line in text.splitlines()
    ]


def come(process: subprocess.Popen[str], wanted: str) -> str:
    """Read from a command until a text has come."""
    assert process.stdout is not None
    text = ""
    while wanted not in text:
        line = process.stdout.readline()
        assert line, text
        text += line
    return text


def test_logs_are_followed_until_the_run_ends(project: Project) -> None:
    """From what is there on, attempt by attempt; Ctrl-C ends it before."""
    project.write("flow", FLOW)
    run = project.start("run", "flow", "-q")
    log = project.home / "logs/flow/1/talks.1.log"
    wait_for(log.exists)
    one, other = project.start("logs", "-f"), project.start("logs", "1", "talks", "--follow")
    there = ["── talks, attempt 1: talks.1.log", "out     begun"]
    assert told(come(one, "begun")) == there
    assert told(come(other, "begun")) == there
    stopped = project.stopped(other, signal.SIGINT)
    assert (stopped.code, stopped.err) == (130, "")
    (project.root / "go").touch()
    out, err = one.communicate(timeout=20)
    assert (one.returncode, err) == (0, "")
    assert told(out) == ["out     gone on", "── last, attempt 1: last.1.log", "out     the end"]
    assert project.end(run, 0.0).code == 0
