"""Conditions in real runs: in threads, commands and processes, after a kill, under a cancel."""

from __future__ import annotations

import json
import time

from tests.system.project import CHECKOUT, Project, notes, statuses

FLOW = """\
params: {least: 1}
steps:
  - name: fetch
    command: |
      echo fetch >> effects.txt
      echo '{"rows": 3, "note": "a rather long text that nobody wants to read to its end"}' \\
        > "$KAHNBAN_OUTPUT"
  - {name: fails, command: exit 3, retries: 0}
  - name: dump
    command: echo dump >> effects.txt
    depends_on: [fetch]
    when: fetch.rows > params.least
  - name: large
    fn: helpers.tell
    isolate: true
    depends_on: [fetch]
    when: fetch.rows > 100 or fetch.note == "large"
  - name: told
    fn: helpers.tell
    isolate: true
    depends_on: [dump, large]
    trigger_rule: none_failed
    when: large.status == "skipped" and fetch.status == "ok"
  - name: wrong
    command: echo wrong >> effects.txt
    depends_on: [fetch]
    when: fetch.note > 5
  - name: missing
    fn: helpers.tell
    isolate: true
    depends_on: [fetch, fails]
    trigger_rule: all_done
    when: fails.rows > 5
  - name: alarm
    fn: helpers.tell
    depends_on: [fails, fetch]
    trigger_rule: one_failed
    when: fails.status == "failed" and fetch.status != "failed"
  - name: calm
    command: echo calm >> effects.txt
    depends_on: [fails]
    trigger_rule: all_done
    when: fails.status == "ok" and fails.rows > 0
"""

HELPERS = """\
def tell(ctx):
    above = {"told": ["fetch", "dump", "large"], "alarm": ["fails", "fetch"]}
    return {step: ctx.status(step) for step in above[ctx.step]}
"""


def test_in_threads_commands_and_processes(project: Project) -> None:
    """The same everywhere: what decides, what is recorded, what cannot be decided."""
    (project.root / "helpers.py").write_text(HELPERS)
    (project.root / "pipelines" / "flow.yaml").write_text(FLOW)
    report = project.report("flow", code=1)
    assert statuses(report) == {
        **dict.fromkeys(("fetch", "dump", "told", "alarm"), "ok"),
        **dict.fromkeys(("fails", "wrong", "missing"), "failed"),
        **dict.fromkeys(("large", "calm"), "skipped"),
    }
    note = notes(report)
    large = (
        'condition false: fetch.rows > 100 or fetch.note == "large" (fetch.rows is 3,'
        ' fetch.note is "a rather long text that nobody wants to…")'
    )
    assert note["large"] == large
    assert note["calm"] == (
        'condition false: fails.status == "ok" and fails.rows > 0 (fails.status is "failed")'
    )
    assert note["wrong"] == (
        "ConditionError: condition 'fetch.note > 5' cannot be decided: fetch.note is text and"
        " 5 is a number: the two cannot be compared"
    )
    assert note["missing"] == (
        "ConditionError: condition 'fails.rows > 5' cannot be decided: step 'fails' is failed"
        " and left no 'rows' (write fails.status == \"ok\" and … to ask only then)"
    )
    tries = {step["name"]: step["attempts"] for step in report["steps"]}
    assert (tries["wrong"], tries["missing"]) == (1, 1)
    assert project.effects() == ["fetch", "dump"]
    values = dict(project.rows("SELECT key, data FROM outputs WHERE step IN ('told', 'alarm')"))
    told = {key: bytes(value).decode().replace(" ", "") for key, value in values.items()}
    assert told == {
        "told": '{"fetch":"ok","dump":"ok","large":"skipped"}',
        "alarm": '{"fails":"failed","fetch":"ok"}',
    }
    shown = project.run("show", "flow")
    assert large in shown.out
    assert large in (project.home / "logs" / "flow.log").read_text()


def test_a_dry_run_tells_conditions(project: Project) -> None:
    """As they are written, in their normal form."""
    project.write(
        "flow",
        """
workflow = (
    Workflow("flow")
    .add(Step("a", does("a")))
    .add(Step("b", does("b"), ["a"], when="a=='x' or  a.rows>0"))
    .add(Step("c", does("c"), ["b"], when="a.rows > 1 or a.status == 'ok'"))
)
""",
    )
    plan = project.report("flow", "--dry-run")["plan"]
    assert [row["what"] for row in plan] == [
        "would run",
        'would run if a == "x" or a.rows > 0',
        "would run if 'b' runs and (a.rows > 1 or a.status == \"ok\")",
    ]


KILLED = """
def fetch(ctx):
    effect("fetch")
    ctx["rows"] = 3
    return {"day": date(2024, 2, 29)}

workflow = (
    Workflow("flow")
    .add(Step("fetch", fetch))
    .add(Step("bad", broken, retries=0))
    .add(Step("few", does("few"), ["fetch"], when="fetch.rows > 5"))
    .add(Step("many", does("many"), ["fetch"], when="fetch.rows > 2 and fetch.day < '2024-03-01'"))
    .add(Step("join", does("join"), ["few", "many"], trigger_rule="none_failed",
              when="few.status == 'skipped' and many.status == 'ok' and fetch.status == 'ok'"))
    .add(Step("care", does("care"), ["bad", "join"], trigger_rule="all_done",
              when="bad.status == 'failed'"))
)
"""


