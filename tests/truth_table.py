"""The truth table of trigger rules, made by the board that runs are driven by.

`python -m tests.truth_table` prints it as `docs/when-steps-run.md` shows it.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.board import Board
from engine.events import Action, EndStep
from engine.model import StepStatus, TriggerRule
from engine.plan import StepState
from tests.builders import plan


class Row(NamedTuple):
    """A graph above the step in question, how its steps end, and what stops the run meanwhile."""

    told: str
    shape: str
    upstreams: str
    ends: dict[str, str]
    stopped_by: str = ""


ROWS = (
    Row("`a` is `ok`", "a", "a", {"a": "ok"}),
    Row("`a` is `cached`", "a", "a", {"a": "cached"}),
    Row("`a` is `failed`", "a", "a", {"a": "failed"}),
    Row("`a` is `skipped`, by its condition or `Skip`", "a", "a", {"a": "skipped"}),
    Row("`a` is `skipped`, as `root` failed", "root a>root", "a", {"root": "failed"}),
    Row("`a` is `skipped`, as `root` was", "root a>root", "a", {"root": "skipped"}),
    Row("`a` is `ok`, `b` is `failed`", "a b", "a,b", {"a": "ok", "b": "failed"}),
    Row("`a` is `ok`, `b` is `skipped` by itself", "a b", "a,b", {"a": "ok", "b": "skipped"}),
    Row(
        "`a` is `failed`, `b` is `skipped` by itself", "a b", "a,b", {"a": "failed", "b": "skipped"}
    ),
    Row("`a` is `ok`, in a run that is cancelled", "a", "a", {"a": "ok"}, "cancel"),
    Row("`a` is `interrupted` by a cancel", "a", "a", {"a": "interrupted"}, "cancel"),
    Row("`a` is `cancelled`", "first a>first", "a", {"first": "interrupted"}, "cancel"),
    Row("`a` is `interrupted` by a signal", "a", "a", {"a": "interrupted"}, "signal"),
)


def outcome(row: Row, rule: TriggerRule) -> str:
    """Say what becomes of a step of this rule below the steps of a row."""
    compiled = plan(f"{row.shape} it>{row.upstreams}:{rule}")
    names = compiled.graph.names
    cached = StepState(StepStatus.CACHED)
    states = [cached if row.ends.get(name) == "cached" else StepState() for name in names]
    board = Board(compiled, states)
    actions: list[Action] = []
    board.decide_fresh(0.0, actions)
    while board.ready:
        step, _ = board.claim()
        if names[step] == "it":
            return "runs"
        if row.stopped_by == "cancel":
            board.clean_up(0.0, actions)
        elif row.stopped_by == "signal":
            board.end_unstarted(0.0, actions)
        board.end(step, StepStatus(row.ends[names[step]]), "", 0.0, actions)
    (end,) = (one for one in actions if isinstance(one, EndStep) and names[one.step] == "it")
    return f"{end.status}: `{end.note}`"


def table() -> list[str]:
    """Give the table's lines."""
    head = ["its upstreams", *(f"`{rule}`" for rule in TriggerRule)]
    rows = [[row.told, *(outcome(row, rule) for rule in TriggerRule)] for row in ROWS]
    lines = [f"| {' | '.join(cells)} |" for cells in [head, *rows]]
    return [lines[0], "|---" * len(head) + "|", *lines[1:]]


if __name__ == "__main__":
    print("\n".join(table()))
