"""What `check --explain` says is what a run would do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.board import Board
from engine.events import Action, EndStep
from engine.model import Definition, StepStatus
from engine.reports.explain import GROUPS_MAX, explain, explained
from engine.workflow import Workflow
from tests.builders import definition, nothing, plan, steps

OUTCOMES = {"if_failed": StepStatus.FAILED, "if_skipped": StepStatus.SKIPPED}


def flow(text: str, **whens: Any) -> Definition:
    """Make a workflow of a text, with conditions of some steps."""
    made = Workflow("made", params={"n": 1, "t": True})
    for step in steps(text):
        made.step(
            step.name,
            depends_on=step.depends_on,
            trigger_rule=step.trigger_rule,
            when=whens.get(step.name),
        )(nothing)
    return made.definition()


def ended(text: str, step: int, status: StepStatus) -> dict[str, tuple[str, str]] | None:
    """Drive the board of a real run to its end; None if the step never has its turn."""
    compiled = plan(text)
    board = Board(compiled, [])
    actions: list[Action] = []
    board.decide_fresh(0.0, actions)
    while board.ready:
        at, _ = board.claim()
        board.end(at, status if at == step else StepStatus.OK, "", 0.0, actions)
    ends = [one for one in actions if isinstance(one, EndStep)]
    if not any(one.step == step and one.status is status and not one.note for one in ends):
        return None
    names = compiled.graph.names
    return {names[one.step]: (str(one.status), one.note) for one in ends}


@st.composite
def graphs(draw: st.DrawFn) -> str:
    """Draw a graph of a few steps with rules."""
    words = []
    for at in range(draw(st.integers(2, 9))):
        ups = draw(st.lists(st.integers(0, at - 1), unique=True, max_size=3)) if at else []
        rule = draw(st.sampled_from(["all_success", "none_failed", "all_done", "one_failed"]))
        above = ">" + ",".join(f"s{up}" for up in ups) if ups else ""
        words.append(f"s{at}{above}:{rule}")
    return " ".join(words)


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_a_run_does_what_is_told(text: str) -> None:
    """Each step below ends as it is told, with the same note."""
    for at, row in enumerate(explain(definition(text))):
        for key, status in OUTCOMES.items():
            real = ended(text, at, status)
            if real is None:
                continue
            for effect in row[key]:
                found, note = real[effect["step"]]
                if effect["then"] == "runs":
                    assert found == "ok"
                else:
                    assert (effect["then"], effect["why"]) == (found, note)


def test_five_steps() -> None:
    """Who is skipped and why, who runs all the same, and who only now."""
    text = "fetch load>fetch report>load:none_failed alarm>load:one_failed tidy>report:all_done"
    assert explained(explain(definition(text))) == (
        "fetch\n"
        "  if it fails:        load, report: skipped (dependency failed: fetch)\n"
        "                      alarm: runs (one_failed)\n"
        "                      tidy: runs (all_done)\n"
        "  if it is skipped:   load: skipped (dependency skipped: fetch)\n"
        "                      report: runs (none_failed)\n"
        "                      alarm: skipped as usual (no dependency failed)\n"
        "                      tidy: runs (all_done)\n"
        "load\n"
        "  if it fails:        report: skipped (dependency failed: load)\n"
        "                      alarm: runs (one_failed)\n"
        "                      tidy: runs (all_done)\n"
        "  if it is skipped:   report: runs (none_failed)\n"
        "                      alarm: skipped as usual (no dependency failed)\n"
        "                      tidy: runs (all_done)\n"
        "report\n"
        "  if it fails:        tidy: runs (all_done)\n"
        "  if it is skipped:   tidy: runs (all_done)\n"
        "nothing comes after alarm, tidy"
    )


# A graph, conditions by step, and what is told of those below the first step if that fails.
CONDITIONS = """
    what hangs on values is told as it is, and so is what hangs on that
a b>a c>a:all_done d>c | c: params.n > 0 | c: runs if params.n > 0 | d: runs if 'c' runs
a b>a:all_done | b: params.n > 1 or params.n < 0 | b: runs if params.n > 1 or params.n < 0
a b>a:all_done | b: function | b: runs if its condition holds
    statuses are known
