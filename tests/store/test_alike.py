"""Which steps of an earlier run are done and as they are now."""

from __future__ import annotations

from dataclasses import replace

from engine.graph import Edges
from engine.model import StepStatus
from engine.produced import OutputFile
from store.connection import Database
from store.history import History
from store.new_run import OWN_KEY, Marked, NewSteps, TakenOver
from tests.store.filled import begun, did, end, new_run, settle

STEPS = "cached tried file marked own changed off failed after>failed"


def test_what_is_done_and_the_same_needs_no_look(database: Database, history: History) -> None:
    """All else does: with files, a mark, a key of its own, another print, or no good end."""
    marks = [Marked(3, "ann", [])]
    first = begun(database, STEPS, marked=marks, taken_over=[TakenOver(3, StepStatus.OK, "by ann")])
    did(first, 0)
    did(first, 2, files=[OutputFile("/tmp/.t", "/tmp/t", "5" * 64, 3)])
    end(first, "failed")
    taken = [
        *(TakenOver(step, StepStatus.CACHED, "ok in run 1", source_run=1) for step in (0, 2, 3)),
        TakenOver(4, key_run=OWN_KEY, why="it changed"),
    ]
    second = begun(database, STEPS, taken_over=taken, resumed_from=1, root_run=1)
    did(second, 1, outcomes="failed ok")
    for step in (4, 5):
        did(second, step)
    settle(second, 6, "skipped", note="condition false")
    did(second, 7, outcomes="failed")
    settle(second, 8, "skipped", note="dependency failed: failed")
    end(second, "failed")
    steps = new_run(STEPS).steps
    past = history.past(2)
    assert past.read_done(steps) == [1, 2, 0, 0, 0, 2, 0, 0, 0]
    prints = [*steps.fingerprints[:5], "other", *steps.fingerprints[6:]]
    assert past.read_done(replace(steps, fingerprints=prints)) == [1, 2, 0, 0, 0, 0, 0, 0, 0]
    looked_at = past.read_steps((5, 8))
    assert looked_at == (past.steps[5], past.steps[8])
    assert looked_at[1].depends_on == ("failed",)


def test_of_another_graph_nothing_is_told(database: Database, history: History) -> None:
    """Then each step is compared by its name; so it is of a run that began no step."""
    did(begun(database, "a b>a"), 0)
    past = history.past(1)
    assert past.read_done(new_run("a b>a").steps) == [1, 0]
    for other in ("a c>a", "a b", "b a>b", "a b>a c"):
        assert past.read_done(new_run(other).steps) == []
    begun(database, "", steps=())
    assert history.past(2).read_done(new_run("a").steps) == []


def test_of_steps_made_alike_each_is_told_apart(database: Database, history: History) -> None:
    """Also where few of them are read: each has the fingerprint and parts that it was made with."""
    names, (one, other) = [f"s{at}" for at in range(6)], ({"code": "1"}, {"code": "2"})
    parts, prints = [one, one, one, other, other, one], ["p", "p", "p", "q", "q", "p"]
    steps = NewSteps(names, prints, parts, Edges.of([()] * 6))
    first = begun(database, "", steps=steps)
    for step in range(5):
        did(first, step)
    past = history.past(1)
    assert past.read_done(steps) == [1, 1, 1, 1, 1, 0]
    changed = replace(steps, fingerprints=["p", "p", "q", "q", "p", "p"])
    assert past.read_done(changed) == [1, 1, 0, 1, 0, 0]
    looked_at = past.read_steps((2, 4, 5))
    assert [(step.name, step.fingerprint, step.parts) for step in looked_at] == [
        ("s2", "p", one),
        ("s4", "q", other),
        ("s5", "p", one),
    ]
    assert past.read_steps(()) == ()