def test_a_killed_run_goes_on_with_the_same_decisions(project: Project) -> None:
    """Wherever the engine is killed; a step that is reused reads `ok`."""
    project.write("flow", KILLED)
    whole = project.report("flow", "--fresh", "--workers", "1", code=1)
    assert statuses(whole)["care"] == "ok"
    for commit in (3, 5):
        armed = {"KAHNBAN_FAILPOINTS": f"tick-after-commit:kill@{commit}"}
        killed = project.run("run", "flow", "--fresh", "--workers", "1", **armed)
        assert killed.code == -9
        report = project.report("flow", "--workers", "1", code=1)
        told = {step: word.replace("cached", "ok") for step, word in statuses(report).items()}
        assert told == statuses(whole)
        for step in ("few", "bad"):
            assert notes(report)[step] == notes(whole)[step]
        assert "cached" in statuses(report).values()


def test_cleanup_steps_see_how_a_cancel_ended_the_others(project: Project) -> None:
    """What ran is `interrupted`, what had not begun is `cancelled`."""
    project.write(
        "flow",
        """
def loops(ctx):
    effect("loops")
    while True:
        time.sleep(0.01)

workflow = (
    Workflow("flow")
    .add(Step("loops", loops))
    .add(Step("next", does("next"), ["loops"]))
    .add(Step("tidy", does("tidy"), ["next"], trigger_rule="all_done",
              when="loops.status == 'interrupted' and next.status == 'cancelled'"))
    .add(Step("not", does("not"), ["next"], trigger_rule="all_done", isolate=True,
              when="next.status == 'ok' or loops.status in ['ok', 'failed']"))
    .add(Step("own", lambda ctx: effect(ctx.status("loops")), ["tidy"], trigger_rule="all_done"))
)
""",
    )
    process = project.start("run", "flow", "--json")
    project.wait_for_effect("loops")
    assert project.run("cancel", "flow").code == 0
    ended = project.end(process, time.monotonic())
    assert project.effects() == ["loops", "tidy", "interrupted"]
    assert notes(ended.report)["not"] == (
        'condition false: next.status == "ok" or loops.status in ["ok", "failed"]'
        ' (next.status is "cancelled", loops.status is "interrupted")'
    )


TABLE = """
def fetch(ctx):
    ctx["rows"] = 3

workflow = (
    Workflow("flow")
    .add(Step("fetch", fetch))
    .add(Step("0", does("0"), ["fetch"], when="fetch.rows > 2"))
    .add(Step("1", does("1"), ["fetch"], when="fetch.rows > 5"))
    .add(Step("2", does("2"), ["fetch"], when="fetch.row > 5"))
    .add(Step("3", does("3"), ["fetch"], when=lambda ctx: ctx["rows"] > 5))
)
"""


def test_the_table_in_the_documents(project: Project) -> None:
    """What it says of conditions is what a run records."""
    project.write("flow", TABLE)
    report = project.report("flow", code=1)
    text = (CHECKOUT / "docs" / "when-steps-run.md").read_text("utf-8")
    _, _, rest = text.partition("| its condition | the step | its note |\n|---|---|---|\n")
    rows = [[cell.strip() for cell in line.split("|")[2:4]] for line in rest.splitlines()[:4]]
    assert rows == [
        [f"`{statuses(report)[step]}`", f"`{notes(report)[step]}`" if notes(report)[step] else ""]
        for step in "0123"
    ]


def test_check_explains(project: Project) -> None:
    """What a failure or a skip would do, for people and as JSON; nothing runs."""
    project.write(
        "flow",
        """
workflow = (
    Workflow("flow")
    .add(Step("a", does("a")))
    .add(Step("b", does("b"), ["a"], when="a.rows > 0"))
    .add(Step("tidy", does("tidy"), ["b"], trigger_rule="all_done"))
)
""",
    )
    result = project.run("check", "flow", "--explain")
    assert (result.code, result.out) == (
        0,
        (
            "flow: ok, 3 steps\n"
            "a\n"
            "  if it fails:        b: skipped (dependency failed: a)\n"
            "                      tidy: runs (all_done)\n"
            "  if it is skipped:   b: skipped (dependency skipped: a)\n"
            "                      tidy: runs (all_done)\n"
            "b\n"
            "  if it fails:        tidy: runs (all_done)\n"
            "  if it is skipped:   tidy: runs (all_done)\n"
            "nothing comes after tidy\n"
        ),
    )
    (row,) = json.loads(project.run("check", "flow", "--explain", "--json").out)
    assert row["explain"][1] == {
        "step": "b",
        "if_failed": [{"step": "tidy", "then": "runs", "why": "all_done", "usual": True}],
        "if_skipped": [{"step": "tidy", "then": "runs", "why": "all_done", "usual": True}],
    }
    assert project.effects() == []


def test_a_run_of_chosen_steps_sees_how_the_others_ended(project: Project) -> None:
    """As a whole run would have: with the values they left, and the statuses they ended with."""
    project.write("flow", KILLED)
    assert project.run("run", "flow", "-q").code == 1
    report = project.report("flow", "--only", "care,join", "--workers", "1")
    assert (statuses(report)["join"], statuses(report)["care"]) == ("ok", "ok")
    given = ("--mark-done", "fetch", "--output", "rows=9", "--output", 'day="2024-02-28"')
    marked = project.report("flow", "--fresh", "--mark-done", "bad", *given)
    assert notes(marked)["care"] == 'condition false: bad.status == "failed" (bad.status is "ok")'
    assert statuses(marked)["few"] == "ok"