a b>a:all_done | b: a.status == "failed" | b: runs (all_done)
a b>a:all_done | b: a.status in ["failed", "ok"] | b: runs (all_done)
a b>a:all_done | b: a.status == "ok" | b: skipped (condition false: a.status == "ok")
a b>a:all_done | b: a.status == "ok" and a.x | b: skipped (condition false: a.status == "ok" and a.x)
a b>a:all_done | b: a.status == "failed" or a.x | b: runs (all_done)
a b>a:all_done | b: a.status == "failed" and params.t | b: runs if a.status == "failed" and params.t
a b>a c>b:all_done | c: b.status == "skipped" | b: skipped (dependency failed: a) | c: runs (all_done)
a b>a:all_done | b: not a.status == "failed" | b: skipped (condition false: not a.status == "failed")
    what a failed step has not left
a b>a:all_done c>b | b: a.x | b: fails (its condition: it reads a.x, and 'a' is failed)
a b>a:all_done c>b | b: a.x | c: skipped (dependency failed: b)
a b>a:all_done | b: params.t and a.x | b: runs if params.t and a.x
    what is so in any run
a z b>a,z:all_done | z: false | b: z.status == "ok" | b: skipped as usual (condition false: z.status == "ok")
a z b>a,z:all_done c>b | z: false | b: z.status == "ok" | c: skipped as usual (dependency skipped: b)
    beside it, a step that hangs on its condition
a z b>a:all_done c>b,z | z: params.t | b: runs (all_done) | c: runs if 'z' runs
"""  # noqa: E501 - a table


@pytest.mark.parametrize("line", [one for one in CONDITIONS.splitlines() if "|" in one])
def test_conditions(line: str) -> None:
    """Statuses decide, values are left open, and what is not there is an error."""
    text, *parts = line.split(" | ")
    told = [part for part in parts if re.match(r". *: (runs|skipped|fails)\b", part)]
    whens = dict(part.split(": ", 1) for part in parts if part not in told)
    row = explain(
        flow(
            text, **{name: when if when != "function" else nothing for name, when in whens.items()}
        )
    )[0]
    found = []
    for effect in row["if_failed"]:
        why = f" {effect['why']}" if effect["then"] == "runs if" else f" ({effect['why']})"
        usual = " as usual" if effect["usual"] and effect["then"] == "skipped" else ""
        found.append(f"{effect['step']}: {effect['then']}{usual}{why if effect['why'] else ''}")
    assert told
    assert [one for one in told if one not in found] == [], found


def test_a_hundred_steps() -> None:
    """Those of equal effect are told of once, and long lists are cut."""
    text = " ".join(
        ["s", *(f"x{at}>s" for at in range(98)), "j>" + ",".join(f"x{at}" for at in range(98))]
    )
    assert explained(explain(definition(text))) == (
        "s\n"
        "  if it fails:        x0, x1, x2, x3, x4, x5 and 93 more: skipped (dependency failed: s)\n"
        "  if it is skipped:   x0, x1, x2, x3, x4, x5 and 93 more:"
        " skipped (dependency skipped: s, …)\n"
        "x0, x1, x2, x3, x4, x5 and 92 more\n"
        "  if one fails:       j: skipped (dependency failed: NAME)\n"
        "  if one is skipped:  j: skipped (dependency skipped: NAME)\n"
        "nothing comes after j"
    )


def test_a_long_chain_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not shown is counted; what would take too long is not worked out."""
    count, most = 150, 9_000
    monkeypatch.setattr("engine.reports.explain.WORK_MAX", most)
    rows = explain(definition(" ".join(["s0", *(f"s{at}>s{at - 1}" for at in range(1, count))])))
    known = [row for row in rows if row["if_failed"] is not None]
    assert most <= sum(len(row["if_failed"]) for row in known) < most + count
    lines = explained(rows).split("\n")
    assert lines[-2] == f"and {len(known) - GROUPS_MAX} more, told in full by --json"
    assert lines[-1].startswith(f"too long to work out for s{len(known)}, s{len(known) + 1}, ")
    assert lines[-1].endswith(f" and {count - len(known) - 6} more")


def test_a_failure_beside_it_is_known_at_any_distance() -> None:
    """What a condition is sure to fail on in any run keeps its root's name."""
    made = flow("a z w>z:all_done v>w b>a,v:none_failed", z="false", w="z.x")
    (effect,) = explain(made)[0]["if_skipped"]
    assert effect == {
        "step": "b",
        "then": "skipped",
        "why": "dependency failed: w",
        "usual": True,
    }
