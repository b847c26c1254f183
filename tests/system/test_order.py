"""Which ready step goes first, by what earlier runs took; told by the store, and repeated."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import Step, Workflow

STORE = "sqlite:///runs.db"
Body = Callable[[Any], None]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Bodies:
    """Steps' bodies, which note in what order they began."""

    def __init__(self) -> None:
        """Nothing has begun."""
        self.began: list[str] = []
        self.fails = False

    def of(self, name: str, takes_s: float = 0.0) -> Body:
        """Give a step's body."""

        def body(_: Any) -> None:
            self.began.append(name)
            time.sleep(takes_s)
            if self.fails and name == "b":
                raise ValueError("no luck")

        return body

    def run(self, workflow: Workflow) -> str:
        """Run with one worker, anew; gives the order."""
        self.began.clear()
        workflow.run(workers=1, store=STORE, fresh=True)
        return " ".join(self.began)


def made(bodies: Bodies, **options: Any) -> Workflow:
    """Make `a` and `b`, of which `b` has more below it, and `c`, which takes longer than all."""
    return (
        Workflow("flow", **options)
        .add(Step("a", bodies.of("a")))
        .add(Step("b", bodies.of("b"), retries=0))
        .add(Step("end", bodies.of("end"), depends_on=["b"]))
        .add(Step("c", bodies.of("c", 0.03)))
    )


def order_of(run: int) -> dict[str, float]:
    """Read what a run was ordered by."""
    with sqlite3.connect("runs.db") as connection:
        rows = connection.execute("SELECT step, weight_s FROM run_order WHERE run_id = ?", [run])
        return dict(rows.fetchall())


def test_the_longest_path_by_history_goes_first() -> None:
    """The first run goes by steps alone; later ones know what takes long, and say so."""
    bodies = Bodies()
    workflow = made(bodies)
    assert bodies.run(workflow) == "b a end c"
    assert order_of(1) == {}
    for run in (2, 3, 4):
        assert bodies.run(workflow).startswith("c ")
        assert sorted(order_of(run)) == ["a", "b", "c", "end"]
        assert order_of(run)["c"] == max(order_of(run).values())
    with sqlite3.connect("runs.db") as connection:
        [(median_us,)] = connection.execute(
            "SELECT finished_at - started_at FROM attempt_rows WHERE position = 3 AND run_id < 4"
            " ORDER BY 1 LIMIT 1 OFFSET 1"
        )
    assert order_of(4)["c"] == median_us / 1e6


def test_first_in_first_out_asks_no_history() -> None:
    """Ready steps go as they became ready; nothing is recorded of it."""
    bodies = Bodies()
    workflow = made(bodies, order="fifo")
    for run in (1, 2):
        assert bodies.run(workflow) == "a b c end"
        assert order_of(run) == {}


def test_nothing_is_weighed_where_no_step_waits_for_a_worker() -> None:
    """Then the order of a run makes no difference."""
    workflow = made(Bodies())
    for run in (1, 2):
        workflow.run(workers=4, store=STORE, fresh=True)
        assert order_of(run) == {}
    workflow.run(workers=3, store=STORE, fresh=True)
    assert sorted(order_of(3)) == ["a", "b", "c", "end"]


def test_a_continued_run_is_weighed_anew() -> None:
    """By all that is known as it begins; what it takes over weighs nothing."""
    bodies = Bodies()
    workflow = made(bodies)
    bodies.fails = True
    bodies.run(workflow)
    bodies.fails = False
    bodies.began.clear()
    assert workflow.run(workers=1, store=STORE)["resumed_from"] == 1
    assert bodies.began == ["b", "end"]
    weights = order_of(2)
    assert (weights["a"], weights["c"]) == (0.0, 0.0)
    assert weights["b"] == weights["end"] > 0.0
