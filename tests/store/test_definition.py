"""What a run's steps were is recorded whole, and once for all runs that had the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.graph import Edges
from store.connection import Database
from store.history import History
from store.journal import begin_run
from store.new_run import NewSteps
from tests.store.filled import new_run

COUNT = 700  # a whole block of rows, smaller ones, and a rest
CODE, OTHER = {"code": "1"}, {"version": "2", "code": '"'}
NAMES = [f"s{at}" for at in range(COUNT)]
STEPS = NewSteps(
    NAMES,
    ["other" if at % 4 == 3 else "print" for at in range(COUNT)],
    [OTHER if at % 4 == 3 else CODE for at in range(COUNT)],
    Edges.of([range(max(0, at - 2), at) for at in range(COUNT)]),
)


def begun(database: Database, steps: NewSteps, workflow: str = "flow") -> int:
    """Begin a run of the steps; gives the id of their definition."""
    run = begin_run(database, new_run("", steps=steps, workflow=workflow))
    sql = "SELECT definition_id FROM run_rows WHERE id = ?"
    return int(database.raw.execute(sql, (run,)).fetchone()[0])


def test_each_step_is_recorded_as_it_is(database: Database) -> None:
    """Name, fingerprint, parts and upstreams, at its position."""
    steps = replace(STEPS, parts=[*STEPS.parts[:-1], {**OTHER}])  # the same, and not one object
    run = begin_run(database, new_run("", steps=steps))
    past = History(database).past(run)
    assert [step.name for step in past.steps] == NAMES
    assert [step.fingerprint for step in past.steps] == steps.fingerprints
    assert [step.parts for step in past.steps] == steps.parts
    names = [tuple(NAMES[up] for up in ups) for ups in STEPS.upstreams]
    assert [step.depends_on for step in past.steps] == names
    facts = History(database).facts(run).steps.values()  # could not be read where two are alike
    assert [step.fingerprint for step in facts] == steps.fingerprints
    assert [step.parts for step in facts] == steps.parts


def test_what_is_made_as_the_step_before_is_told_once(database: Database) -> None:
    """Fingerprint and parts are two thirds of a row, and those of most steps are the same."""
    begun(database, STEPS)
    sql = "SELECT name, fingerprint, parts, upstreams FROM definition_steps LIMIT 5"
    assert database.raw.execute(sql).fetchall() == [
        ("s0", "print", '{"code":"1"}', "[]"),
        ("s1", "", "", "[0]"),
        ("s2", "", "", "[0,1]"),
        ("s3", "other", '{"code":"\\"","version":"2"}', "[1,2]"),
        ("s4", "print", '{"code":"1"}', "[2,3]"),
    ]


def test_the_same_steps_are_recorded_once(database: Database) -> None:
    """However often they run."""
    first = begun(database, STEPS)
    assert begun(database, replace(STEPS, parts=[dict(parts) for parts in STEPS.parts])) == first
    assert database.raw.execute("SELECT count(*) FROM definition_steps").fetchone() == (COUNT,)


@pytest.mark.parametrize(
    "other",
    [
        replace(STEPS, names=[*NAMES[:-1], "end"]),
        replace(STEPS, names=NAMES[::-1]),
        replace(STEPS, fingerprints=[*STEPS.fingerprints[:-1], "changed"]),
        replace(STEPS, upstreams=Edges.of([*[*STEPS.upstreams][:-1], (0,)])),
        replace(STEPS, upstreams=Edges.of([[], *[*STEPS.upstreams][:-1]])),
    ],
    ids=["name", "order", "fingerprint", "upstream", "whose upstream"],
)
def test_other_steps_are_another_definition(database: Database, other: NewSteps) -> None:
    """So are the same steps of another workflow."""
    assert begun(database, STEPS) == 1
    assert begun(database, other) == 2
    assert begun(database, STEPS, "another") == 3
