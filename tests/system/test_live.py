"""The live display of a run, at a real terminal."""

from __future__ import annotations

import re

from tests.system.project import Project
from tests.system.pseudo import Terminal
from tests.system.test_slots import missed

FLOW = """
import threading

def waits(ctx):
    while not Path("go").exists():
        time.sleep(0.02)

def later(ctx):
    raise RetryAfter(50)

def quick(ctx):
    threading.Thread(target=lambda: print("a thread of a step's own")).start()
    time.sleep(0.4)

workflow = (
    Workflow("flow")
    .add(Step("quick", quick))
    .add(Step("日本語", waits, ["quick"]))
    .add(Step("later", later, ["quick"], retries=1))
)
"""


def undated(lines: list[str]) -> list[str]:
    """Give lines without the time of day, and with every duration as `Ns`."""
    return [re.sub(r"[\d.]+m?s\b", "Ns", re.sub(r"^\d\d:\d\d:\d\d ", "", line)) for line in lines]


def test_a_run_is_shown_while_it_is_on(project: Project) -> None:
    """Lines above, the block below, also in a window made narrower; at the end it is gone."""
    project.write("flow", FLOW)
    terminal = Terminal(project, "run", "flow")
    terminal.wait_for(lambda lines: any("attempt 2" in line for line in lines))
    lines = undated(terminal.screen.shown)
    assert lines[-4:] == [
        "━━━━━━──────────────  1/3  1 retried",
        "▶ 日本語  Ns",
        "⏱ later   retry in Ns, attempt 2",
        "",
    ]
    assert "a thread of a step's own" in lines
    assert lines[-5] == "WARNING ✗ later failed (RetryAfter: retry after Ns); retry in Ns"
    terminal.resize(45)
    terminal.wait_for(lambda lines: lines[-4].count("━") == 3)
    assert undated(terminal.screen.shown)[-4:] == [
        "━━━────────  1/3  1 retried",
        *lines[-3:],
    ]
    terminal.type("\x03")
    (project.root / "go").touch()
    assert terminal.ended() == 130
    shown = terminal.screen.shown
    assert "INFO    ✓ 日本語 in Ns" in undated(shown)
    assert not [line for line in shown if "━" in line or "retry in 9" in line]


CAUGHT_UP = """
def waits(ctx):
    while not Path("go").exists():
        time.sleep(0.02)
    Path("go").unlink()

workflow = Workflow("flow", schedule="daily", tz="UTC", catchup="all").add(Step("waits", waits))
"""


def test_each_run_of_a_catch_up_is_shown(project: Project) -> None:
    """The second has its block, too; it outlives Ctrl-C, which leaves the slots after it due."""
    project.write("flow", CAUGHT_UP)
    go = project.root / "go"
    go.touch()
    assert project.run("run", "flow", "--scheduled").code == 0
    missed(project, 3)
    terminal = Terminal(project, "run", "flow", "--scheduled")
    terminal.wait_for(lambda lines: lines[-2:][0].startswith("▶ waits  "))
    go.touch()
    terminal.wait_for(lambda lines: "✓ flow, run 2: ok in" in "".join(lines))
    terminal.wait_for(lambda lines: lines[-2:][0].startswith("▶ waits  "))
    terminal.type("\x03")
    terminal.wait_for(lambda lines: "WARNING stopping: " in "".join(lines))
    go.touch()
    assert terminal.ended() == 130
    assert project.rows("SELECT DISTINCT status FROM runs") == [("ok",)]
    assert project.rows("SELECT count(*) FROM slots") == [(3,)]
